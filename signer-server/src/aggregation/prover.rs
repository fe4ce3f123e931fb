//! The prove step as the worker calls it: the pure core, with a clock, randomness and a cache lent
//! to it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use midslot_aggregation::{
    Checkpoint, Control, Group, GroupOutcome, Options, Phase, Scratch, StopReason, aggregate_group,
};
use tracing::{Span, debug_span, span::EnteredSpan};

use super::{job::Phases, jobs::Now, point_cache::Points};

/// Proves groups. A thread has one of its own: what it keeps from group to group is buffers.
pub(super) trait Prover: Send {
    /// Proves one group until the checkpoint says stop.
    fn prove(
        &mut self,
        group: &Group,
        options: Options,
        points: &Points,
        checkpoint: &mut JobCheckpoint<'_>,
    ) -> GroupOutcome;
}

/// Proves BLS groups.
#[derive(Debug, Default)]
pub(super) struct BlsProver {
    scratch: Scratch,
}

impl Prover for BlsProver {
    fn prove(
        &mut self,
        group: &Group,
        options: Options,
        mut points: &Points,
        checkpoint: &mut JobCheckpoint<'_>,
    ) -> GroupOutcome {
        let mut seed = [0; 32];
        // Without randomness nothing can be told of single entries, so there is no going on.
        getrandom::fill(&mut seed).expect("the operating system has randomness");
        aggregate_group(group, options, &mut self.scratch, &mut points, &seed, checkpoint)
    }
}

/// The deadline and the cancellation of a job, and where the time of one of its groups goes.
pub(super) struct JobCheckpoint<'a> {
    deadline: Instant,
    is_cancelled: &'a AtomicBool,
    now: &'a Now,
    phase: Option<(Phase, Instant, EnteredSpan)>,
    phases: Phases,
}

impl<'a> JobCheckpoint<'a> {
    pub(super) fn new(deadline: Instant, is_cancelled: &'a AtomicBool, now: &'a Now) -> Self {
        Self { deadline, is_cancelled, now, phase: None, phases: Phases::default() }
    }

    fn end_phase(&mut self, now: Instant) {
        if let Some((phase, since, _span)) = self.phase.take() {
            self.phases.add(phase, now.saturating_duration_since(since));
        }
    }

    /// The times, once the group is done.
    pub(super) fn finish(&mut self) -> Phases {
        self.end_phase((self.now)());
        self.phases
    }
}

impl Checkpoint for JobCheckpoint<'_> {
    fn check(&mut self) -> Control {
        // Only a flag: nothing is read that another thread wrote before.
        if self.is_cancelled.load(Ordering::Relaxed) {
            Control::Stop(StopReason::Cancelled)
        } else if (self.now)() >= self.deadline {
            Control::Stop(StopReason::Deadline)
        } else {
            Control::Continue
        }
    }

    fn enter(&mut self, phase: Phase) {
        let now = (self.now)();
        self.end_phase(now);
        self.phase = Some((phase, now, phase_span(phase).entered()));
    }
}

/// The span of a phase, inside of the one of its group. Its name is that of the phase in answers.
fn phase_span(phase: Phase) -> Span {
    match phase {
        Phase::Decode => debug_span!("decode"),
        Phase::Select => debug_span!("select"),
        Phase::Sum => debug_span!("sum"),
        Phase::Verify => debug_span!("verify"),
        Phase::Bisect => debug_span!("bisect"),
        Phase::SelfCheck => debug_span!("self_check"),
    }
}
