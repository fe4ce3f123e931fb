//! A fixed number of signing threads fed from bounded queues, one per class of duty.

mod class;

pub use class::Class;
