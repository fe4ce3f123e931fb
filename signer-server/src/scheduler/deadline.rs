//! Until when a signature is worth anything.
//!
//! A duty that names a slot is worth most in that slot, and the network's clock says when it ends.
//! But the clock never refuses a request: a signer whose clock or network file is wrong must still
//! sign what its clients ask for. So what the slot says is held between a shortest and a longest
//! time from the arrival of the request.

use std::time::Duration;

use signer_client::wire::Slot;

use super::Class;
use crate::duty::{Duty, Network, Position};

/// Shortest time that any duty has, however late its request.
pub(super) const SHORTEST: Duration = Duration::from_secs(4);

/// [`SHORTEST`] in milliseconds.
const SHORTEST_MS: u64 = 4_000;

const _: () = assert!(SHORTEST.as_millis() == SHORTEST_MS as u128);

/// When slots begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    genesis_unix_ms: u64,
    slot_duration_ms: u64,
}

impl SlotClock {
    /// The clock of a network, if its genesis time is known.
    pub fn of(network: &Network) -> Option<Self> {
        Some(Self {
            genesis_unix_ms: network.genesis_time?.checked_mul(1000)?,
            slot_duration_ms: network.slot_duration_ms,
        })
    }

    /// Milliseconds from `now_unix_ms` until `thirds` thirds of the slot have passed; zero when
    /// that is over. `None` beyond what 64 bits hold.
    fn until(self, slot: Slot, thirds: u64, now_unix_ms: u64) -> Option<u64> {
        let start = slot.0.checked_mul(self.slot_duration_ms)?.checked_add(self.genesis_unix_ms)?;
        let instant = start.checked_add(self.slot_duration_ms * thirds / 3)?;
        Some(instant.saturating_sub(now_unix_ms))
    }
}

/// Shortest and longest time that a class's job may wait, and what holds when its slot is not
/// known, all in milliseconds.
struct Limits {
    shortest: u64,
    unknown: u64,
    longest: u64,
}

const fn limits(class: Class) -> Limits {
    match class {
        Class::Block => Limits { shortest: SHORTEST_MS, unknown: 8_000, longest: 12_000 },
        Class::Attestation | Class::Aggregate => {
            Limits { shortest: SHORTEST_MS, unknown: 12_000, longest: 12_000 }
        }
        // Made up to an epoch or two ahead; bulk work may wait as long as a client does.
        Class::SelectionProof => Limits { shortest: SHORTEST_MS, unknown: 30_000, longest: 60_000 },
        Class::Background => Limits { shortest: 60_000, unknown: 60_000, longest: 60_000 },
    }
}

/// How long after its arrival at `now_unix_ms` a duty may still be signed.
pub fn lifetime(duty: &Duty, clock: Option<SlotClock>, now_unix_ms: u64) -> Duration {
    let class = duty.duty_type.class();
    let limits = limits(class);
    // A selection proof is needed when aggregates are due, at two thirds of its slot.
    let thirds = if class == Class::SelectionProof { 2 } else { 3 };
    let by_slot = match (duty.position, clock) {
        (Some(Position::Slot(slot)), Some(clock)) => clock.until(slot, thirds, now_unix_ms),
        _ => None,
    };
    let milliseconds = by_slot
        .map_or(limits.unknown, |milliseconds| milliseconds.clamp(limits.shortest, limits.longest));
    Duration::from_millis(milliseconds)
}

#[cfg(test)]
mod tests {
    use signer_client::wire::{Epoch, Root};

    use super::*;
    use crate::duty::{DutyType, Protection};

    const CLOCK: SlotClock = SlotClock { genesis_unix_ms: 1_000_000, slot_duration_ms: 12_000 };

    fn lifetime_ms(
        duty_type: DutyType,
        position: impl Into<Option<Position>>,
        now_unix_ms: u64,
    ) -> u128 {
        let duty = Duty {
            duty_type,
            signing_root: Root::ZERO,
            position: position.into(),
            protection: Protection::Unprotected,
        };
        lifetime(&duty, Some(CLOCK), now_unix_ms).as_millis()
    }

    fn slot(number: u64) -> Position {
        Position::Slot(Slot(number))
    }

    #[test]
    fn a_duty_lives_until_its_slot_ends() {
        // Slot 10 begins at 1,120,000.
        assert_eq!(lifetime_ms(DutyType::Attestation, slot(10), 1_124_000), 8_000);
        assert_eq!(lifetime_ms(DutyType::BlockV2, slot(10), 1_120_000), 12_000);
    }

    #[test]
    fn a_selection_proof_lives_until_aggregates_are_due() {
        assert_eq!(lifetime_ms(DutyType::AggregationSlot, slot(12), 1_120_000), 32_000);
        assert_eq!(lifetime_ms(DutyType::AggregationSlot, slot(99), 1_120_000), 60_000);
    }

    #[test]
    fn no_clock_and_no_slot_refuse_anything() {
        assert_eq!(lifetime_ms(DutyType::BlockV2, slot(1), 9_999_999_999), 4_000, "long over");
        assert_eq!(lifetime_ms(DutyType::Attestation, slot(u64::MAX), 0), 12_000, "no such time");
        assert_eq!(lifetime_ms(DutyType::BlockV2, slot(1_000_000), 0), 12_000, "far ahead");
        let epoch = Position::Epoch(Epoch(3));
        assert_eq!(lifetime_ms(DutyType::RandaoReveal, epoch, 0), 8_000);
        assert_eq!(lifetime_ms(DutyType::Deposit, None, 0), 60_000);
    }
}
