//! How many connections the operating system lets the process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are left to everything but connections to the signing port: the database, key
/// files, logs, the metrics port.
const RESERVED: u64 = 256;

/// Lifts the limit of open files as far as the process may. Every connection is one, and the usual
/// limit of 1,024 is there for programs that use `select`.
pub fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files could not be lifted");
    }
}

/// The number of connections to serve when so many are wished for: what the limit of open files
/// leaves, if that is less.
pub fn affordable_connections(wished: usize) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wished };
    // Half of a very low limit, which is no limit to run a server with.
    let left = files.saturating_sub(RESERVED).max(files / 2).max(1);
    let affordable = usize::try_from(left).unwrap_or(usize::MAX);
    if affordable < wished {
        tracing::warn!(
            "--http-max-connections {wished} was lowered to {affordable}: \
             the process may open {files} files"
        );
    }
    wished.min(affordable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_goes_up_to_what_the_process_may_have() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(1000), maximum }).unwrap();
        allow_many_connections();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
        assert_eq!(affordable_connections(1), 1);
        if let Some(files) = maximum {
            let wished = usize::try_from(files).unwrap();
            assert!(affordable_connections(wished) < wished);
        }
    }
}
