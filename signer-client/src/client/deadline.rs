//! The instant after which a signature is worth nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The longest time that a deadline may leave: a year of 365 days. A longer one is no longer than
/// that to any signature, and could not be added to an instant or said in a header's 64 bits.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The instant after which a signature is worth nothing to the caller. Follows tokio's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// That instant.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// So long from now; a year for whatever is longer, so that [`Duration::MAX`] is "no hurry".
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time.min(LONGEST))
    }

    /// The instant itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// What is left; zero when it has passed, and a year at most.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now()).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_time_is_too_long() {
        for long in [Duration::MAX, Duration::from_secs(u64::MAX), LONGEST * 2] {
            assert_eq!(Deadline::within(long).remaining(), LONGEST);
        }
        let far = Instant::now() + Duration::from_secs(1 << 60);
        assert_eq!(Deadline::at(far).remaining(), LONGEST);
        let soon = Deadline::within(Duration::from_secs(4));
        assert_eq!(soon.remaining(), Duration::from_secs(4));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(soon.remaining(), Duration::ZERO);
    }
}
