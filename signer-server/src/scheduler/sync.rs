//! The primitives under the queues' lock, in one place so that a test can build [`super::handoff`]
//! on primitives that try every interleaving.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
