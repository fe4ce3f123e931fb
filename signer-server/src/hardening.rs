//! What keeps secret keys from leaving the process by way of the operating system.

use std::{any::Any, panic};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps and reading this process' memory by others of the same user. A system that
/// refuses gets a warning in the log: keys may then end up in a dump.
pub fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "the size of core dumps could not be limited");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be forbidden");
    }
}

/// Lets a panic be logged by its place alone, unless its message stands in the source: a message
/// that was put together from values may hold a key or a password.
pub fn log_panics_without_values() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = fixed_message(panic.payload());
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(place, message, thread, "panicked: a fault in this program");
    }));
}

/// The message of a panic that was raised with a text from the source.
fn fixed_message(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("not shown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_only_what_stands_in_the_source() {
        let raise = |panic: fn()| panic::catch_unwind(panic).unwrap_err();
        let fixed = raise(|| panic!("the lock is poisoned"));
        assert_eq!(fixed_message(&*fixed), "the lock is poisoned");
        let secret = raise(|| panic!("bad key {}", std::env::args().count()));
        assert_eq!(fixed_message(&*secret), "not shown");
    }
}
