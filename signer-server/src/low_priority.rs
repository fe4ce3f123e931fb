//! Threads that give way to those that sign.

/// Makes the calling thread give way to others. On Linux a nice value belongs to a thread; on
/// other systems it belongs to the process, so that nothing is done there.
pub(crate) fn enter() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        let thread = std::thread::current();
        tracing::debug!(%error, thread = thread.name(), "cannot lower the priority of a thread");
    }
}
