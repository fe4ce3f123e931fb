//! Through a real database: what an import leaves, what an export says, and that an importer refuses
//! everything that the source refuses.

use std::io::Cursor;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::slashing::{
    Administration, AdministrationOptions, DatabaseUrl, ExportError, HighWatermark, ImportError,
    ImportOptions, ImportReport, LowWatermark, RecordsError, Selection, SurveyedFile,
    rules::{self, Verdict},
    store::records::Snapshot,
};

const CHAIN: Root = Root([0x11; 32]);

struct Scene {
    folder: TempDir,
    path: std::path::PathBuf,
    database: Administration,
}

async fn open(path: &std::path::Path) -> Administration {
    let options = AdministrationOptions {
        database: DatabaseUrl::Sqlite(path.to_owned()),
        marker_directories: vec![],
        accept_new_database: false,
        create: true,
    };
    Administration::open(options).await.unwrap()
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slashing.sqlite");
        let database = open(&path).await;
        Self { folder, path, database }
    }

    /// What is durable, by a new reading of the file.
    async fn reopen(self) -> Self {
        let Self { folder, path, database } = self;
        database.close().await.unwrap();
        let database = open(&path).await;
        Self { folder, path, database }
    }

    async fn import(&mut self, text: &str) -> Result<ImportReport, ImportError> {
        self.import_with(text, ImportOptions::default()).await
    }

    async fn import_with(
        &mut self,
        text: &str,
        options: ImportOptions,
    ) -> Result<ImportReport, ImportError> {
        let source = SurveyedFile::new(Cursor::new(text.to_owned().into_bytes())).unwrap();
        self.database.import(source, options).await
    }

    async fn export(&mut self) -> String {
        let mut output = Vec::new();
        self.database.export(Selection::All, None, &mut output).await.unwrap();
        String::from_utf8(output).unwrap()
    }

    async fn records(&mut self) -> Vec<KeyRecords> {
        let mut snapshot = self.database.snapshot().await.unwrap();
        let keys = snapshot.keys().to_vec();
        snapshot.read(&keys).await.unwrap()
    }
}

