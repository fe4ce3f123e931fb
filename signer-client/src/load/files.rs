//! The process's limit of open files: a burst has a connection for each request.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises it as far as the system lets a process do by itself.
///
/// # Errors
/// When it stays as it is.
pub fn raise_limit_of_open_files() -> std::io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
