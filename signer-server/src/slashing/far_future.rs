//! The guard against duties of a far future, where a network's clock is known.
//!
//! One vote for an epoch far ahead is not slashable, but it keeps the key from signing until that
//! epoch has come. The clock only ever refuses here; it never permits.

use signer_client::wire::Slot;

use super::Refusal;
use crate::{
    clock,
    duty::{NetworkClock, Protection},
};

/// A target may be this many epochs ahead of the wall clock.
const EPOCHS_AHEAD: u64 = 2;

/// A block may be this many slots ahead of the wall clock.
const SLOTS_AHEAD: u64 = 64;

/// Refuses what lies further ahead of the clock now.
pub(super) fn check_now(clock: NetworkClock, duty: &Protection) -> Result<(), Refusal> {
    let now_unix_ms = clock::now_unix_micros().max(0).cast_unsigned() / 1000;
    // Before genesis the chain stands at its beginning.
    check(clock, clock.slot_at(now_unix_ms).unwrap_or(Slot(0)), duty)
}

fn check(clock: NetworkClock, now: Slot, duty: &Protection) -> Result<(), Refusal> {
    let epoch_now = clock.epoch_of(now);
    match *duty {
        Protection::Attestation { target, .. }
            if target.0 > epoch_now.0.saturating_add(EPOCHS_AHEAD) =>
        {
            Err(Refusal::EpochFarAhead { epoch: target, now: epoch_now })
        }
        Protection::Block { slot, .. } if slot.0 > now.0.saturating_add(SLOTS_AHEAD) => {
            Err(Refusal::SlotFarAhead { slot, now })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use signer_client::wire::{Epoch, Root};

    use super::*;
    use crate::duty::Network;

    #[test]
    fn only_what_is_beyond_the_margin_is_refused() {
        let clock = NetworkClock::of(&Network::by_name_or_file("mainnet").unwrap()).unwrap();
        let now = Slot(320);
        let genesis_validators_root = Root::ZERO;
        let vote = |target| {
            let (source, target) = (Epoch(0), Epoch(target));
            check(clock, now, &Protection::Attestation { source, target, genesis_validators_root })
        };
        let block = |slot| {
            check(clock, now, &Protection::Block { slot: Slot(slot), genesis_validators_root })
        };
        assert_eq!(vote(0), Ok(()));
        assert_eq!(vote(12), Ok(()));
        assert_eq!(vote(13), Err(Refusal::EpochFarAhead { epoch: Epoch(13), now: Epoch(10) }));
        assert_eq!(block(384), Ok(()));
        assert_eq!(block(385), Err(Refusal::SlotFarAhead { slot: Slot(385), now }));
        assert!(vote(u64::MAX).is_err() && block(u64::MAX).is_err());
        assert_eq!(check(clock, now, &Protection::Unprotected), Ok(()));
    }
}
