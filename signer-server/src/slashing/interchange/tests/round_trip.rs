//! Through a real database: what an import leaves, what an export says, how watermarks move.

use std::io::Cursor;

use midslot_tests::postgres::{PostgresCluster, TestDatabase};
use tempfile::TempDir;

use super::*;
use crate::slashing::{
    Administration, AdministrationOptions, DatabaseUrl, ExportError, HighWatermark, ImportError,
    ImportOptions, ImportReport, LowWatermark, PostgresOptions, RecordsError, Selection,
    SurveyedFile,
};

const CHAIN: Root = Root([0x11; 32]);

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

/// Where the database of a test is. Dropped, it is removed.
enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Place {
    async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Backend::Postgres => {
                let cluster = PostgresCluster::shared().await.unwrap();
                Self::Postgres(cluster.database().await.unwrap())
            }
        }
    }

    async fn open(&self) -> Administration {
        let database = match self {
            Self::Sqlite(folder) => DatabaseUrl::Sqlite(folder.path().join("slashing.sqlite")),
            Self::Postgres(database) => database.url().parse().unwrap(),
        };
        let options = AdministrationOptions {
            database,
            postgres: PostgresOptions::default(),
            marker_directories: vec![],
            accept_new_database: false,
            create: true,
        };
        Administration::open(options).await.unwrap()
    }
}

pub(super) struct Scene {
    // Declared first: let go before the place is removed.
    pub(super) database: Administration,
    place: Place,
}

impl Scene {
    pub(super) async fn new(backend: Backend) -> Self {
        let place = Place::new(backend).await;
        Self { database: place.open().await, place }
    }

    /// What is durable, by a new reading.
    pub(super) async fn reopen(self) -> Self {
        let Self { database, place } = self;
        database.close().await.unwrap();
        Self { database: place.open().await, place }
    }

    pub(super) async fn import(&mut self, text: &str) -> Result<ImportReport, ImportError> {
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

    pub(super) async fn export(&mut self) -> String {
        let mut output = Vec::new();
        self.database.export(Selection::All, None, &mut output).await.unwrap();
        String::from_utf8(output).unwrap()
    }

    pub(super) async fn records(&mut self) -> Vec<KeyRecords> {
        self.database.records().await
    }
}

/// A file in which one key has these records, in this order.
pub(super) fn file_of(key: u8, votes: &[RecordedAttestation], blocks: &[RecordedBlock]) -> String {
    let mut writer = FileWriter::new(Vec::new(), &CHAIN).unwrap();
    let (attestations, blocks) = (votes.to_vec(), blocks.to_vec());
    writer.write(&KeyExport { key: PublicKey([key; 48]), blocks, attestations }).unwrap();
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

async fn import_is_durable_and_the_second_time_changes_nothing(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn all_or_nothing_unless_a_part_is_enough(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn other_chains_are_refused(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn import_never_enables_a_key(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn watermarks_go_up_only_and_stay_apart(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn export_of_some_keys_names_them_alone_and_refuses_unknown_ones(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

async fn objects_of_one_key_are_merged_wherever_they_are(backend: Backend) {
    let mut scene = Scene::new(backend).await;
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

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Backend::Sqlite).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Backend::Postgres).await;
            })*
        }
    };
}

on_both!(
    import_is_durable_and_the_second_time_changes_nothing,
    all_or_nothing_unless_a_part_is_enough,
    other_chains_are_refused,
    import_never_enables_a_key,
    watermarks_go_up_only_and_stay_apart,
    export_of_some_keys_names_them_alone_and_refuses_unknown_ones,
    objects_of_one_key_are_merged_wherever_they_are,
);
