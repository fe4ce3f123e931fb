//! The primitives under the lock of the jobs, in one place so that a test can build
//! [`jobs`](super::jobs) and [`worker`](super::worker) on primitives that try interleavings.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
