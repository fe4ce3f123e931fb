//! Selection proofs, made ahead of need.
//!
//! A validator learns from its selection proof for a slot whether it aggregates in that slot. Asking
//! for all proofs of an epoch at its start delays the blocks and attestations of that moment; asking
//! at the last moment delays the aggregates. [`SelectionProofScheduler`] asks in the quiet last part
//! of a slot for the proofs of a slot some way ahead, one slot's worth at a time.
//!
//! A proof depends on key, slot, fork and chain, not on the committee: when a re-organisation moves
//! duties, proofs that were made stay good.

mod chain;
mod clock;
mod options;
mod queue;
mod scheduler;

pub use crate::aggregator::{is_aggregator, is_sync_committee_aggregator};
pub use chain::{BasisPoints, Chain, ChainError, ScheduledFork};
pub use clock::{NoSlotLength, SlotClock, SystemSlotClock, TokioSlotClock};
pub use options::{OptionsError, SchedulerOptions};
pub use scheduler::{DutyOutsideEpoch, SchedulerStats, SelectionProofScheduler};
