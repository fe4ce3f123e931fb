//! What a thread does that proves groups, one after the other, of whatever job's turn it is.
//!
//! It gives way to the threads that sign and has no access to keys. A panic costs its own group: the
//! group is reported as failed inside, and the thread goes on with a new prover.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use midslot_aggregation::{GroupEnd, GroupOutcome, StopReason};

use super::{
    job::{GroupResult, GroupStatus, Phases},
    jobs::{Jobs, Signing},
    point_cache::Points,
    prover::{JobCheckpoint, Prover},
    task::Task,
    view,
};
use crate::telemetry::metrics::Metrics;

/// Proves until there will be nothing to prove any more. What is to be signed of a job that is proved
/// is handed to `sign`, which does not wait for it.
pub(super) fn run<P: Prover>(
    jobs: &Arc<Jobs>,
    points: &Points,
    metrics: &Metrics,
    new_prover: impl Fn() -> P,
    sign: impl Fn(Signing),
) {
    let mut prover = new_prover();
    while let Some(task) = jobs.next_task() {
        let span = tracing::debug_span!("aggregate_group", job = %task.job, group = task.group);
        let (result, outcome) = span.in_scope(|| {
            let mut checkpoint = JobCheckpoint::new(task.deadline, &task.is_cancelled, jobs.now());
            let group = &task.snapshot.groups[task.group];
            let finished = catch_unwind(AssertUnwindSafe(|| {
                let options = task.snapshot.options;
                let mut outcome = prover.prove(&group.inputs, options, points, &mut checkpoint);
                let result = result(&task, Some(&mut outcome), checkpoint.finish());
                (result, Some(outcome))
            }));
            finished.unwrap_or_else(|_| {
                // Nobody knows what state its buffers are in.
                prover = new_prover();
                (result(&task, None, checkpoint.finish()), None)
            })
        });
        let group = &task.snapshot.groups[task.group];
        metrics.aggregation_group_ended(group, &result, outcome.as_ref());
        if let Some(signing) = jobs.finish_group(&task, result) {
            sign(signing);
        }
    }
}

fn result(task: &Task, mut outcome: Option<&mut GroupOutcome>, phases: Phases) -> GroupResult {
    let mut aggregate = outcome.as_mut().and_then(|outcome| outcome.aggregate.take());
    let status = match (&outcome, &aggregate) {
        (None, _) => GroupStatus::Internal,
        (Some(outcome), aggregate) => match (outcome.end, aggregate) {
            (GroupEnd::Stopped(StopReason::Deadline), _) => GroupStatus::Deadline,
            (GroupEnd::Stopped(StopReason::Cancelled), _) => GroupStatus::Cancelled,
            (GroupEnd::SelfCheckFailed, _) => GroupStatus::SelfCheckFailed,
            (GroupEnd::Complete, None) => GroupStatus::Empty,
            (GroupEnd::Complete, Some(aggregate))
                if aggregate.bits.count() < u32::from(task.snapshot.min_coverage) =>
            {
                GroupStatus::TooFewSigners
            }
            (GroupEnd::Complete, Some(_)) => GroupStatus::Complete,
        },
    };
    if status != GroupStatus::Complete {
        aggregate = None;
    }
    let json = view::group_json(
        task.group,
        status,
        &task.snapshot,
        aggregate.as_ref(),
        outcome.as_deref(),
        phases,
    );
    let subject = task.snapshot.groups[task.group].subject;
    GroupResult { group: task.group, subject, status, aggregate, phases, json }
}
