//! A fixed number of signing threads fed from bounded queues, one per class of duty.
//!
//! Room in a queue is reserved first ([`Scheduler::admit`]), so that an overloaded signer refuses
//! a request before anything is recorded for it. Threads take the class that is served first, and
//! in it the job with the earliest deadline. Signing is short and not interrupted, so a block waits
//! for at most one signature. Nothing but signing runs on these threads.
//!
//! - [`queue`] says which job comes next; it is pure and knows no time but what it is told.
//! - [`handoff`] is the one lock between those who bring jobs and the threads.
//! - [`deadline`] turns a duty and the network's clock into the time until which signing it is
//!   worth anything.

mod admission;
mod class;
pub mod deadline;
mod handoff;
mod pool;
pub mod queue;
mod sync;

pub use admission::{Admission, Batch, Completed, Lost, Pending};
pub use class::Class;
pub use pool::{Overloaded, Scheduler};
pub use queue::Bounds;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod under_shuttle;
