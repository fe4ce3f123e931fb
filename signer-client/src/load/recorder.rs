//! Where results come together: what was sent when, and whether its answer came in time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    stats::{Failure, Kind, Phase, Stats},
    verify::{Claim, Verifier},
};
use crate::{
    selection::BasisPoints,
    wire::{Root, Signature, Slot},
};

/// The instants of the slots on the runtime's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    /// Start of the first slot.
    pub(super) origin: Instant,
    pub(super) first: Slot,
    /// The first slot whose requests count.
    pub(super) observed_from: Slot,
    pub(super) slot_duration: Duration,
}

impl Timeline {
    /// So far into a slot that is not before the first one.
    pub(super) fn instant(&self, slot: Slot, at: BasisPoints) -> Instant {
        let slots = u32::try_from(slot.0.saturating_sub(self.first.0)).unwrap_or(u32::MAX);
        self.origin + self.slot_duration.saturating_mul(slots) + at.of(self.slot_duration)
    }

    fn phase(&self, instant: Instant) -> Phase {
        let since = instant.saturating_duration_since(self.origin).as_nanos();
        let into_slot = since % self.slot_duration.as_nanos().max(1);
        let into_slot = u64::try_from(into_slot).unwrap_or(u64::MAX);
        Phase::of(Duration::from_nanos(into_slot), self.slot_duration)
    }

    pub(super) fn counts(&self, slot: Slot) -> bool {
        slot >= self.observed_from
    }
}

/// A signature of the key in this place over this root.
pub(super) type Signed = (usize, Root, Signature);

/// Takes results.
pub(super) struct Recorder {
    pub(super) timeline: Timeline,
    pub(super) stats: Arc<Stats>,
    pub(super) verifier: Option<Verifier>,
}

impl Recorder {
    /// A request that is sent now, in the course of `slot`, and is missed when not signed by `due`.
    pub(super) fn begin(&self, kind: Kind, slot: Slot, due: Option<Instant>) -> Pending<'_> {
        let sent = Instant::now();
        let place = (kind, self.timeline.phase(sent));
        Pending { recorder: self, place, sent, due, counts: self.timeline.counts(slot), open: true }
    }

    fn verify(&self, place: (Kind, Phase), (key, root, signature): Signed) {
        if let Some(verifier) = &self.verifier {
            verifier.check(Claim { place, key, root, signature });
        }
    }
}

/// A request under way. Dropped without an end it counts as unanswered.
pub(super) struct Pending<'a> {
    recorder: &'a Recorder,
    place: (Kind, Phase),
    sent: Instant,
    due: Option<Instant>,
    counts: bool,
    open: bool,
}

impl Pending<'_> {
    /// The answer to a request for one signature.
    pub(super) fn end(mut self, result: Result<Signed, Failure>) {
        self.settle(result.map(|_| ()));
        if let Ok(signed) = result {
            self.recorder.verify(self.place, signed);
        }
    }

    /// The answer to a request for many, or for none.
    pub(super) fn end_with(mut self, signed: Vec<Signed>, failure: Option<Failure>) {
        self.settle(failure.map_or(Ok(()), Err));
        for signed in signed {
            self.recorder.verify(self.place, signed);
        }
    }

    fn settle(&mut self, result: Result<(), Failure>) {
        self.open = false;
        if self.counts {
            let now = Instant::now();
            let in_time = self.due.is_none_or(|due| result.is_ok() && now <= due);
            let result = result.map(|()| now - self.sent);
            self.recorder.stats.add(self.place, result, in_time);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.open {
            self.settle(Err(Failure::Unanswered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        let timeline = Timeline {
            origin: Instant::now(),
            first: Slot(100),
            observed_from: Slot(101),
            slot_duration: Duration::from_secs(12),
        };
        Recorder { timeline, stats: Arc::new(Stats::default()), verifier: None }
    }

    const SIGNED: Result<Signed, Failure> = Ok((0, Root::ZERO, Signature::ZERO));

    #[tokio::test(start_paused = true)]
    async fn instants_follow_the_slots() {
        let timeline = recorder().timeline;
        let into = |slot, at| timeline.instant(Slot(slot), BasisPoints(at)) - timeline.origin;
        assert_eq!(into(100, 0), Duration::ZERO);
        assert_eq!(into(102, 5000), Duration::from_secs(30));
        assert_eq!(into(100, 25_000), Duration::from_secs(30));
        assert_eq!(timeline.phase(timeline.origin + Duration::from_secs(29)), Phase::Attesting);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_failed_or_dropped_is_missed() {
        let recorder = recorder();
        let due = Some(Instant::now() + Duration::from_secs(4));
        let begin = || recorder.begin(Kind::Block, Slot(101), due);
        let (in_time, late) = (begin(), begin());
        in_time.end(SIGNED);
        begin().end(Err(Failure::Status(412)));
        drop(begin());
        tokio::time::advance(Duration::from_secs(5)).await;
        late.end(SIGNED);
        let series = &recorder.stats.series()[&(Kind::Block, Phase::Proposing)];
        assert_eq!((series.sent, series.missed, series.failed()), (4, 3, 2));
        assert_eq!(series.failures[&Failure::Unanswered], 1);
        assert!((series.max_ms().unwrap() - 5000.0).abs() < 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn warm_up_does_not_count() {
        let recorder = recorder();
        recorder.begin(Kind::Block, Slot(100), None).end(SIGNED);
        assert!(recorder.stats.series().is_empty());
    }
}
