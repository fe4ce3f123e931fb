//! How prefetch is doing, for `GET /healthcheck` and the log. It never makes the signer unhealthy:
//! without it every proof is still signed when it is asked for.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{BeaconAddress, node::NodeError};

/// How often the log says that the same node still fails.
const SAY_AGAIN: Duration = Duration::from_mins(10);

/// How prefetch is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefetchState {
    /// No beacon node was asked yet.
    Starting,
    /// The duties of this epoch and the next are known.
    Working,
    /// No beacon node was of use when they were asked last.
    Failing {
        /// What the node said that was asked last.
        reason: String,
    },
}

/// How prefetch is doing, and for how many keys.
#[derive(Clone, Debug)]
pub struct PrefetchReport {
    /// How it is doing.
    pub state: PrefetchState,
    /// Loaded keys of which the node knows the validator.
    pub validators: usize,
}

/// The report, shared by those who write and read it.
#[derive(Debug)]
pub struct PrefetchStatus(Mutex<PrefetchReport>);

impl Default for PrefetchStatus {
    fn default() -> Self {
        let report = PrefetchReport { state: PrefetchState::Starting, validators: 0 };
        Self(Mutex::new(report))
    }
}

impl PrefetchStatus {
    /// How it is doing now.
    pub fn report(&self) -> PrefetchReport {
        self.0.lock().clone()
    }

    pub(super) fn works(&self, validators: usize) {
        *self.0.lock() = PrefetchReport { state: PrefetchState::Working, validators };
    }

    pub(super) fn fails(&self, reason: String) {
        self.0.lock().state = PrefetchState::Failing { reason };
    }
}

impl PrefetchState {
    /// The name in the health check.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Failing { .. } => "failing",
        }
    }
}

/// What the log says of one node: when it begins to fail and when that is over, however often it
/// changes its mind at most once in ten minutes.
#[derive(Debug, Default)]
pub(super) struct Voice {
    said_at: Option<Instant>,
    has_complained: bool,
}

impl Voice {
    pub(super) fn failed(&mut self, address: &BeaconAddress, error: &NodeError, now: Instant) {
        if self.may_complain(now) {
            tracing::warn!(node = %address, reason = %error, "a beacon node is of no use for prefetch");
        }
    }

    pub(super) fn worked(&mut self, address: &BeaconAddress) {
        if self.may_be_glad() {
            tracing::info!(node = %address, "the beacon node is of use for prefetch again");
        }
    }

    fn may_complain(&mut self, now: Instant) -> bool {
        let may = self.said_at.is_none_or(|then| now.duration_since(then) >= SAY_AGAIN);
        if may {
            (self.said_at, self.has_complained) = (Some(now), true);
        }
        may
    }

    fn may_be_glad(&mut self) -> bool {
        std::mem::take(&mut self.has_complained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_changes_its_mind_does_not_fill_the_log() {
        let (mut voice, start) = (Voice::default(), Instant::now());
        assert!(!voice.may_be_glad(), "nothing was said");
        let mut said = 0;
        for second in 0..1800 {
            said += u32::from(voice.may_complain(start + Duration::from_secs(second)));
            said += u32::from(voice.may_be_glad());
        }
        assert_eq!(said, 6, "three complaints, three times glad");
    }
}
