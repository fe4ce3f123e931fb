//! What is counted of the aggregation worker: jobs and how they end, groups, entries, and where the
//! time goes.

use std::time::Duration;

use midslot_aggregation::{GroupOutcome, Phase};
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use super::{
    Metrics,
    labels::{AggregationEntry, AggregationJob, AggregationSkip, ByLabel},
    names,
    page::Page,
};
use crate::aggregation::{
    Ending, GroupStatus,
    job::{DropReason, GroupResult},
    snapshot::SnapshotGroup,
    view,
};

/// Why a job did no work, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregationDrop {
    /// A newer one took its place.
    Superseded,
    /// One of a later slot was pending.
    Stale,
    /// The lane was busy, and it would rather be refused; or too many lanes were.
    Rejected,
    /// The signer was stopped.
    Shutdown,
}

/// What became of the aggregation jobs since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregationCounts {
    /// Jobs that were taken.
    pub accepted: u64,
    /// Of these, those that ended, by how.
    pub ended: Vec<(&'static str, u64)>,
    /// Jobs that did no work, by why.
    pub dropped: Vec<(&'static str, u64)>,
    /// Jobs that were not taken, by why.
    pub refused: Vec<(&'static str, u64)>,
}

/// Why a job was not taken, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregationRefusal {
    /// The body can't be read.
    Malformed,
    /// The body can be read and makes no sense here, such as a slot outside the window.
    Unprocessable,
    /// A table of public keys is not here.
    TableUnknown,
    /// The lane was busy, and it would rather be refused; or too many lanes were.
    Busy,
    /// Too many bodies wait to be read.
    Overloaded,
    /// The signer is being stopped.
    Shutdown,
    /// A fault of this program.
    Internal,
}

#[derive(Debug)]
pub(super) struct AggregationMetrics {
    accepted: Counter,
    jobs: ByLabel<AggregationJob, Counter>,
    groups: ByLabel<GroupStatus, Counter>,
    entries: ByLabel<AggregationEntry, Counter>,
    skipped: ByLabel<AggregationSkip, Counter>,
    dropped: ByLabel<AggregationDrop, Counter>,
    refused: ByLabel<AggregationRefusal, Counter>,
    bisections: Counter,
    gained: Counter,
    queue_time: Histogram,
    prep_time: Histogram,
    verify_time: Histogram,
    sign_time: Histogram,
    total_time: Histogram,
    time_to_deadline: Histogram,
    coverage: Histogram,
}

impl AggregationMetrics {
    pub(super) fn new(page: &mut Page) -> Self {
        let times = &names::AGGREGATION_BUCKETS;
        Self {
            accepted: page.counter(names::AGGREGATION_ACCEPTED),
            jobs: page.counters(names::AGGREGATION_JOBS),
            groups: page.counters(names::AGGREGATION_GROUPS),
            entries: page.counters(names::AGGREGATION_ENTRIES),
            skipped: page.counters(names::AGGREGATION_SKIPPED),
            dropped: page.counters(names::AGGREGATION_DROPPED),
            refused: page.counters(names::AGGREGATION_REFUSED),
            bisections: page.counter(names::AGGREGATION_BISECTIONS),
            gained: page.counter(names::AGGREGATION_GAINED),
            queue_time: page.histogram(names::AGGREGATION_QUEUE_TIME, times),
            prep_time: page.histogram(names::AGGREGATION_PREP_TIME, times),
            verify_time: page.histogram(names::AGGREGATION_VERIFY_TIME, times),
            sign_time: page.histogram(names::AGGREGATION_SIGN_TIME, times),
            total_time: page.histogram(names::AGGREGATION_TOTAL_TIME, times),
            time_to_deadline: page
                .histogram(names::AGGREGATION_TIME_TO_DEADLINE, &names::TO_DEADLINE_BUCKETS),
            coverage: page.histogram(names::AGGREGATION_COVERAGE, &names::RATIO_BUCKETS),
        }
    }
}

impl Metrics {
    /// An aggregation job was taken.
    pub fn aggregation_job_accepted(&self) {
        self.aggregation.accepted.inc();
    }

    /// What became of the aggregation jobs so far.
    pub fn aggregation_counts(&self) -> AggregationCounts {
        AggregationCounts {
            accepted: self.aggregation.accepted.get(),
            ended: self.aggregation.jobs.counts(),
            dropped: self.aggregation.dropped.counts(),
            refused: self.aggregation.refused.counts(),
        }
    }

    /// An aggregation job was not taken.
    pub fn aggregation_refused(&self, reason: AggregationRefusal) {
        self.aggregation.refused.get(reason).inc();
    }

    /// Jobs taken, ended and dropped so far.
    #[cfg(test)]
    pub(crate) fn aggregation_tally(&self) -> [u64; 3] {
        let AggregationCounts { accepted, ended, dropped, .. } = self.aggregation_counts();
        let sum = |counts: Vec<(&str, u64)>| counts.into_iter().map(|(_, count)| count).sum();
        [accepted, sum(ended), sum(dropped)]
    }

    /// An aggregation job was started after `waited`.
    pub fn aggregation_started(&self, waited: Duration) {
        self.aggregation.queue_time.observe(waited.as_secs_f64());
    }

    /// What an aggregation job wants to be signed is signed, or will not be.
    pub fn aggregation_signed(&self, took: Duration) {
        self.aggregation.sign_time.observe(took.as_secs_f64());
    }

    /// An aggregation job that was taken ended, `took` after its start if it was started, and so many
    /// seconds before its deadline.
    pub fn aggregation_ended(
        &self,
        ending: Ending,
        took: Option<Duration>,
        seconds_to_deadline: f64,
    ) {
        let metrics = &self.aggregation;
        metrics.jobs.get(ending.into()).inc();
        if let Ending::Dropped(reason) = ending {
            self.aggregation_dropped(match reason {
                DropReason::Superseded { .. } => AggregationDrop::Superseded,
                DropReason::Stale => AggregationDrop::Stale,
                DropReason::Shutdown => AggregationDrop::Shutdown,
            });
        }
        if let Some(took) = took {
            metrics.total_time.observe(took.as_secs_f64());
            metrics.time_to_deadline.observe(seconds_to_deadline);
        }
    }

    /// An aggregation job did no work.
    pub fn aggregation_dropped(&self, reason: AggregationDrop) {
        self.aggregation.dropped.get(reason).inc();
    }

    /// A group of an aggregation job was proved, in whatever way it ended. Without the verdicts if it
    /// failed inside.
    pub fn aggregation_group_ended(
        &self,
        group: &SnapshotGroup,
        result: &GroupResult,
        outcome: Option<&GroupOutcome>,
    ) {
        let metrics = &self.aggregation;
        metrics.groups.get(result.status).inc();
        let count = |entry, entries: usize| {
            metrics.entries.get(entry).inc_by(entries as u64);
        };
        let Some(outcome) = outcome else {
            count(AggregationEntry::Unprocessed, group.entries());
            metrics.skipped.get(AggregationSkip::Internal).inc_by(group.entries() as u64);
            return;
        };
        let good = outcome.used.len() + outcome.covered.len();
        if result.status == GroupStatus::TooFewSigners {
            count(AggregationEntry::Unprocessed, good);
            metrics.skipped.get(AggregationSkip::TooFewSigners).inc_by(good as u64);
        } else {
            count(AggregationEntry::Used, outcome.used.len());
            count(AggregationEntry::Covered, outcome.covered.len());
        }
        count(AggregationEntry::Rejected, outcome.rejected.len());
        count(AggregationEntry::Unprocessed, outcome.unprocessed.len());
        for rejected in &outcome.rejected {
            let note = group.notes.get(&rejected.entry);
            let reason = note.map_or(rejected.reason, |note| note.reason);
            metrics.skipped.get(AggregationSkip::Rejected(reason)).inc();
        }
        for kept in &outcome.unprocessed {
            metrics.skipped.get(AggregationSkip::Kept(kept.reason)).inc();
        }
        if outcome.counts.bisect_checks > 0 {
            metrics.bisections.inc();
        }
        let phases = &result.phases;
        let sum = |some: &[Phase]| some.iter().map(|phase| phases.of(*phase)).sum::<Duration>();
        let prep = sum(&[Phase::Decode, Phase::Select, Phase::Sum]);
        let verify = sum(&[Phase::Verify, Phase::Bisect, Phase::SelfCheck]);
        metrics.prep_time.observe(prep.as_secs_f64());
        metrics.verify_time.observe(verify.as_secs_f64());
        if let Some(aggregate) = &result.aggregate {
            let positions = f64::from(group.inputs.bits_len.get());
            metrics.coverage.observe(f64::from(aggregate.bits.count()) / positions);
            metrics.gained.inc_by(u64::from(view::gained(group, aggregate)));
        }
    }
}
