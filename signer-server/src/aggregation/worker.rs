//! A thread that proves groups, one after the other, of whatever job's turn it is.
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
    prover::{JobCheckpoint, Prover},
    shared::{Shared, Task},
    view,
};
use crate::low_priority;

/// Proves until there will be nothing to prove any more.
pub(super) fn run<P: Prover>(shared: &Arc<Shared>, new_prover: impl Fn() -> P) {
    low_priority::enter();
    let mut prover = new_prover();
    while let Some(task) = shared.next_task() {
        let span = tracing::debug_span!("aggregate_group", job = %task.job, group = task.group);
        let result = span.in_scope(|| {
            let mut checkpoint = JobCheckpoint::new(task.deadline, &task.is_cancelled);
            let group = &task.snapshot.groups[task.group];
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let options = task.snapshot.options;
                prover.prove(&group.inputs, options, &shared.points, &mut checkpoint)
            }));
            if outcome.is_err() {
                // Nobody knows what state its buffers are in.
                prover = new_prover();
            }
            result(&task, outcome.ok(), checkpoint.finish())
        });
        shared.metrics.aggregation_group_ended(&task.snapshot.groups[task.group], &result);
        shared.finish_group(&task, result);
    }
}

fn result(task: &Task, mut outcome: Option<GroupOutcome>, phases: Phases) -> GroupResult {
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
        outcome.as_ref(),
        phases,
    );
    let subject = task.snapshot.groups[task.group].subject;
    GroupResult { group: task.group, subject, status, aggregate, outcome, phases, json }
}
