//! The instant after which a signature is worth nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The instant after which a signature is worth nothing to the caller. Follows tokio's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// That instant.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// So long from now.
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The instant itself.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
