//! Which old records go, and the part of a store that lets them go.
//!
//! Invariant: floors rise before records go. Once the floors of a key are at the highest source,
//! target and slot of the records that go, everything that those records forbade is below a floor,
//! so pruning may refuse more and never less. What is lost is only that a pruned record can't be
//! repeated.

use signer_client::wire::{Epoch, Slot};

use super::StoreError;

/// How much is kept, counted back from the newest record of each key: a key that signs rarely, or
/// never again, keeps as much as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruningPolicy {
    /// Epochs of attestations that are kept.
    pub epochs_to_keep: u64,
    /// Slots of one epoch, for the blocks that are kept.
    pub slots_per_epoch: u64,
}

impl PruningPolicy {
    /// Lowest target that is kept of a key whose newest record has the target `newest`.
    pub(crate) fn first_kept_target(self, newest: Epoch) -> Epoch {
        Epoch(first_kept(newest.0, self.epochs_to_keep))
    }

    /// Lowest slot that is kept of a key whose newest block is at `newest`.
    pub(crate) fn first_kept_slot(self, newest: Slot) -> Slot {
        let slots = self.epochs_to_keep.saturating_mul(self.slots_per_epoch);
        Slot(first_kept(newest.0, slots))
    }
}

/// The newest one is always kept.
fn first_kept(newest: u64, keep: u64) -> u64 {
    newest.saturating_sub(keep.max(1) - 1)
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PruningStep {
    /// Records that went.
    pub(crate) rows: u64,
    /// Whether the run is through; the next step begins a new one.
    pub(crate) is_last: bool,
}

/// A store that can let old records go while it serves.
pub(crate) trait Pruning {
    /// Does a short, bounded piece of the present run, or begins one. What is done is durable, and
    /// a crash at any point is safe. An error ends the run.
    fn prune_step(
        &mut self,
        policy: PruningPolicy,
    ) -> impl Future<Output = Result<PruningStep, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PruningPolicy = PruningPolicy { epochs_to_keep: 250, slots_per_epoch: 32 };

    #[test]
    fn as_many_epochs_are_kept_as_the_policy_says() {
        assert_eq!(POLICY.first_kept_target(Epoch(1_000)), Epoch(751));
        assert_eq!(POLICY.first_kept_slot(Slot(10_000)), Slot(2_001));
        let one = PruningPolicy { epochs_to_keep: 1, slots_per_epoch: 1 };
        assert_eq!(one.first_kept_target(Epoch(7)), Epoch(7));
        assert_eq!(one.first_kept_slot(Slot(7)), Slot(7));
    }

    #[test]
    fn extreme_numbers_keep_the_newest_and_overflow_nothing() {
        assert_eq!(POLICY.first_kept_target(Epoch(10)), Epoch(0));
        let nothing = PruningPolicy { epochs_to_keep: 0, slots_per_epoch: 0 };
        assert_eq!(nothing.first_kept_target(Epoch(7)), Epoch(7));
        assert_eq!(nothing.first_kept_slot(Slot(7)), Slot(7));
        let all = PruningPolicy { epochs_to_keep: u64::MAX, slots_per_epoch: u64::MAX };
        assert_eq!(all.first_kept_slot(Slot(u64::MAX)), Slot(1));
    }
}
