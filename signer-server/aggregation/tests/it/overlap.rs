//! Which children are taken, and how overlaps are repaired.

use midslot_aggregation::{Child, Entry, KeepReason, Options, Overlap, VerifyMode};

use crate::committee::{
    AGGREGATE, EACH, assert_each_entry_once, bits, child, committee, prove, proved_positions, raw,
    signature_of_other_message, signed_by, single, sum_of,
};

const SUBTRACT: [Options; 2] = [
    Options { verify: VerifyMode::Each, overlap: Overlap::Subtract },
    Options { verify: VerifyMode::Aggregate, overlap: Overlap::Subtract },
];

#[test]
fn the_disjoint_choice_is_the_best_one_not_the_greedy_one() {
    for options in [EACH, AGGREGATE] {
        let mut group = committee(12);
        // Greedy takes the first and is stuck with 6.
        group.children = vec![
            child(12, &[2, 3, 4, 5, 6, 7]),
            child(12, &[0, 1, 2, 3, 4]),
            child(12, &[5, 6, 7, 8, 9]),
        ];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), (0..10).collect::<Vec<_>>());
        assert_eq!(outcome.used, [Entry::Child(1), Entry::Child(2)]);
        assert_eq!(outcome.covered, [Entry::Child(0)]);
    }
}

#[test]
fn a_child_that_cannot_be_merged_is_kept_if_it_has_something_the_aggregate_has_not() {
    for options in [EACH, AGGREGATE] {
        let mut group = committee(8);
        group.children = vec![child(8, &[0, 1, 2]), child(8, &[2, 3]), child(8, &[1, 2])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2]);
        assert_eq!(outcome.covered, [Entry::Child(2)]);
        assert_eq!(outcome.unprocessed.len(), 1);
        assert_eq!(outcome.unprocessed[0].entry, Entry::Child(1));
        assert_eq!(outcome.unprocessed[0].reason, KeepReason::Overlap);
        assert_each_entry_once(&group, &outcome);
    }
}

#[test]
fn equal_coverage_takes_fewer_children_and_then_the_first_in_ssz_order() {
    let mut group = committee(4);
    group.children =
        vec![child(4, &[2, 3]), child(4, &[0, 1]), child(4, &[0, 1, 2, 3]), child(4, &[3])];
    assert_eq!(prove(&group, EACH).used, [Entry::Child(2)]);

    let mut group = committee(4);
    // 0b0110 is before 0b1100, and neither goes with the other.
    group.children = vec![child(4, &[2, 3]), child(4, &[1, 2])];
    let outcome = prove(&group, EACH);
    assert_eq!(outcome.used, [Entry::Child(1)]);
}

#[test]
fn a_child_that_adds_nothing_to_the_singles_is_covered() {
    let mut group = signed_by(4, &[0, 1, 2]);
    group.children = vec![child(4, &[0, 1])];
    let outcome = prove(&group, EACH);
    assert_eq!(outcome.covered, [Entry::Child(0)]);
    assert_eq!(outcome.used.len(), 3);
}

#[test]
fn singles_fill_what_children_leave_out_and_are_covered_where_they_do_not() {
    for options in [EACH, AGGREGATE] {
        let mut group = signed_by(6, &[0, 4]);
        group.children = vec![child(6, &[0, 1, 2])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 4]);
        assert_eq!(outcome.used, [Entry::Single(1), Entry::Child(0)]);
        assert_eq!(outcome.covered, [Entry::Single(0)]);
    }
}

#[test]
fn overlaps_with_known_singles_are_taken_away() {
    for options in SUBTRACT {
        let mut group = signed_by(10, &[3, 4]);
        // Position 3 is in three children, so it is taken away twice.
        group.children =
            vec![child(10, &[0, 1, 3]), child(10, &[2, 3, 4]), child(10, &[3, 4, 5, 6])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), (0..7).collect::<Vec<_>>());
        assert_eq!(outcome.used, [Entry::Child(0), Entry::Child(1), Entry::Child(2)]);
        assert_eq!(outcome.covered, [Entry::Single(0), Entry::Single(1)]);
        assert_eq!(
            outcome.aggregate.expect("an aggregate").signature,
            sum_of(&[0, 1, 2, 3, 4, 5, 6]).compress()
        );
    }
}

#[test]
fn an_overlap_without_a_known_single_stays_apart() {
    for options in SUBTRACT {
        let mut group = signed_by(8, &[2]);
        group.children = vec![child(8, &[0, 1, 2, 3]), child(8, &[2, 3, 4])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 3]);
        assert_eq!(outcome.unprocessed[0].entry, Entry::Child(1));
    }
}

#[test]
fn a_false_single_never_repairs_an_overlap() {
    for options in SUBTRACT {
        let mut group = committee(8);
        group.singles = vec![single(2, &signature_of_other_message(2))];
        group.children = vec![child(8, &[0, 1, 2]), child(8, &[2, 3])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2]);
        assert_eq!(outcome.rejected.len(), 1);
        assert_each_entry_once(&group, &outcome);
    }
}

#[test]
fn a_false_child_gives_way_to_the_next_best() {
    for options in [EACH, AGGREGATE] {
        let mut group = signed_by(8, &[7]);
        let all = [0, 1, 2, 3, 4, 5];
        let false_one = Child { bits: Some(bits(8, &all)), signature: raw(&sum_of(&[0, 1])) };
        group.children = vec![false_one, child(8, &[0, 1, 2]), child(8, &[3, 4])];
        let outcome = prove(&group, options);
        assert_eq!(proved_positions(&group, &outcome), [0, 1, 2, 3, 4, 7]);
        assert_eq!(outcome.rejected[0].entry, Entry::Child(0));
    }
}

#[test]
fn more_than_sixteen_children_are_chosen_greedily_and_the_same_way_each_time() {
    for options in [EACH, AGGREGATE] {
        let mut group = committee(40);
        group.children = (0..20).map(|pair| child(40, &[2 * pair, 2 * pair + 1])).collect();
        group.children.push(child(40, &[1, 2, 3]));
        let outcome = prove(&group, options);
        // The largest comes first and blocks two pairs; all others are disjoint.
        assert_eq!(proved_positions(&group, &outcome).len(), 3 + 18 * 2);
        group.children.reverse();
        assert_eq!(prove(&group, options).aggregate, outcome.aggregate);
    }
}
