//! A validator may sit at several positions of a sync subcommittee: its signature counts once for
//! each of them (consensus-specs, altair validator guide, "Broadcast sync committee contribution").

use std::sync::Arc;

use midslot_aggregation::{
    Child, Entry, Group, KeyBytes, KeyTable, Options, Overlap, Positions, RejectReason, Single,
    VerifyMode,
};

use crate::committee::{
    AGGREGATE, EACH, bits, committee, prove, proved_positions, public_key, raw, rejections,
    signature, signature_of_other_message, single, sum_of,
};

/// Validator 0 sits at positions 0, 3 and 5, validator 1 at 1 and 4, validator 2 at 2.
fn subcommittee() -> Group {
    let keys = [0, 1, 2, 0, 1, 0].map(|validator| KeyBytes::Compressed(public_key(validator)));
    Group { keys: Arc::new(KeyTable(keys.to_vec())), ..committee(6) }
}

fn several(positions: &[u16], validator: usize) -> Single {
    Single {
        positions: Positions::Several(positions.into()),
        signature: raw(&signature(validator)),
    }
}

#[test]
fn a_signature_counts_once_for_each_position() {
    for options in [EACH, AGGREGATE] {
        let mut group = subcommittee();
        group.singles = vec![several(&[0, 3, 5], 0), several(&[1, 4], 1), single(2, &signature(2))];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 3, 4, 5]);
        assert_eq!(
            outcome.aggregate.expect("an aggregate").signature,
            sum_of(&[0, 0, 0, 1, 1, 2]).compress()
        );
    }
}

#[test]
fn positions_in_several_entries_count_once() {
    for options in [EACH, AGGREGATE] {
        let mut group = subcommittee();
        group.singles =
            vec![several(&[0, 3], 0), single(3, &signature(0)), single(5, &signature(0))];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 3, 5]);
        assert!(outcome.rejected.is_empty(), "each still stands for a position of its own");
        assert_eq!(outcome.used.len(), 3);

        // Once the lone positions are all taken, the list has nothing of its own.
        group.singles.push(single(0, &signature(0)));
        let outcome = prove(&group, options);
        assert_eq!(rejections(&outcome), [(Entry::Single(0), RejectReason::Duplicate)]);
        assert_eq!(proved_positions(&group, &outcome), [0, 3, 5]);
    }
}

#[test]
fn a_child_with_one_position_of_a_validator_is_filled_up_at_the_others() {
    for overlap in [Overlap::Disjoint, Overlap::Subtract] {
        for verify in [VerifyMode::Each, VerifyMode::Aggregate] {
            let mut group = subcommittee();
            // One contribution per position, as some clients insert them, and a merged one.
            group.children = vec![
                Child { bits: Some(bits(6, &[3])), signature: raw(&signature(0)) },
                Child { bits: Some(bits(6, &[1, 2])), signature: raw(&sum_of(&[1, 2])) },
            ];
            group.singles = vec![several(&[0, 3, 5], 0)];
            let outcome = prove(&group, Options { verify, overlap });
            assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 3, 5]);
        }
    }
}

#[test]
fn overlapping_contributions_are_repaired_position_by_position() {
    for verify in [VerifyMode::Each, VerifyMode::Aggregate] {
        let mut group = subcommittee();
        group.children = vec![
            Child { bits: Some(bits(6, &[0, 1, 3])), signature: raw(&sum_of(&[0, 1, 0])) },
            Child { bits: Some(bits(6, &[0, 2, 3, 4])), signature: raw(&sum_of(&[0, 2, 0, 1])) },
        ];
        group.singles = vec![several(&[0, 3], 0)];
        let outcome = prove(&group, Options { verify, overlap: Overlap::Subtract });
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn positions_of_several_validators_spoil_the_entry_alone() {
    for options in [EACH, AGGREGATE] {
        let mut group = subcommittee();
        group.singles = vec![several(&[0, 1], 0), single(0, &signature(0))];
        let outcome = prove(&group, options);
        assert_eq!(rejections(&outcome), [(Entry::Single(0), RejectReason::Conflict)]);
        assert_eq!(proved_positions(&group, &outcome), [0]);
    }
}

#[test]
fn a_bad_signature_for_several_positions_is_one_bad_entry() {
    for options in [EACH, AGGREGATE] {
        let mut group = subcommittee();
        let bad = raw(&signature_of_other_message(0));
        group.singles =
            vec![Single { signature: bad, ..several(&[0, 3, 5], 0) }, several(&[1, 4], 1)];
        let outcome = prove(&group, options);
        assert_eq!(rejections(&outcome), [(Entry::Single(0), RejectReason::InvalidSignature)]);
        assert_eq!(proved_positions(&group, &outcome), [1, 4]);
    }
}
