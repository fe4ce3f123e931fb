//! Floors that make a database safe whatever it has forgotten.
//!
//! Every duty that was signed before now has a target and a source that are not above the present
//! epoch, and a slot that is not above the present one. Above such floors nothing can contradict
//! any of them. The price: no key signs again before the next epoch, one duty each, and before the
//! chain has justified the epoch of the floor.

use signer_client::wire::{Epoch, Slot};

use crate::duty::NetworkClock;

/// The floors of a safe start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeFloors {
    /// For sources and targets.
    pub epoch: Epoch,
    /// For blocks.
    pub slot: Slot,
}

impl SafeFloors {
    /// The floors for a start at that time; `None` before genesis. One slot is added, because the
    /// clock of who signed before may have been a little fast, or this one be slow.
    pub fn at(clock: NetworkClock, now_unix_ms: u64) -> Option<Self> {
        let slot = Slot(clock.slot_at(now_unix_ms)?.0.checked_add(1)?);
        Some(Self { epoch: clock.epoch_of(slot), slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Network;

    #[test]
    fn floors_are_one_slot_ahead() {
        let clock = NetworkClock::of(&Network::by_name_or_file("mainnet").unwrap()).unwrap();
        let genesis = 1_606_824_023_000;
        let at = |slot: u64| SafeFloors::at(clock, genesis + slot * 12_000);
        assert_eq!(at(0), Some(SafeFloors { epoch: Epoch(0), slot: Slot(1) }));
        assert_eq!(at(320), Some(SafeFloors { epoch: Epoch(10), slot: Slot(321) }));
        assert_eq!(at(31), Some(SafeFloors { epoch: Epoch(1), slot: Slot(32) }));
        assert_eq!(SafeFloors::at(clock, genesis - 1), None);
    }
}
