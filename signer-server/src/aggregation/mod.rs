//! The aggregation worker: signatures of others in, verified aggregates out, beside the signer.
//!
//! A caller posts a self-contained [`snapshot`]; [`dispatch`] says when its groups run; the `worker`
//! threads prove them with the pure crate `midslot_aggregation` behind [`Prover`](prover); the
//! [`service`] keeps the results until the caller has fetched and applied them. Nothing here changes
//! what the caller holds: the result says exactly what it may delete.
//!
//! Invariants: no key and no signing thread is ever used; every submitted job that was taken reaches
//! exactly one final state, with a reason; every entry of a group that was proved is in exactly one
//! of `used`, `covered`, `rejected` and `unprocessed`.

pub mod answers;
pub mod dispatch;
mod intake;
pub mod job;
mod jobs;
mod point_cache;
mod prover;
pub mod service;
mod shared;
pub mod signing;
pub mod snapshot;
mod store;
mod sync;
pub mod tables;
mod task;
#[cfg(test)]
mod tests;
pub mod view;
mod worker;

pub use answers::{Accepted, LaneStatus, NoGroup, NoJob, Status, SubmitError};
pub use job::{Ending, GroupStatus, GroupToSign, JobState};
pub use service::{AggregationOptions, AggregationService, Background};
pub use signing::GroupSigner;
pub use snapshot::{Format, JobId};
pub use store::Event;
