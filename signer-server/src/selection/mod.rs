//! Selection proofs: made ahead of need, made once, kept until their slot has passed.
//!
//! A selection proof says whether a validator aggregates in a slot. It depends on the key, the slot,
//! the fork and the chain only, can't be slashed, and is the same bytes every time. So validator
//! clients may ask for it slots ahead (`POST /midslot/v1/selection-proofs`), and an ordinary request
//! is answered from memory.
//!
//! - [`ProofCache`] holds what is ready, what is being made, and the backlog of what was asked for
//!   ahead and nobody waits for yet.
//! - [`ProofMaker`] is the obligation to make one proof, shared by the jobs that may do it.
//! - [`PreRequest`] is the body of a pre-request.
//!
//! Signing itself, the audit and the metrics of requests are in [`signing`](crate::signing), which
//! asks here before it queues a job.

mod cache;
mod id;
mod maker;
mod options;
mod request;
#[cfg(test)]
mod tests;

pub use cache::{Accepted, BacklogFull, Found, Order, ProofCache, ProofLookup, Taken};
pub use id::ProofId;
pub use maker::{Progress, ProofMaker, ProofOrigin};
pub use options::ProofCacheOptions;
pub use request::{PreRequest, PreRequestError, PreRequestLimits, SlotProofs, Window};
