//! Reading, merging and rendering as pure functions, and the round trip through a database.

mod invariants;
mod parsing;
mod round_trip;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::{
    merge::KeyImport,
    render::{FileWriter, KeyExport},
};
use crate::slashing::{
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{AttestationState, BlockState, VoteEpochs},
    store::records::KeyRecords,
};

const KEY: PublicKey = PublicKey([0xab; 48]);

fn root(byte: u8) -> Option<Root> {
    (byte > 0).then_some(Root([byte; 32]))
}

fn vote(source: u64, target: u64, byte: u8) -> RecordedAttestation {
    RecordedAttestation { source: Epoch(source), target: Epoch(target), signing_root: root(byte) }
}

fn block(slot: u64, byte: u8) -> RecordedBlock {
    RecordedBlock { slot: Slot(slot), signing_root: root(byte) }
}

fn epochs(source: u64, target: u64) -> VoteEpochs {
    VoteEpochs { source: Epoch(source), target: Epoch(target) }
}

fn attestation_state(floor: (u64, u64), max: (u64, u64)) -> AttestationState {
    AttestationState {
        enabled: true,
        floor: Some(epochs(floor.0, floor.1)),
        max: Some(epochs(max.0, max.1)),
    }
}

fn block_state(floor: u64, max: u64) -> BlockState {
    BlockState { enabled: true, floor: Some(Slot(floor)), max: Some(Slot(max)) }
}

/// The entries of a key with these attestations and no blocks.
fn exported(state: AttestationState, rows: &[RecordedAttestation]) -> Vec<RecordedAttestation> {
    let records = KeyRecords {
        key: KEY,
        attestation: state,
        block: BlockState::UNUSED,
        attestations: rows.to_vec(),
        blocks: vec![],
    };
    KeyExport::from(records).attestations
}

fn exported_blocks(state: BlockState, rows: &[RecordedBlock]) -> Vec<RecordedBlock> {
    let records = KeyRecords {
        key: KEY,
        attestation: AttestationState::UNUSED,
        block: state,
        attestations: vec![],
        blocks: rows.to_vec(),
    };
    KeyExport::from(records).blocks
}

#[test]
fn file_is_brought_into_order() {
    let votes = vec![vote(5, 9, 1), vote(2, 3, 2), vote(5, 9, 1), vote(2, 4, 0), vote(2, 4, 3)];
    let blocks = vec![block(7, 1), block(5, 2), block(7, 3), block(5, 2)];
    let import = KeyImport::new(KEY, votes, blocks);
    let votes = import.attestations.unwrap();
    assert_eq!(votes.rows, [vote(2, 3, 2), vote(2, 4, 0), vote(5, 9, 1)]);
    assert_eq!((votes.floor, votes.max), (epochs(2, 3), epochs(5, 9)));
    assert!(!votes.minify && !votes.slashable);
    let blocks = import.blocks.unwrap();
    assert_eq!(blocks.rows, [block(5, 2), block(7, 0)]);
    assert_eq!((blocks.floor, blocks.max), (Slot(5), Slot(7)));
    assert!(blocks.slashable);

    let nothing = KeyImport::new(KEY, vec![], vec![]);
    assert_eq!((nothing.attestations, nothing.blocks), (None, None));
}

#[test]
fn slashable_files_are_noticed() {
    let is_slashable = |votes: &[RecordedAttestation]| {
        KeyImport::new(KEY, votes.to_vec(), vec![]).attestations.unwrap().slashable
    };
    assert!(is_slashable(&[vote(3, 4, 1), vote(2, 5, 1)]), "the second surrounds the first");
    assert!(is_slashable(&[vote(2, 5, 1), vote(3, 4, 1)]), "whatever the order");
    assert!(is_slashable(&[vote(9, 2, 1), vote(3, 4, 1)]), "a source above its target counts");
    assert!(is_slashable(&[vote(2, 5, 1), vote(2, 5, 2)]), "a double vote");
    assert!(is_slashable(&[vote(2, 5, 0), vote(3, 5, 0)]), "another source is another vote");
    assert!(!is_slashable(&[vote(2, 5, 0), vote(2, 5, 2)]), "it may be the same vote");
    assert!(!is_slashable(&[vote(2, 4, 1), vote(2, 5, 1), vote(4, 6, 1)]));
}

