//! The prove step of the aggregation worker: what is signed on one message goes in, one verified
//! aggregate and a verdict on every entry come out.
//!
//! [`aggregate_group`] is a function of its arguments alone. There is no clock here, no randomness,
//! no input or output, no thread and no store; that the crate is `no_std` and forbids `unsafe` is
//! the proof. What it needs of the world its caller lends it: a [`PointCache`] so that points are
//! decoded once, a [`Checkpoint`] that knows deadline and cancellation, a seed of 32 bytes from the
//! operating system for the blinded checks, and a [`Scratch`] whose buffers live from job to job.
//! None of these changes what comes out, save that a stopped group has no aggregate.
//!
//! The way of a group: `prove::prepare` decodes and checks each entry, `prove::vet` finds which of
//! them are false, `prove::select` chooses children, `prove::assemble` adds them up and fills the
//! rest from singles, `prove::report` writes the verdicts. The arithmetic is behind [`Backend`].
//!
//! Same-message aggregation is sound only for public keys whose owners have shown that they hold
//! the secret key. Ethereum's deposits do that; for keys that a caller brings it is the caller's
//! claim.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backend;
mod bits;
mod cache;
mod checkpoint;
mod group;
mod options;
mod outcome;
mod prove;
mod scratch;

pub use backend::{Backend, Bls};
pub use bits::{Bits, BitsLen, MAX_POSITIONS};
pub use cache::{DecodedSignature, NoCache, PointCache, ValidKey};
pub use checkpoint::{Checkpoint, Control, NeverStop, Phase, StopReason};
pub use group::{Child, Group, KeyBytes, KeyTable, Positions, SignatureBytes, Single};
pub use options::{Options, Overlap, VerifyMode};
pub use outcome::{
    Aggregate, Counts, Entry, GroupEnd, GroupOutcome, KeepReason, Kept, RejectReason, Rejected,
};
pub use prove::{aggregate_group, aggregate_group_with};
pub use scratch::Scratch;
