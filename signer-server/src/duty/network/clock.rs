//! Where the wall clock stands on the chain.

use std::num::NonZeroU64;

use signer_client::wire::{Epoch, Slot};

use super::Network;

/// When the slots of a network begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkClock {
    genesis_unix_ms: u64,
    slot_duration_ms: NonZeroU64,
    slots_per_epoch: NonZeroU64,
}

impl NetworkClock {
    /// The clock of a network whose genesis time is known.
    pub fn of(network: &Network) -> Option<Self> {
        Some(Self {
            genesis_unix_ms: network.genesis_time?.checked_mul(1000)?,
            slot_duration_ms: NonZeroU64::new(network.slot_duration_ms)?,
            slots_per_epoch: network.slots_per_epoch,
        })
    }

    /// The slot at that time; `None` before genesis.
    pub fn slot_at(self, unix_ms: u64) -> Option<Slot> {
        let since_genesis = unix_ms.checked_sub(self.genesis_unix_ms)?;
        Some(Slot(since_genesis / self.slot_duration_ms))
    }

    /// When a slot begins; the end of time for slots beyond what 64 bits hold.
    pub const fn start_of(self, slot: Slot) -> u64 {
        slot.0.saturating_mul(self.slot_duration_ms.get()).saturating_add(self.genesis_unix_ms)
    }

    /// Length of a slot in milliseconds.
    pub const fn slot_duration_ms(self) -> u64 {
        self.slot_duration_ms.get()
    }

    /// The epoch that a slot belongs to.
    pub const fn epoch_of(self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.slots_per_epoch.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mainnet_is_where_it_is_known_to_have_been() {
        let clock = NetworkClock::of(&Network::by_name_or_file("mainnet").unwrap()).unwrap();
        let genesis_ms = 1_606_824_023_000;
        assert_eq!(clock.slot_at(genesis_ms - 1), None);
        assert_eq!(clock.slot_at(genesis_ms), Some(Slot(0)));
        assert_eq!(clock.slot_at(genesis_ms + 11_999), Some(Slot(0)));
        assert_eq!(clock.start_of(Slot(3)), genesis_ms + 36_000);
        // The merge: slot 4,700,013 at 2022-09-15 06:42:59 UTC, in epoch 146,875.
        let merge = clock.slot_at(1_663_224_179_000).unwrap();
        assert_eq!((merge, clock.epoch_of(merge)), (Slot(4_700_013), Epoch(146_875)));
    }

    #[test]
    fn network_without_genesis_has_no_clock() {
        assert_eq!(NetworkClock::of(&Network::by_name_or_file("minimal").unwrap()), None);
    }
}
