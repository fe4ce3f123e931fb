//! Random histories of one key: every import leaves what EIP-3076 demands, and an importer of an
//! export refuses everything that the source refuses.

use proptest::prelude::*;

use super::{
    round_trip::{Backend, Scene, file_of},
    *,
};
use crate::slashing::{
    LowWatermark, Selection,
    rules::{self, Verdict},
};

/// A change to the records of the one key.
#[derive(Clone, Debug)]
enum Change {
    Import { votes: Vec<(u64, u64, u8)>, blocks: Vec<(u64, u8)> },
    Sign { source: u64, target: u64, root: u8 },
    Propose { slot: u64, root: u8 },
    Repair { epoch: u64, slot: u64 },
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let import = (
        prop::collection::vec((0..9_u64, 0..9_u64, 0..3_u8), 0..5),
        prop::collection::vec((0..9_u64, 0..3_u8), 0..4),
    )
        .prop_map(|(votes, blocks)| Change::Import { votes, blocks });
    let sign = (0..9_u64, 0..9_u64, 0..3_u8).prop_map(|(source, target, root)| Change::Sign {
        source,
        target,
        root,
    });
    let propose = (0..9_u64, 0..3_u8).prop_map(|(slot, root)| Change::Propose { slot, root });
    let repair = (0..9_u64, 0..9_u64).prop_map(|(epoch, slot)| Change::Repair { epoch, slot });
    let change = prop_oneof![3 => import, 4 => sign, 2 => propose, 3 => repair];
    prop::collection::vec(change, 1..7)
}

fn refuses_vote(records: &KeyRecords, source: u64, target: u64, byte: u8) -> bool {
    let root = root(byte).unwrap_or(Root::ZERO);
    let (vote, history) = (epochs(source, target), Some(&records.attestations[..]));
    let verdict = rules::attestation(&records.attestation, None, vote, root, history);
    matches!(verdict, Ok(Verdict::Refused(_)))
}

fn refuses_block(records: &KeyRecords, slot: u64, byte: u8) -> bool {
    let root = root(byte).unwrap_or(Root::ZERO);
    let verdict = rules::block(&records.block, None, Slot(slot), root, Some(&records.blocks));
    matches!(verdict, Ok(Verdict::Refused(_)))
}

/// The invariants of a database: maxima above all rows and floors.
fn check_bounds(records: &KeyRecords) {
    let KeyRecords { attestation, block, attestations, blocks, .. } = records;
    for row in attestations {
        let max = attestation.max.unwrap();
        assert!(row.source <= max.source && row.target <= max.target, "{records:?}");
    }
    for row in blocks {
        assert!(Some(row.slot) <= block.max, "{records:?}");
    }
    if let Some(floor) = attestation.floor {
        let max = attestation.max.unwrap();
        assert!(floor.source <= max.source && floor.target <= max.target, "{records:?}");
    }
    assert!(block.floor <= block.max, "{records:?}");
}

async fn apply(scene: &mut Scene, change: &Change) {
    match change {
        Change::Import { votes, blocks } => {
            let votes: Vec<_> =
                votes.iter().map(|(source, target, root)| vote(*source, *target, *root)).collect();
            let blocks: Vec<_> = blocks.iter().map(|(slot, root)| block(*slot, *root)).collect();
            let before = scene.records().await;
            let file = file_of(1, &votes, &blocks);
            scene.import(&file).await.unwrap();
            check_import(&scene.records().await[0], before.first(), &votes, &blocks);
        }
        // What is signed is on record as a row: the same as an import that raises no floor.
        Change::Sign { source, target, root } => {
            scene.database.sign(PublicKey([1; 48]), epochs(*source, *target), *root).await;
        }
        Change::Propose { slot, root } => {
            scene.database.propose(PublicKey([1; 48]), Slot(*slot), *root).await;
        }
        Change::Repair { epoch, slot } => {
            let low = LowWatermark { epoch: Epoch(*epoch), slot: Slot(*slot) };
            scene.database.raise_floors(Selection::All, low).await.unwrap();
        }
    }
}