/// A file in which one key has these records, in this order.
fn file_of(key: u8, votes: &[RecordedAttestation], blocks: &[RecordedBlock]) -> String {
    let mut writer = FileWriter::new(Vec::new(), &CHAIN).unwrap();
    let (attestations, blocks) = (votes.to_vec(), blocks.to_vec());
    writer.write(&KeyExport { key: PublicKey([key; 48]), blocks, attestations }).unwrap();
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[tokio::test]
async fn import_is_durable_and_the_second_time_changes_nothing() {
    let mut scene = Scene::new().await;
    let file = file_of(1, &[vote(2, 3, 1), vote(3, 4, 2)], &[block(90, 3)]);
    let report = scene.import(&file).await.unwrap();
    assert_eq!((report.imported[0].attestations_added, report.imported[0].blocks_added), (2, 1));
    assert!(report.imported[0].changed);
    let records = scene.records().await;
    assert_eq!(records[0].attestation, attestation_state((2, 3), (3, 4)));
    assert_eq!(records[0].block, block_state(90, 90));

    let mut scene = scene.reopen().await;
    assert_eq!(scene.records().await, records);
    let report = scene.import(&file).await.unwrap();
    assert!(!report.imported[0].changed, "{report:?}");
    assert_eq!((report.imported[0].attestations_added, report.imported[0].blocks_added), (0, 0));
    assert_eq!(scene.reopen().await.records().await, records);
}

#[tokio::test]
async fn all_or_nothing_unless_a_part_is_enough() {
    let mut scene = Scene::new().await;
    let good = file_of(1, &[vote(2, 3, 1)], &[]);
    let bad = good.replace(
        "\"data\": [",
        &format!(
            "\"data\": [{{\"pubkey\":\"0x{}\",\"signed_blocks\":[{{\"slot\":\"x\"}}]}},",
            "02".repeat(48)
        ),
    );
    let error = scene.import(&bad).await.unwrap_err();
    assert!(matches!(&error, ImportError::KeysFailed { failures } if failures.len() == 1));
    let mut scene = scene.reopen().await;
    assert_eq!(scene.records().await, []);

    let partial = ImportOptions { allow_partial: true, ..ImportOptions::default() };
    let report = scene.import_with(&bad, partial).await.unwrap();
    assert_eq!((report.imported.len(), report.failures.len()), (1, 1));
    let mut scene = scene.reopen().await;
    let records = scene.records().await;
    assert_eq!(records.iter().map(|records| records.key).collect::<Vec<_>>(), [PublicKey([1; 48])]);
}

#[tokio::test]
async fn other_chains_are_refused() {
    let mut scene = Scene::new().await;
    let file = file_of(1, &[vote(2, 3, 1)], &[]);
    let network = ImportOptions {
        network_genesis_validators_root: Some(Root([0x99; 32])),
        ..ImportOptions::default()
    };
    let error = scene.import_with(&file, network).await.unwrap_err();
    assert!(matches!(error, ImportError::OtherNetwork { .. }), "{error}");
    // Nothing has named a chain yet.
    let error = scene.database.export(Selection::All, None, &mut Vec::new()).await.unwrap_err();
    assert!(matches!(error, ExportError::NoChain), "{error}");

    scene.import(&file).await.unwrap();
    let mut scene = scene.reopen().await;
    let other = file.replace(&CHAIN.to_string(), &Root([0x99; 32]).to_string());
    let error = scene.import(&other).await.unwrap_err();
    assert!(matches!(error, ImportError::Records(RecordsError::OtherChain { .. })), "{error}");
    let network = Some(Root([0x99; 32]));
    let error = scene.database.export(Selection::All, network, &mut Vec::new()).await.unwrap_err();
    assert!(matches!(error, ExportError::Records(RecordsError::OtherChain { .. })), "{error}");
}

#[tokio::test]
async fn import_never_enables_a_key() {
    let mut scene = Scene::new().await;
    let key = PublicKey([1; 48]);
    scene.import(&file_of(1, &[vote(2, 3, 1)], &[])).await.unwrap();
    scene.database.set_enabled(&[key], false).await.unwrap();
    scene.import(&file_of(1, &[vote(5, 6, 1)], &[block(7, 1)])).await.unwrap();
    let mut scene = scene.reopen().await;
    let records = scene.records().await;
    assert!(!records[0].attestation.enabled && !records[0].block.enabled);
    assert_eq!(records[0].attestations.len(), 2);
    scene.database.set_enabled(&[key], true).await.unwrap();
    let records = scene.reopen().await.records().await;
    assert!(records[0].attestation.enabled && records[0].block.enabled);
}

#[tokio::test]
async fn watermarks_go_up_only_and_stay_apart() {
    let mut scene = Scene::new().await;
    let low = |epoch, slot| LowWatermark { epoch: Epoch(epoch), slot: Slot(slot) };
    let high = |epoch, slot| HighWatermark { epoch: Epoch(epoch), slot: Slot(slot) };
    let error = scene.database.raise_floors(Selection::All, low(1, 1)).await.unwrap_err();
    assert!(matches!(error, RecordsError::NoKeys), "{error}");
    scene.import(&file_of(1, &[vote(2, 3, 1)], &[])).await.unwrap();
    scene.import(&file_of(2, &[vote(9, 10, 1)], &[block(320, 1)])).await.unwrap();
    let (first, second) = (PublicKey([1; 48]), PublicKey([2; 48]));

    // A key that is not known changes nothing.
    let named = [first, PublicKey([9; 48])];
    let error = scene.database.raise_floors(Selection::Keys(&named), low(5, 5)).await.unwrap_err();
    assert!(matches!(error, RecordsError::UnknownKeys { count: 1, .. }), "{error}");
    let named = Selection::Keys(&[first, first]);
    assert_eq!(scene.database.raise_floors(named, low(5, 160)).await.unwrap(), 1);
    let mut scene = scene.reopen().await;
    let records = scene.records().await;
    assert_eq!(records[0].attestation, attestation_state((5, 5), (5, 5)));
    assert_eq!(records[0].block, block_state(160, 160));
    assert_eq!(records[1].attestation, attestation_state((9, 10), (9, 10)));

    assert_eq!(scene.database.raise_floors(Selection::All, low(4, 170)).await.unwrap(), 2);
    let records = scene.records().await;
    assert_eq!(records[0].attestation, attestation_state((5, 5), (5, 5)));
    assert_eq!(records[0].block, block_state(170, 170));
    assert_eq!(records[1].attestation, attestation_state((9, 10), (9, 10)));
    assert_eq!(records[1].block, block_state(320, 320));

    for (at_or_below, place) in [(high(10, 999), "epoch 10"), (high(11, 320), "slot 320")] {
        let error = scene.database.set_high_watermark(Some(at_or_below)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(place) && text.contains(&second.to_string()), "{text}");
    }
    scene.database.set_high_watermark(Some(high(11, 321))).await.unwrap();
    for above in [low(12, 1), low(1, 322)] {
        let error = scene.database.raise_floors(Selection::All, above).await.unwrap_err();
        assert!(matches!(error, RecordsError::LowAboveHigh { .. }), "{error}");
    }
    let mut scene = scene.reopen().await;
    let error = scene.database.raise_floors(Selection::All, low(12, 1)).await.unwrap_err();
    assert!(matches!(error, RecordsError::LowAboveHigh { .. }), "after a restart: {error}");
    scene.database.set_high_watermark(None).await.unwrap();
    scene.database.raise_floors(Selection::All, low(12, 1)).await.unwrap();
}

#[tokio::test]
async fn export_of_some_keys_names_them_alone_and_refuses_unknown_ones() {
    let mut scene = Scene::new().await;
    for key in [3, 1, 2] {
        scene.import(&file_of(key, &[vote(2, 3, key)], &[])).await.unwrap();
    }
    let keys = [PublicKey([3; 48]), PublicKey([1; 48])];
    let mut output = Vec::new();
    let count = scene.database.export(Selection::Keys(&keys), None, &mut output).await.unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let named: Vec<_> = value["data"].as_array().unwrap().iter().map(|o| &o["pubkey"]).collect();
    assert_eq!(count, 2);
    assert_eq!(named, [&keys[1].to_string(), &keys[0].to_string()], "ascending");

    let unknown = [keys[0], PublicKey([9; 48])];
    let mut output = Vec::new();
    let error =
        scene.database.export(Selection::Keys(&unknown), None, &mut output).await.unwrap_err();
    assert!(error.to_string().contains(&unknown[1].to_string()), "{error}");
    assert!(output.is_empty(), "nothing was written before");
}

#[tokio::test]
async fn objects_of_one_key_are_merged_wherever_they_are() {
    let mut scene = Scene::new().await;
    let first = file_of(1, &[vote(4, 5, 1)], &[]);
    let between = file_of(2, &[vote(8, 9, 1)], &[]);
    let last = file_of(1, &[vote(3, 4, 2)], &[block(6, 2)]);
    let mut joined: serde_json::Value = serde_json::from_str(&first).unwrap();
    for other in [between, last] {
        let mut other: serde_json::Value = serde_json::from_str(&other).unwrap();
        joined["data"].as_array_mut().unwrap().push(other["data"][0].take());
    }
    let report = scene.import(&joined.to_string()).await.unwrap();
    assert_eq!(report.imported.len(), 2);
    let records = scene.records().await;
    // One file, one minimum: merged one after the other the floor would be (4, 5).
    assert_eq!(records[0].attestation, attestation_state((3, 4), (4, 5)));
    assert_eq!(records[0].attestations, [vote(3, 4, 2), vote(4, 5, 1)]);
    assert_eq!(records[0].blocks, [block(6, 2)]);
}

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

async fn run(changes: Vec<Change>) {
    let mut source = Scene::new().await;
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

    let mut importer = Scene::new().await;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn importer_refuses_what_the_source_refused_and_exports_the_same(changes in changes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(changes));
    }
}