#[test]
fn merging_adds_what_is_new_and_raises_floors() {
    let import = KeyImport::new(KEY, vec![vote(4, 5, 1), vote(5, 6, 2)], vec![block(9, 1)]);
    let part = import.attestations.unwrap();
    let merge = part.merge(&attestation_state((1, 2), (4, 5)), &[vote(4, 5, 1), vote(1, 2, 9)]);
    assert_eq!(merge.add, [vote(5, 6, 2)]);
    assert!(merge.forget.is_empty() && !merge.minified);
    assert_eq!(merge.state, attestation_state((4, 5), (5, 6)));

    let merge = part.merge(&AttestationState::UNUSED, &[]);
    assert_eq!(merge.add.len(), 2);
    assert_eq!(merge.state, attestation_state((4, 5), (5, 6)));

    // Floors and maxima never go down, in neither dimension.
    let merge = part.merge(&attestation_state((3, 8), (9, 9)), &[]);
    assert_eq!(merge.state, attestation_state((4, 8), (9, 9)));

    let part = import.blocks.unwrap();
    assert_eq!(part.merge(&block_state(3, 4), &[]).state, block_state(9, 9));
    assert_eq!(part.merge(&block_state(10, 20), &[]).state, block_state(10, 20));
}

#[test]
fn other_root_on_record_is_forgotten_and_no_root_is_learned() {
    let part = |byte| KeyImport::new(KEY, vec![vote(4, 5, byte)], vec![block(9, byte)]);
    let state = attestation_state((4, 5), (4, 5));
    for (in_file, on_record, forgotten) in
        [(1, 1, false), (1, 2, true), (0, 2, true), (1, 0, false), (0, 0, false)]
    {
        let import = part(in_file);
        let merge = import.attestations.unwrap().merge(&state, &[vote(4, 5, on_record)]);
        let case = format!("{in_file} {on_record}");
        assert_eq!(merge.forget, [Epoch(5)][..usize::from(forgotten)], "{case}");
        assert!(merge.add.is_empty() && !merge.minified, "{case}");
        assert_eq!(merge.changes(&state), forgotten, "{case}");
        let merge = import.blocks.unwrap().merge(&block_state(9, 9), &[block(9, on_record)]);
        assert_eq!(merge.forget, [Slot(9)][..usize::from(forgotten)], "{case}");
        assert!(merge.add.is_empty(), "{case}");
    }
}

#[test]
fn two_sources_for_one_target_minify() {
    // In the file.
    let votes = vec![vote(4, 6, 1), vote(5, 6, 1), vote(1, 9, 1)];
    let part = KeyImport::new(KEY, votes, vec![]).attestations.unwrap();
    let merge = part.merge(&AttestationState::UNUSED, &[]);
    assert!(merge.minified && merge.add.is_empty());
    assert_eq!(merge.state, attestation_state((5, 9), (5, 9)));
    // The contradicted row is never signed again, and the second time nothing changes.
    let state = attestation_state((0, 0), (4, 12));
    let merge = part.merge(&state, &[vote(4, 6, 1)]);
    assert_eq!(
        (&merge.forget[..], merge.state),
        (&[Epoch(6)][..], attestation_state((5, 12), (5, 12)))
    );
    assert!(!part.merge(&merge.state, &[vote(4, 6, 0)]).changes(&merge.state));

    // Against the database.
    let part =
        KeyImport::new(KEY, vec![vote(4, 6, 1), vote(6, 7, 1)], vec![]).attestations.unwrap();
    let merge = part.merge(&attestation_state((3, 5), (5, 6)), &[vote(5, 6, 1)]);
    assert!(merge.minified && merge.add.is_empty());
    assert_eq!(merge.forget, [Epoch(6)]);
    assert_eq!(merge.state, attestation_state((6, 7), (6, 7)));
}