/// EIP-3076, conditions 1 to 5: what an importer must refuse after this file, whatever it knew.
fn check_import(
    after: &KeyRecords,
    before: Option<&KeyRecords>,
    votes: &[RecordedAttestation],
    blocks: &[RecordedBlock],
) {
    let lowest_source = votes.iter().map(|vote| vote.source.0).min();
    let lowest_target = votes.iter().map(|vote| vote.target.0).min();
    for (source, target, byte) in every_vote() {
        let is_known = |vote: &RecordedAttestation| {
            (vote.source.0, vote.target.0, vote.signing_root) == (source, target, root(byte))
                && byte > 0
        };
        let is_repeat = votes.iter().any(is_known)
            || before.is_some_and(|before| before.attestations.iter().any(is_known));
        let is_slashable = votes.iter().any(|vote| {
            (vote.target.0 == target && !is_known(vote))
                || (vote.source.0 < source && target < vote.target.0)
                || (source < vote.source.0 && vote.target.0 < target)
        });
        let is_low = lowest_source.is_some_and(|lowest| source < lowest)
            || lowest_target.is_some_and(|lowest| target <= lowest);
        let was_refused = before.is_some_and(|before| refuses_vote(before, source, target, byte));
        // A double vote is refused even as a repeat; a repeat of a row outlives raised floors.
        let is_double = votes.iter().any(|vote| vote.target.0 == target && !is_known(vote));
        let must_refuse =
            is_double || (!is_repeat && (is_slashable || is_low)) || (was_refused && !is_repeat);
        if must_refuse {
            assert!(
                refuses_vote(after, source, target, byte),
                "{source} -> {target} root {byte} after {votes:?}: {after:?}, before {before:?}"
            );
        }
    }
    let lowest_slot = blocks.iter().map(|block| block.slot.0).min();
    for (slot, byte) in every_block() {
        let is_known = |block: &RecordedBlock| {
            (block.slot.0, block.signing_root) == (slot, root(byte)) && byte > 0
        };
        let is_double = blocks.iter().any(|block| block.slot.0 == slot && !is_known(block));
        let is_repeat = blocks.iter().any(is_known)
            || before.is_some_and(|before| before.blocks.iter().any(is_known));
        let is_low = lowest_slot.is_some_and(|lowest| slot <= lowest);
        if is_double || (is_low && !is_repeat) {
            assert!(refuses_block(after, slot, byte), "{slot} root {byte} after {blocks:?}");
        }
    }
}

fn every_vote() -> impl Iterator<Item = (u64, u64, u8)> {
    (0..10).flat_map(|source| {
        (0..10).flat_map(move |target| (0..4).map(move |root| (source, target, root)))
    })
}

fn every_block() -> impl Iterator<Item = (u64, u8)> {
    (0..10).flat_map(|slot| (0..4).map(move |root| (slot, root)))
}

async fn run(backend: Backend, changes: Vec<Change>) {
    let mut source = Scene::new(backend).await;
    // Ties the database to a chain.
    source.import(&file_of(1, &[], &[])).await.unwrap();
    for change in &changes {
        let before = source.records().await.remove(0);
        apply(&mut source, change).await;
        let after = source.records().await.remove(0);
        check_bounds(&after);
        assert!(after.attestation.floor.is_some() || before.attestation.floor.is_none());
        assert!(after.block.floor >= before.block.floor && after.block.max >= before.block.max);
    }
    let mut source = source.reopen().await;
    let first = source.export().await;
    let at_source = source.records().await.remove(0);

    let mut importer = Scene::new(backend).await;
    importer.import(&first).await.unwrap();
    let at_importer = importer.records().await.remove(0);
    check_bounds(&at_importer);
    for (source, target, byte) in every_vote() {
        assert!(
            !refuses_vote(&at_source, source, target, byte)
                || refuses_vote(&at_importer, source, target, byte),
            "{source} -> {target} root {byte}: refused by {at_source:?}, not by {at_importer:?}"
        );
    }
    for (slot, byte) in every_block() {
        assert!(
            !refuses_block(&at_source, slot, byte) || refuses_block(&at_importer, slot, byte),
            "slot {slot} root {byte}: refused by {at_source:?}, not by {at_importer:?}"
        );
    }
    // The same file a second time, and the file that the importer writes.
    let report = importer.import(&first).await.unwrap();
    assert!(report.imported.iter().all(|outcome| !outcome.changed), "{report:?}");
    assert_eq!(importer.export().await, first);
}

fn run_alone(backend: Backend, changes: Vec<Change>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(backend, changes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn importer_refuses_what_the_source_refused_and_exports_the_same(changes in changes()) {
        run_alone(Backend::Sqlite, changes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn so_it_does_on_postgresql(changes in changes()) {
        run_alone(Backend::Postgres, changes);
    }
}
