//! What the scheduler must know of the chain: its forks, and when to work in each.

use crate::wire::{Epoch, ForkInfo, ForkVersion, ForkVersions, Root, Slot};

/// A fraction of a slot in hundredths of a percent, as consensus-specs states its due times
/// (`..._DUE_BPS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// A whole slot.
    pub const WHOLE: Self = Self(10_000);

    /// That part of a length of time.
    pub fn of(self, whole: std::time::Duration) -> std::time::Duration {
        whole * u32::from(self.0) / u32::from(Self::WHOLE.0)
    }
}

/// A fork that the chain has or will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledFork {
    /// Its first epoch.
    pub epoch: Epoch,
    /// Its version.
    pub version: ForkVersion,
    /// When in a slot of this fork proofs are made, if not at the usual point.
    pub offset: Option<BasisPoints>,
}

impl ScheduledFork {
    /// A fork with the usual point for proofs.
    pub const fn new(epoch: Epoch, version: ForkVersion) -> Self {
        Self { epoch, version, offset: None }
    }
}

/// Why a chain can't be scheduled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An epoch has no slots.
    #[error("an epoch of no slots")]
    NoSlots,
    /// There is no fork at epoch 0.
    #[error("the first fork must begin at epoch 0")]
    NoGenesisFork,
    /// Two forks are not in order.
    #[error("forks must be in the order of their epochs (epoch {0} comes too late)")]
    ForksOutOfOrder(Epoch),
    /// A point lies outside of its slot.
    #[error("a point in a slot must be less than 10000 basis points")]
    OutsideSlot,
}

/// A chain, as far as selection proofs depend on it.
#[derive(Clone, Debug)]
pub struct Chain {
    genesis_validators_root: Root,
    slots_per_epoch: u64,
    forks: Vec<ScheduledFork>,
}

impl Chain {
    /// `forks` with the one of epoch 0 first. Of forks of the same epoch, the last one counts, with
    /// the one before it as its predecessor.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn new(
        genesis_validators_root: Root,
        slots_per_epoch: u64,
        forks: Vec<ScheduledFork>,
    ) -> Result<Self, ChainError> {
        if slots_per_epoch == 0 {
            return Err(ChainError::NoSlots);
        }
        if forks.first().is_none_or(|fork| fork.epoch != Epoch(0)) {
            return Err(ChainError::NoGenesisFork);
        }
        if let Some(pair) = forks.windows(2).find(|pair| pair[0].epoch > pair[1].epoch) {
            return Err(ChainError::ForksOutOfOrder(pair[1].epoch));
        }
        if forks.iter().any(|fork| fork.offset.is_some_and(|offset| offset >= BasisPoints::WHOLE)) {
            return Err(ChainError::OutsideSlot);
        }
        Ok(Self { genesis_validators_root, slots_per_epoch, forks })
    }

    /// The epoch of a slot.
    pub const fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.slots_per_epoch)
    }

    /// The slots of an epoch.
    pub(super) fn slots_of(&self, epoch: Epoch) -> std::ops::Range<u64> {
        let first = epoch.0.saturating_mul(self.slots_per_epoch);
        first..first.saturating_add(self.slots_per_epoch)
    }

    /// Where the fork of an epoch stands in the list.
    fn position(&self, epoch: Epoch) -> usize {
        self.forks.partition_point(|fork| fork.epoch <= epoch).saturating_sub(1)
    }

    /// What a request for an object of this slot says of chain and fork: always the fork of the slot
    /// itself, whatever the time is now.
    pub fn fork_info(&self, slot: Slot) -> ForkInfo {
        let position = self.position(self.epoch_of(slot));
        let current = self.forks[position];
        let previous = self.forks[position.saturating_sub(1)];
        ForkInfo {
            fork: ForkVersions {
                previous_version: previous.version,
                current_version: current.version,
                epoch: current.epoch,
            },
            genesis_validators_root: self.genesis_validators_root,
        }
    }

    /// When in this slot proofs are made, if its fork has an opinion.
    pub(super) fn offset(&self, slot: Slot) -> Option<BasisPoints> {
        self.forks[self.position(self.epoch_of(slot))].offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(epoch: u64, version: u8) -> ScheduledFork {
        ScheduledFork::new(Epoch(epoch), ForkVersion([version, 0, 0, 0]))
    }

    #[test]
    fn the_fork_is_that_of_the_slot() {
        let chain =
            Chain::new(Root([7; 32]), 32, vec![fork(0, 0), fork(10, 1), fork(20, 2)]).unwrap();
        let versions = |slot| {
            let fork = chain.fork_info(Slot(slot)).fork;
            (fork.previous_version.0[0], fork.current_version.0[0], fork.epoch.0)
        };
        assert_eq!(versions(0), (0, 0, 0));
        assert_eq!(versions(10 * 32 - 1), (0, 0, 0));
        assert_eq!(versions(10 * 32), (0, 1, 10));
        assert_eq!(versions(20 * 32), (1, 2, 20));
        assert_eq!(versions(u64::MAX), (1, 2, 20));
    }

    #[test]
    fn a_devnet_may_have_all_its_forks_at_genesis() {
        let chain = Chain::new(Root::ZERO, 8, vec![fork(0, 0), fork(0, 1), fork(0, 2)]).unwrap();
        let fork = chain.fork_info(Slot(0)).fork;
        assert_eq!((fork.previous_version.0[0], fork.current_version.0[0]), (1, 2));
    }

    #[test]
    fn impossible_chains_are_refused() {
        let error = |slots, forks| Chain::new(Root::ZERO, slots, forks).unwrap_err();
        assert_eq!(error(0, vec![fork(0, 0)]), ChainError::NoSlots);
        assert_eq!(error(32, vec![]), ChainError::NoGenesisFork);
        assert_eq!(error(32, vec![fork(1, 0)]), ChainError::NoGenesisFork);
        let forks = vec![fork(0, 0), fork(9, 1), fork(8, 2)];
        assert_eq!(error(32, forks), ChainError::ForksOutOfOrder(Epoch(8)));
        let late = ScheduledFork { offset: Some(BasisPoints(10_000)), ..fork(0, 0) };
        assert_eq!(error(32, vec![late]), ChainError::OutsideSlot);
    }
}
