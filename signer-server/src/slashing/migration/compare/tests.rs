use super::*;
use crate::slashing::rules::{AttestationState, BlockState};

fn epochs(source: u64, target: u64) -> VoteEpochs {
    VoteEpochs { source: Epoch(source), target: Epoch(target) }
}

fn vote(source: u64, target: u64, root: Option<u8>) -> RecordedAttestation {
    let VoteEpochs { source, target } = epochs(source, target);
    RecordedAttestation { source, target, signing_root: root.map(|byte| Root([byte; 32])) }
}

fn block(slot: u64, root: Option<u8>) -> RecordedBlock {
    RecordedBlock { slot: Slot(slot), signing_root: root.map(|byte| Root([byte; 32])) }
}

/// Votes 5 -> 6 and 6 -> 7, blocks 30 and 40, floors at the first of each.
fn records() -> KeyRecords {
    KeyRecords {
        key: PublicKey([1; 48]),
        attestation: AttestationState {
            enabled: true,
            floor: Some(epochs(5, 6)),
            max: Some(epochs(6, 7)),
        },
        block: BlockState { enabled: true, floor: Some(Slot(30)), max: Some(Slot(40)) },
        attestations: vec![vote(5, 6, Some(1)), vote(6, 7, Some(2))],
        blocks: vec![block(30, Some(1)), block(40, None)],
    }
}

#[test]
fn a_copy_that_refuses_as_much_or_more_has_no_gap() {
    let original = records();
    let same = |change: fn(&mut KeyRecords)| {
        let mut copy = records();
        change(&mut copy);
        assert_eq!(lack(&original, &copy), None, "{copy:?}");
    };
    same(|_| {});
    same(|copy| copy.attestations.reverse());
    same(|copy| copy.attestations[1].signing_root = None);
    same(|copy| copy.blocks[0].signing_root = None);
    same(|copy| copy.attestations.push(vote(7, 8, Some(3))));
    same(|copy| {
        copy.attestation.floor = Some(epochs(6, 7));
        copy.attestations.clear();
    });
    same(|copy| {
        copy.block.floor = Some(Slot(40));
        copy.blocks.clear();
    });
    same(|copy| copy.attestation.enabled = false);
}

#[test]
fn a_copy_that_would_sign_more_has_a_gap() {
    let original = records();
    let gap = |change: fn(&mut KeyRecords), expected| {
        let mut copy = records();
        change(&mut copy);
        assert_eq!(lack(&original, &copy), Some(expected), "{copy:?}");
    };
    gap(|copy| copy.attestation.floor = Some(epochs(5, 5)), Lack::AttestationLimit);
    gap(|copy| copy.attestation.floor = None, Lack::AttestationLimit);
    gap(|copy| copy.attestation.max = Some(epochs(6, 6)), Lack::AttestationLimit);
    gap(|copy| copy.block.floor = Some(Slot(29)), Lack::BlockLimit);
    gap(|copy| copy.block.max = None, Lack::BlockLimit);
    gap(|copy| copy.attestations.truncate(1), Lack::Attestation(epochs(6, 7)));
    gap(|copy| copy.attestations[1].source = Epoch(5), Lack::Attestation(epochs(6, 7)));
    gap(
        |copy| copy.attestations[1].signing_root = Some(Root([9; 32])),
        Lack::Attestation(epochs(6, 7)),
    );
    gap(|copy| copy.blocks.truncate(1), Lack::Block(Slot(40)));
    gap(|copy| copy.blocks[1].signing_root = Some(Root([9; 32])), Lack::Block(Slot(40)));
    gap(|copy| copy.blocks[0].signing_root = Some(Root([9; 32])), Lack::Block(Slot(30)));
}

#[test]
fn what_the_original_does_not_know_is_counted() {
    let original = records();
    let count = |change: fn(&mut KeyRecords)| {
        let mut copy = records();
        change(&mut copy);
        count_beyond(&original, &copy)
    };
    assert_eq!(count(|_| {}), 0);
    assert_eq!(count(|copy| copy.attestations.clear()), 0);
    assert_eq!(count(|copy| copy.attestations.push(vote(7, 8, None))), 1);
    assert_eq!(count(|copy| copy.attestations[0].source = Epoch(4)), 1);
    assert_eq!(count(|copy| copy.blocks.extend([block(35, None), block(41, None)])), 2);
    // Its records were pruned away since.
    assert_eq!(count(|copy| copy.block.max = Some(Slot(50))), 1);
    assert_eq!(count(|copy| copy.attestation.max = Some(epochs(6, 9))), 1);
}
