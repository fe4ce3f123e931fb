//! A group can be stopped wherever it asks, and loses nothing by that.

use std::sync::Arc;

use midslot_aggregation::{
    Checkpoint, Control, Group, GroupEnd, KeepReason, NoCache,
    Phase::{self, Bisect, Decode, Select, SelfCheck, Sum, Verify},
    Positions, Scratch, Single, StopReason, aggregate_group,
};

use crate::committee::{
    AGGREGATE, EACH, assert_each_entry_once, bits_len, child, committee, raw, signature,
    signature_of_other_message, signed_by, single,
};

/// Stops at the question after the given number of them.
struct StopAt {
    asked: usize,
    last: usize,
    reason: StopReason,
    phases: Vec<Phase>,
}

impl StopAt {
    fn new(last: usize, reason: StopReason) -> Self {
        Self { asked: 0, last, reason, phases: Vec::new() }
    }
}

impl Checkpoint for StopAt {
    fn check(&mut self) -> Control {
        self.asked += 1;
        assert!(self.asked <= self.last + 1, "asked again after a stop");
        if self.asked > self.last { Control::Stop(self.reason) } else { Control::Continue }
    }

    fn enter(&mut self, phase: Phase) {
        self.phases.push(phase);
    }
}

#[test]
fn every_checkpoint_can_stop_the_group_and_every_entry_is_accounted_for() {
    let mut group = signed_by(64, &(0..60).collect::<Vec<_>>());
    group.singles[7] = single(7, &signature_of_other_message(7));
    group.singles.push(single(99, &signature_of_other_message(9)));
    group.children = vec![child(64, &[60, 61]), child(64, &[62, 63])];
    let mut scratch = Scratch::new();
    for options in [EACH, AGGREGATE] {
        let mut whole = StopAt::new(usize::MAX - 1, StopReason::Deadline);
        let finished =
            aggregate_group(&group, options, &mut scratch, &mut NoCache, &[1; 32], &mut whole);
        assert_eq!(finished.end, GroupEnd::Complete);
        assert!(whole.asked > 10, "asked {} times", whole.asked);
        for (reason, kept) in [
            (StopReason::Deadline, KeepReason::Deadline),
            (StopReason::Cancelled, KeepReason::Cancelled),
        ] {
            for stop_at in 0..whole.asked {
                let mut checkpoint = StopAt::new(stop_at, reason);
                let outcome = aggregate_group(
                    &group,
                    options,
                    &mut scratch,
                    &mut NoCache,
                    &[1; 32],
                    &mut checkpoint,
                );
                assert_eq!(outcome.end, GroupEnd::Stopped(reason));
                assert_eq!(outcome.aggregate, None);
                assert!(outcome.used.is_empty() && outcome.covered.is_empty());
                assert!(outcome.unprocessed.iter().all(|it| it.reason == kept));
                // What was found to be wrong until then is wrong in the end, too.
                assert!(outcome.rejected.iter().all(|it| finished.rejected.contains(it)));
                assert_each_entry_once(&group, &outcome);
            }
        }
    }
}

#[test]
fn phases_come_in_order() {
    let phases = |group, options| {
        let mut checkpoint = StopAt::new(usize::MAX - 1, StopReason::Deadline);
        let mut scratch = Scratch::new();
        aggregate_group(&group, options, &mut scratch, &mut NoCache, &[1; 32], &mut checkpoint);
        checkpoint.phases
    };
    let good = || signed_by(4, &[0, 1, 2]);
    let mut bad = good();
    bad.singles[1] = single(1, &signature_of_other_message(1));
    assert_eq!(phases(good(), EACH), [Decode, Verify, Select, Sum, SelfCheck]);
    assert_eq!(phases(good(), AGGREGATE), [Decode, Select, Sum, SelfCheck]);
    assert_eq!(phases(bad.clone(), EACH), [Decode, Verify, Bisect, Select, Sum, SelfCheck]);
    assert_eq!(
        phases(bad, AGGREGATE),
        [Decode, Select, Sum, SelfCheck, Verify, Bisect, Select, Sum, SelfCheck]
    );
}

#[test]
fn a_deadline_that_has_passed_does_no_work() {
    let mut checkpoint = StopAt::new(0, StopReason::Deadline);
    let group = signed_by(4, &[0]);
    let outcome =
        aggregate_group(&group, EACH, &mut Scratch::new(), &mut NoCache, &[1; 32], &mut checkpoint);
    assert_eq!(outcome.counts.decompressed, 0);
    assert_eq!(outcome.end, GroupEnd::Stopped(StopReason::Deadline));
}

#[test]
fn looking_up_the_keys_of_many_positions_can_be_stopped() {
    // Without a key nothing is decoded: looking them up is all there is to do.
    let mut group = Group { bits_len: bits_len(512), keys: Arc::default(), ..committee(6) };
    let positions = Positions::Several((0..512).collect());
    let claims_all =
        |validator| Single { positions: positions.clone(), signature: raw(&signature(validator)) };
    group.singles = (0..256).map(|number| claims_all(number % 64)).collect();
    let mut whole = StopAt::new(usize::MAX - 1, StopReason::Deadline);
    let mut scratch = Scratch::new();
    let outcome = aggregate_group(&group, EACH, &mut scratch, &mut NoCache, &[1; 32], &mut whole);
    assert_eq!(outcome.rejected.len(), 256);
    assert!(whole.asked >= 256 / 32, "asked {} times", whole.asked);
}
