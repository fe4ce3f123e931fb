//! When the next piece of pruning is done: in the turns in which nobody waits for the database.

use std::time::Duration;

use tokio::time::Instant;

use super::Status;
use crate::slashing::store::pruning::{PruningPolicy, PruningStep};

/// How long no block and no attestation must have come in before a step: in the middle of a burst
/// the queues are empty for moments, too.
const QUIET: Duration = Duration::from_millis(50);

/// After this long a step is done even if requests keep coming, so that a signer that is never
/// quiet is pruned as well. The queues are empty even then.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often records are pruned, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruningSchedule {
    /// What is kept.
    pub policy: PruningPolicy,
    /// Time between two runs.
    pub interval: Duration,
    /// Whether the first run begins right after the start instead of an interval later.
    pub at_start: bool,
}

/// The clockwork of the runs. Knows nothing of the database.
#[derive(Debug)]
pub(super) struct Pruner {
    schedule: Option<PruningSchedule>,
    /// When the next step is wanted.
    wanted: Instant,
    last_request: Instant,
    run: Option<Run>,
}

/// A run under way.
#[derive(Clone, Copy, Debug)]
struct Run {
    begun: Instant,
    rows: u64,
}

impl Pruner {
    pub(super) fn new(schedule: Option<PruningSchedule>) -> Self {
        let now = Instant::now();
        let wanted = match schedule {
            Some(PruningSchedule { at_start: false, interval, .. }) => now + interval,
            _ => now,
        };
        Self { schedule, wanted, last_request: now, run: None }
    }

    /// A block or an attestation came.
    pub(super) fn request_came(&mut self) {
        self.last_request = Instant::now();
    }

    /// When a step should be done if nothing comes in before. `None`: never.
    pub(super) fn due(&self) -> Option<Instant> {
        self.schedule.map(|_| {
            let quiet = self.last_request + QUIET;
            self.wanted.max(quiet.min(self.wanted + LONGEST_PAUSE))
        })
    }

    /// The policy for a step that is about to be done.
    pub(super) fn begin_step(&mut self) -> Option<PruningPolicy> {
        let policy = self.schedule?.policy;
        if self.run.is_none() {
            tracing::debug!("pruning begins");
            self.run = Some(Run { begun: Instant::now(), rows: 0 });
        }
        Some(policy)
    }

    /// A step went well.
    pub(super) fn end_step(&mut self, step: PruningStep, status: &Status) {
        let now = Instant::now();
        self.wanted = now;
        status.rows_were_pruned(step.rows);
        let Some(run) = &mut self.run else { return };
        run.rows += step.rows;
        if step.is_last {
            let (rows, took) = (run.rows, now - run.begun);
            tracing::info!(
                rows,
                took_ms = took.as_millis(),
                "pruned the slashing protection database; the floors of the keys are raised to \
                 what went"
            );
            status.pruning_ended(took);
            self.rest();
        }
    }

    /// A step failed: the run is over, what it did is done, and the next one comes in its time.
    pub(super) fn fail_step(&mut self) {
        tracing::error!("pruning stopped in the middle because the database failed");
        self.rest();
    }

    fn rest(&mut self) {
        self.run = None;
        if let Some(PruningSchedule { interval, .. }) = self.schedule {
            self.wanted = Instant::now() + interval;
        }
    }
}
