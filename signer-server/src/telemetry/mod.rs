//! What the running signer tells its operator: log lines on standard output and a page of metrics.
//!
//! Beside the way of a request, never in it: recording can't fail, and no other module waits for
//! it. Every metric's name stands in [`metrics`] and nowhere else.

pub mod logs;
pub mod metrics;
