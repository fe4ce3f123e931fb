//! A moment that comes once in every slot.

use std::time::Duration;

use tokio::time::sleep;

use crate::{clock, duty::NetworkClock};

/// So many percent into every slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    clock: NetworkClock,
    percent: u8,
}

impl Moment {
    pub(super) const fn new(clock: NetworkClock, percent: u8) -> Self {
        Self { clock, percent }
    }

    /// The first such moment after `unix_ms`, in the same unit.
    pub(super) fn after(self, unix_ms: u64) -> u64 {
        let slot = self.clock.slot_at(unix_ms).unwrap_or_default();
        let length = self.clock.slot_duration_ms();
        let into_slot = u128::from(length) * u128::from(self.percent) / 100;
        let into_slot = u64::try_from(into_slot).unwrap_or(length);
        let moment = self.clock.start_of(slot).saturating_add(into_slot);
        if moment > unix_ms { moment } else { moment.saturating_add(length) }
    }

    /// Waits for the next one. A clock that is set meanwhile is noticed within a slot.
    pub(super) async fn next(self) {
        let length = self.clock.slot_duration_ms();
        let mut moment = self.after(now_unix_ms());
        loop {
            let wait = moment.saturating_sub(now_unix_ms());
            if wait == 0 {
                return;
            }
            sleep(Duration::from_millis(wait.min(length))).await;
            if wait > length {
                moment = self.after(now_unix_ms());
            }
        }
    }
}

/// Milliseconds since the Unix epoch, by this machine's clock.
pub(super) fn now_unix_ms() -> u64 {
    clock::now_unix_micros().max(0).cast_unsigned() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Network;

    #[test]
    fn each_slot_has_one() {
        let network = Network::by_name_or_file("mainnet").unwrap();
        let genesis = network.genesis_time.unwrap() * 1000;
        let moment = Moment::new(NetworkClock::of(&network).unwrap(), 80);
        assert_eq!(moment.after(genesis), genesis + 9_600);
        assert_eq!(moment.after(genesis + 9_599), genesis + 9_600);
        assert_eq!(moment.after(genesis + 9_600), genesis + 21_600, "after, not at");
        assert_eq!(moment.after(genesis + 11_999), genesis + 21_600);
        assert_eq!(moment.after(0), genesis + 9_600, "before genesis the first slot counts");
    }
}