#[test]
fn floors_that_are_the_lowest_rows_need_no_entry() {
    let rows = [vote(3, 4, 1), vote(3, 5, 2), vote(4, 6, 3)];
    assert_eq!(exported(attestation_state((3, 4), (4, 6)), &rows), rows);
    // The lowest source and the lowest target may be of two votes.
    let rows = [vote(4, 5, 1), vote(3, 6, 2)];
    assert_eq!(exported(attestation_state((3, 5), (4, 6)), &rows), rows);
    assert_eq!(exported(AttestationState::UNUSED, &[]), []);
    let rows = [block(3, 1), block(5, 2)];
    assert_eq!(exported_blocks(block_state(3, 5), &rows), rows);
    assert_eq!(exported_blocks(BlockState::UNUSED, &[]), []);
}

#[test]
fn floors_above_or_below_all_rows_become_an_entry() {
    // After a pruning: the rows below are gone.
    let rows = [vote(10, 11, 1), vote(11, 12, 2)];
    let expected = [vote(9, 10, 0), rows[0], rows[1]];
    assert_eq!(exported(attestation_state((9, 10), (11, 12)), &rows), expected);
    // After a repair above all rows.
    assert_eq!(exported(attestation_state((20, 20), (20, 20)), &rows), [vote(20, 20, 0)]);
    // After a repair among them, with votes since.
    let rows = [vote(10, 11, 1), vote(20, 21, 2)];
    assert_eq!(exported(attestation_state((20, 20), (20, 21)), &rows), [vote(20, 20, 0), rows[1]]);
    // The floor's own row keeps its root.
    let rows = [vote(1, 2, 1), vote(5, 6, 2), vote(5, 7, 3)];
    assert_eq!(exported(attestation_state((5, 6), (5, 7)), &rows), rows[1..]);
    // No rows at all.
    assert_eq!(exported(attestation_state((7, 8), (7, 8)), &[]), [vote(7, 8, 0)]);

    let rows = [block(3, 1), block(5, 2), block(9, 3)];
    assert_eq!(exported_blocks(block_state(4, 9), &rows), [block(4, 0), rows[1], rows[2]]);
    assert_eq!(exported_blocks(block_state(5, 9), &rows), rows[1..]);
    assert_eq!(exported_blocks(block_state(10, 10), &rows), [block(10, 0)]);
}

#[test]
fn floors_among_the_rows_are_exported_as_the_maxima() {
    // The repair lies between source and target of a vote: kept, the row would lower the floor.
    let rows = [vote(9, 12, 1)];
    assert_eq!(exported(attestation_state((10, 10), (10, 12)), &rows), [vote(10, 12, 0)]);
    // Another source than the floor's for the floor's target.
    let rows = [vote(6, 6, 1), vote(7, 9, 1)];
    assert_eq!(exported(attestation_state((5, 6), (7, 9)), &rows), [vote(7, 9, 0)]);
}

#[test]
fn written_file_is_as_the_standard_says() {
    let mut writer = FileWriter::new(Vec::new(), &Root([1; 32])).unwrap();
    for (key, blocks, attestations) in [
        (1, vec![block(7, 2), block(8, 0)], vec![vote(1, 2, 3), vote(2, 3, 0)]),
        (2, vec![], vec![]),
    ] {
        writer.write(&KeyExport { key: PublicKey([key; 48]), blocks, attestations }).unwrap();
    }
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    let hex = |byte: &str, times| format!("0x{}", byte.repeat(times));
    let expected = serde_json::json!({
        "metadata": {
            "interchange_format_version": "5",
            "genesis_validators_root": hex("01", 32),
        },
        "data": [
            {
                "pubkey": hex("01", 48),
                "signed_blocks": [
                    { "slot": "7", "signing_root": hex("02", 32) },
                    { "slot": "8" },
                ],
                "signed_attestations": [
                    { "source_epoch": "1", "target_epoch": "2", "signing_root": hex("03", 32) },
                    { "source_epoch": "2", "target_epoch": "3" },
                ],
            },
            { "pubkey": hex("02", 48), "signed_blocks": [], "signed_attestations": [] },
        ],
    });
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written, expected);
    // The version comes first: some readers look at it before they read on.
    assert!(text.find("metadata") < text.find("data\": ["));
    let empty = FileWriter::new(Vec::new(), &Root([1; 32])).unwrap().finish().unwrap();
    let empty: serde_json::Value = serde_json::from_slice(&empty).unwrap();
    assert_eq!(empty["data"], serde_json::json!([]));
}
