//! How many connections the operating system lets the process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts the limit of open files as far as the process may. Every connection is one, and the usual
/// limit of 1,024 is there for programs that use `select`.
pub fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files could not be lifted");
    }
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
    }
}
