//! What time it is on the chain.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::wire::Slot;

/// What time it is on the chain. Injectable, so that tests can run whole days in a second.
pub trait SlotClock: Send + Sync + 'static {
    /// Time since genesis; zero before it.
    fn since_genesis(&self) -> Duration;

    /// Length of a slot, more than zero.
    fn slot_duration(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemSlotClock {
    genesis: SystemTime,
    slot_duration: Duration,
}

/// A slot must last for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slot of no length")]
pub struct NoSlotLength;

impl SystemSlotClock {
    /// `genesis_time` is in seconds since 1970 (`GENESIS_TIME` of the Beacon API).
    ///
    /// # Errors
    /// When the slot has no length.
    pub fn new(genesis_time: u64, slot_duration: Duration) -> Result<Self, NoSlotLength> {
        if slot_duration.is_zero() {
            return Err(NoSlotLength);
        }
        Ok(Self { genesis: UNIX_EPOCH + Duration::from_secs(genesis_time), slot_duration })
    }
}

impl SlotClock for SystemSlotClock {
    fn since_genesis(&self) -> Duration {
        SystemTime::now().duration_since(self.genesis).unwrap_or_default()
    }

    fn slot_duration(&self) -> Duration {
        self.slot_duration
    }
}

/// A clock on tokio's own, which tests can pause and which then jumps from one timer to the next.
#[derive(Clone, Copy)]
pub struct TokioSlotClock {
    start: Instant,
    at_start: Duration,
    slot_duration: Duration,
}

impl fmt::Debug for TokioSlotClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokioSlotClock").field("now", &self.since_genesis()).finish()
    }
}

impl TokioSlotClock {
    /// A clock that stands at the beginning of `slot` now.
    ///
    /// # Errors
    /// When the slot has no length.
    pub fn starting_at(slot: Slot, slot_duration: Duration) -> Result<Self, NoSlotLength> {
        if slot_duration.is_zero() {
            return Err(NoSlotLength);
        }
        let at_start = start_of(slot, slot_duration);
        Ok(Self { start: Instant::now(), at_start, slot_duration })
    }
}

impl SlotClock for TokioSlotClock {
    fn since_genesis(&self) -> Duration {
        self.at_start + self.start.elapsed()
    }

    fn slot_duration(&self) -> Duration {
        self.slot_duration
    }
}

/// A moment: the slot, and how far into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) slot: Slot,
    pub(super) into_slot: Duration,
}

impl Moment {
    pub(super) fn now(clock: &dyn SlotClock) -> Self {
        let since_genesis = clock.since_genesis().as_nanos();
        let slot_duration = clock.slot_duration().as_nanos().max(1);
        let slot = u64::try_from(since_genesis / slot_duration).unwrap_or(u64::MAX);
        let into_slot = u64::try_from(since_genesis % slot_duration).unwrap_or(u64::MAX);
        Self { slot: Slot(slot), into_slot: Duration::from_nanos(into_slot) }
    }
}

/// When a slot begins, since genesis; at the end of time for slots beyond it.
pub(super) fn start_of(slot: Slot, slot_duration: Duration) -> Duration {
    let nanos = slot_duration.as_nanos().saturating_mul(u128::from(slot.0));
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or_default();
    Duration::new(seconds, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_follow_the_clock() {
        let clock = TokioSlotClock::starting_at(Slot(100), Duration::from_secs(12)).unwrap();
        assert_eq!(Moment::now(&clock), Moment { slot: Slot(100), into_slot: Duration::ZERO });
        tokio::time::advance(Duration::from_millis(12_000 * 3 + 9_600)).await;
        assert_eq!(
            Moment::now(&clock),
            Moment { slot: Slot(103), into_slot: Duration::from_millis(9_600) }
        );
    }

    #[test]
    fn before_genesis_it_is_slot_zero() {
        let clock = SystemSlotClock::new(40_000_000_000, Duration::from_secs(12)).unwrap();
        assert_eq!(Moment::now(&clock), Moment { slot: Slot(0), into_slot: Duration::ZERO });
    }

    #[test]
    fn a_slot_has_a_length() {
        assert!(SystemSlotClock::new(0, Duration::ZERO).is_err());
    }

    #[test]
    fn far_slots_do_not_overflow() {
        assert_eq!(start_of(Slot(2), Duration::from_millis(1500)), Duration::from_secs(3));
        start_of(Slot(u64::MAX), Duration::from_secs(12));
    }
}
