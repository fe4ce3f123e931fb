//! A fixed number of signing threads fed from bounded queues, one per class of duty.
//!
//! Room in a queue is reserved first ([`Scheduler::admit`]), so that an overloaded signer refuses
//! a request before anything is recorded for it. Threads always take the oldest job of the highest
//! class that has one: signing is short and not interrupted, so a block waits for at most one
//! signature. Nothing but signing runs on these threads.

mod admission;
mod class;
mod pool;

pub use admission::{Admission, Completed, Lost, Pending};
pub use class::Class;
pub use pool::{Bounds, Overloaded, Scheduler};

#[cfg(test)]
mod tests;
