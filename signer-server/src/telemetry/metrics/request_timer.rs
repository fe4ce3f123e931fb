//! The obligation of one request to be counted.

use std::{sync::Arc, time::Instant};

use super::Metrics;
use crate::{audit::Outcome, duty::DutyType};

/// Counts and times one request to the sign endpoint when it ends. Dropped unfinished, because its
/// client went away, it counts as [`Outcome::Abandoned`].
#[derive(Debug)]
#[must_use = "dropping a timer counts the request as abandoned"]
pub struct RequestTimer {
    metrics: Arc<Metrics>,
    arrived: Instant,
    duty_type: Option<DutyType>,
    outcome: Outcome,
}

impl RequestTimer {
    /// Starts for a request that arrived then.
    pub fn start(metrics: Arc<Metrics>, arrived: Instant) -> Self {
        Self { metrics, arrived, duty_type: None, outcome: Outcome::Abandoned }
    }

    /// Notes what is asked for; `None` when the body was not readable that far.
    pub fn name_type(&mut self, duty_type: Option<DutyType>) {
        self.duty_type = duty_type;
    }

    /// Ends the request.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        self.metrics.request_finished(self.duty_type, self.outcome, self.arrived.elapsed());
    }
}
