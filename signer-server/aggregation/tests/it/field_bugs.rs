//! What went wrong in aggregators of other clients, one test for each that belongs to the prove step.

use std::sync::Arc;

use midslot_aggregation::{
    Child, Counts, Entry, Group, GroupEnd, KeyBytes, KeyTable, Options, Overlap, RejectReason,
    SignatureBytes, VerifyMode,
};

use crate::committee::{
    AGGREGATE, EACH, MESSAGE, assert_each_entry_once, bits, bits_len, child, committee, negative,
    prove, proved_positions, public_key, raw, rejections, signature, signature_of_other_message,
    signed_by, single, sum, sum_of,
};

/// A snapshot that shared signature handles with the store crashed when the store freed them. A
/// group owns its bytes, by type: it borrows nothing, and may go to another thread.
#[test]
fn snapshots_do_not_share_handles_with_a_store() {
    fn owns_all<T: Send + Sync + 'static>(it: T) -> T {
        it
    }
    let mut store = vec![signature(0), signature(1)];
    let group = owns_all(Group {
        singles: (0..).zip(&store).map(|(at, signature)| single(at, signature)).collect(),
        ..committee(2)
    });
    // What the store does afterwards is nothing to the group.
    store.fill(signature_of_other_message(0));
    drop(store);
    let outcome = std::thread::spawn(move || prove(&group, EACH)).join().expect("no panic");
    assert_eq!(outcome.used.len(), 2);
}

/// Groups vanished without a word. Whatever goes in comes out with a verdict.
#[test]
fn nothing_is_skipped_silently() {
    let mut group = signed_by(8, &[0, 1, 1, 2]);
    group.singles.push(single(3, &signature_of_other_message(3)));
    group.singles.push(single(8, &signature(3)));
    let nobody = Child { bits: Some(bits(8, &[])), ..child(8, &[0]) };
    group.children =
        vec![child(8, &[4, 5]), child(8, &[5, 6]), child(8, &[0]), child(7, &[0]), nobody];
    for verify in [VerifyMode::Each, VerifyMode::Aggregate, VerifyMode::None] {
        for overlap in [Overlap::Disjoint, Overlap::Subtract] {
            let outcome = prove(&group, Options { verify, overlap });
            assert_eq!(outcome.end, GroupEnd::Complete);
            assert_each_entry_once(&group, &outcome);
        }
    }
    // The smallest of groups is no reason to do nothing.
    let alone = signed_by(8, &[5]);
    assert_eq!(proved_positions(&alone, &prove(&alone, EACH)), [5]);
}

/// One bad signature killed the whole proof, without saying which.
#[test]
fn one_bad_signature_poisons_nothing_but_itself() {
    for options in [EACH, AGGREGATE] {
        for bad in 0..8u16 {
            let mut group = signed_by(8, &(0..8).collect::<Vec<_>>());
            let place = usize::from(bad);
            group.singles[place] = single(bad, &signature_of_other_message(place));
            let outcome = prove(&group, options);
            assert_eq!(
                rejections(&outcome),
                [(Entry::Single(place), RejectReason::InvalidSignature)]
            );
            let others: Vec<_> = (0..8).filter(|&position| position != bad).collect();
            assert_eq!(proved_positions(&group, &outcome), others);
        }
    }
}

/// Malformed input brought the prover down.
#[test]
fn malformed_signatures_do_not_panic() {
    for first in 0..=u8::MAX {
        let mut bytes = [first; 96];
        bytes[95] = 1;
        let mut group = signed_by(4, &[0]);
        group.singles.push(single(1, &signature(1)));
        group.singles[1].signature = SignatureBytes::Compressed(bytes);
        group.children =
            vec![Child { bits: Some(bits(4, &[2])), signature: SignatureBytes::Compressed(bytes) }];
        let outcome = prove(&group, EACH);
        assert_eq!(outcome.rejected.len(), 2, "{first:#x}");
        assert_eq!(outcome.used, [Entry::Single(0)]);
    }
}

/// Two bad signatures of one pair of validators killed small groups.
#[test]
fn a_group_of_two_with_one_bad_signature_gives_the_other() {
    for options in [EACH, AGGREGATE] {
        let mut group = signed_by(2, &[0, 1]);
        group.singles[0] = single(0, &signature_of_other_message(0));
        assert_eq!(proved_positions(&group, &prove(&group, options)), [1]);
    }
}

/// An aggregator published proofs that all others refused. What is released has been verified from
/// its very bytes against its very bits.
#[test]
fn what_is_released_verifies_elsewhere() {
    let shift = signature_of_other_message(30);
    for options in [EACH, AGGREGATE] {
        let mut group = signed_by(8, &[2, 3]);
        group.singles.push(single(0, &sum(&[signature(0), shift])));
        group.singles.push(single(1, &sum(&[signature(1), negative(&shift)])));
        let outcome = prove(&group, options);
        let positions = proved_positions(&group, &outcome);
        match options.verify {
            // Each fails alone, and blinding finds both.
            VerifyMode::Each => {
                assert_eq!(positions, [2, 3]);
                assert_eq!(
                    rejections(&outcome),
                    [2, 3].map(|it| (Entry::Single(it), RejectReason::InvalidSignature))
                );
            }
            // They cancel out, so the aggregate is good. Nothing is said of them alone.
            _ => assert_eq!(positions, [0, 1, 2, 3]),
        }

        // With one half of the pair taken out by a child, the rest does not cancel out any more.
        group.children = vec![child(8, &[0, 4, 5])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 2, 3, 4, 5]);
        assert!(rejections(&outcome).contains(&(Entry::Single(3), RejectReason::InvalidSignature)));
    }
    let whole = sum_of(&[0, 1]);
    let mut group = committee(4);
    group.children = vec![Child { bits: Some(bits(4, &[0, 2])), signature: raw(&whole) }];
    assert_eq!(prove(&group, AGGREGATE).aggregate, None, "a signature of other positions");
}

/// An estimate of the cost locked out every later group. The work on a group does not depend on the
/// groups before it, and is the same each time.
#[test]
fn no_group_is_refused_for_what_earlier_ones_took() {
    let counts = |group: &Group| {
        let outcome = prove(group, EACH);
        assert_eq!(outcome.end, GroupEnd::Complete);
        Counts { ..outcome.counts }
    };
    let mut costly = signed_by(40, &(0..40).collect::<Vec<_>>());
    for (at, single_at) in (0..).zip(&mut costly.singles) {
        *single_at = single(at, &signature_of_other_message(usize::from(at)));
    }
    let cheap = signed_by(40, &[0, 1]);
    let before = counts(&cheap);
    counts(&costly);
    assert_eq!(counts(&cheap), before);
}

/// Many bad signatures: the search for them by halves goes over to ever smaller parts, so that nobody
/// can make it cost much more than checking each would, and one in eight still costs less.
#[test]
fn the_more_entries_are_bad_the_smaller_the_parts_that_are_checked() {
    // 64 validators, each at eight positions.
    let keys = (0..512).map(|position| KeyBytes::Compressed(public_key(position % 64)));
    let whole = Group {
        message: MESSAGE,
        bits_len: bits_len(512),
        keys: Arc::new(KeyTable(keys.collect())),
        singles: (0..512).map(|at| single(at, &signature(usize::from(at % 64)))).collect(),
        children: Vec::new(),
    };
    let wrong = signature_of_other_message(0);
    let checks = |bad: &dyn Fn(u16) -> bool| {
        let mut group = whole.clone();
        for position in (0..512).filter(|&position| bad(position)) {
            group.singles[usize::from(position)] = single(position, &wrong);
        }
        prove(&group, EACH).counts.bisect_checks
    };
    assert!(checks(&|position| position % 8 == 0) <= 440, "one in eight");
    assert!(checks(&|_| true) <= 540, "all");
    assert!(checks(&|position| position % 8 != 0) <= 590, "seven in eight");
}

/// The same where entries are few.
#[test]
fn blame_costs_at_most_two_checks_for_each_entry() {
    let mut group = signed_by(60, &(0..60).collect::<Vec<_>>());
    for bad in (0..60u16).filter(|position| position % 8 != 0) {
        group.singles[usize::from(bad)] =
            single(bad, &signature_of_other_message(usize::from(bad)));
    }
    let outcome = prove(&group, EACH);
    assert_eq!(outcome.rejected.len(), 52);
    assert_eq!(outcome.used.len(), 8);
    assert!(outcome.counts.bisect_checks <= 2 * 60, "{:?}", outcome.counts);

    // One bad signature of 64, the last in order: one check for each level, since what is implied by
    // a good left half is not checked again.
    let mut group = signed_by(64, &(0..64).collect::<Vec<_>>());
    group.singles[7] = single(7, &signature_of_other_message(7));
    let outcome = prove(&group, EACH);
    assert_eq!(outcome.rejected.len(), 1);
    assert_eq!(outcome.counts.bisect_checks, 6);
}
