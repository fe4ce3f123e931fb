//! What only the SQLite store can get wrong: settings, schema, damaged data, failing disks.

mod files;
mod oracle;
mod pruning;
mod trail;

use std::path::PathBuf;

use signer_client::wire::{Epoch, Root};
use tempfile::TempDir;

use super::*;
use crate::{
    audit::{Buffer, Client, Writer},
    slashing::{OpenError, refusal::Refusal},
};

const CHAIN: Root = Root([9; 32]);

struct Scene {
    folder: TempDir,
    store: SqliteStore,
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("slashing.sqlite")
}

async fn open_in(folder: &TempDir) -> Result<SqliteStore, OpenError> {
    let path = database(folder);
    let request = OpenRequest {
        path: &path,
        places: None,
        network_root: None,
        accept_new_database: false,
        safe_start: None,
    };
    Ok(SqliteStore::open(request).await?.store)
}

/// A new database with ten keys.
async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_in(&folder).await.unwrap();
    let keys: Vec<PublicKey> = (0..10).map(|number| PublicKey([number; 48])).collect();
    store.register(&keys).await.unwrap();
    Scene { folder, store }
}

fn vote(key: u8, source: u64, target: u64, root: u8) -> Request<VoteEpochs> {
    let ticket =
        Writer::new(Buffer::new("test", i64::from(key) * 1_000 + 1)).begin(Client::default(), "");
    Request {
        key: PublicKey([key; 48]),
        subject: VoteEpochs { source: Epoch(source), target: Epoch(target) },
        signing_root: Root([root; 32]),
        genesis_validators_root: CHAIN,
        audit: ticket.unconfirmed().unwrap(),
    }
}

impl Scene {
    async fn execute(&mut self, sql: &'static str) {
        sqlx::query(sql).execute(self.store.connection().unwrap()).await.unwrap();
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.connection().unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn settings_are_in_force_and_a_weaker_one_is_noticed() {
    let mut scene = scene().await;
    connect::check_settings(scene.store.connection().unwrap()).await.unwrap();
    for (weaken, restore, name) in [
        ("PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL", "synchronous"),
        ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON", "foreign_keys"),
        ("PRAGMA locking_mode = NORMAL", "PRAGMA locking_mode = EXCLUSIVE", "locking_mode"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = WAL", "journal_mode"),
    ] {
        scene.execute(weaken).await;
        let error = connect::check_settings(scene.store.connection().unwrap()).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::WeakSetting { setting, .. } if *setting == name),
            "{name}: {error}"
        );
        scene.execute(restore).await;
    }
}

#[tokio::test]
async fn state_survives_a_restart_exactly() {
    let Scene { folder, mut store } = scene().await;
    let batch = [vote(1, 3, 4, 1), vote(2, 0, 9, 2)];
    assert_eq!(store.clear_attestations(&batch).await.unwrap(), [Decision::New; 2]);
    let later = [vote(1, 4, 7, 1)];
    assert_eq!(store.clear_attestations(&later).await.unwrap(), [Decision::New]);
    let block = Request {
        key: PublicKey([1; 48]),
        subject: Slot(77),
        signing_root: Root([1; 32]),
        genesis_validators_root: CHAIN,
        audit: vote(3, 1, 1, 1).audit,
    };
    assert_eq!(store.clear_blocks(&[block]).await.unwrap(), [Decision::New]);
    let (keys, identity) = (store.state.keys.clone(), store.identity());
    store.close().await.unwrap();

    let store = open_in(&folder).await.unwrap();
    assert_eq!(store.state.keys, keys);
    assert_eq!(store.identity(), identity);
    assert_eq!(store.state.genesis_validators_root, Some(CHAIN));
    let state = store.state.keys[&PublicKey([1; 48])].attestation;
    let epochs = |source, target| Some(VoteEpochs { source: Epoch(source), target: Epoch(target) });
    assert_eq!((state.floor, state.max), (epochs(3, 4), epochs(4, 7)));
}

#[tokio::test]
async fn batch_of_every_size_is_recorded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_in(&folder).await.unwrap();
    let key = |number: u16| {
        let mut key = [1; 48];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PublicKey(key)
    };
    let keys: Vec<_> = (0..256).map(key).collect();
    store.register(&keys).await.unwrap();
    let mut expected = 0;
    for size in [1, 3, 5, 21, 85, 255, 256] {
        let batch: Vec<_> = (0..size)
            .map(|number| {
                let request = vote(1, 1, u64::from(size), 1);
                let mut audit = request.audit.clone();
                expected += 1;
                audit.id = expected;
                Request { key: key(number), audit, ..request }
            })
            .collect();
        let decisions = store.clear_attestations(&batch).await.unwrap();
        assert!(decisions.iter().all(|decision| *decision == Decision::New), "{size}");
        let mut scene = Scene { folder: tempfile::tempdir().unwrap(), store };
        assert_eq!(scene.count("SELECT count(*) FROM signed_attestation").await, expected);
        assert_eq!(scene.count("SELECT count(*) FROM audit").await, expected);
        store = scene.store;
    }
}

#[tokio::test]
async fn zero_root_is_stored_as_unknown() {
    let mut scene = scene().await;
    scene.store.clear_attestations(&[vote(1, 1, 2, 0)]).await.unwrap();
    let unknown = "SELECT count(*) FROM signed_attestation WHERE signing_root IS NULL";
    assert_eq!(scene.count(unknown).await, 1);
    let again = scene.store.clear_attestations(&[vote(1, 1, 2, 0)]).await.unwrap();
    assert!(matches!(again[0], Decision::Refused(Refusal::DoubleVote { .. })));
}

#[tokio::test]
async fn poisoned_record_does_not_take_others_with_it() {
    let mut scene = scene().await;
    scene
        .execute(
            "INSERT INTO signed_attestation (validator_id, target_epoch, source_epoch, signed_at) \
             SELECT id, 5, 4, 0 FROM validator WHERE hex(pubkey) LIKE '030303%'",
        )
        .await;
    let batch = [vote(2, 4, 5, 1), vote(3, 4, 5, 1), vote(4, 4, 5, 1)];
    let decisions = scene.store.clear_attestations(&batch).await.unwrap();
    let refused = Decision::Refused(Refusal::RecordInTheWay);
    assert_eq!(decisions, [Decision::New, refused, Decision::New]);
    assert_eq!(scene.count("SELECT count(*) FROM signed_attestation").await, 3);
    // The key stays out of service, and the next start tells.
    let next = scene.store.clear_attestations(&[vote(3, 5, 6, 1)]).await.unwrap();
    assert_eq!(next, [Decision::Refused(Refusal::Disabled)]);
    scene.store.close().await.unwrap();
    let error = open_in(&scene.folder).await.unwrap_err();
    let OpenError::Store { source, .. } = error else { panic!("{error}") };
    assert!(matches!(source, StoreError::StateBehindHistory { keys: 1 }), "{source}");
}

#[tokio::test]
async fn disabled_key_stays_disabled_over_register_and_restart() {
    let mut scene = scene().await;
    for table in [
        "UPDATE att_state SET enabled = 0 WHERE validator_id = 1",
        "UPDATE blk_state SET enabled = 0 WHERE validator_id = 1",
    ] {
        scene.execute(table).await;
    }
    scene.store.close().await.unwrap();
    let mut store = open_in(&scene.folder).await.unwrap();
    store.register(&[PublicKey([0; 48])]).await.unwrap();
    let decisions = store.clear_attestations(&[vote(0, 1, 2, 1)]).await.unwrap();
    assert_eq!(decisions, [Decision::Refused(Refusal::Disabled)]);
}

#[tokio::test]
async fn high_watermark_is_loaded_and_binds() {
    let mut scene = scene().await;
    scene.execute("UPDATE sp_meta SET high_epoch = 10, high_slot = 320").await;
    scene.store.close().await.unwrap();
    let mut store = open_in(&scene.folder).await.unwrap();
    let high = HighWatermark { epoch: Epoch(10), slot: Slot(320) };
    assert_eq!(store.high_watermark(), Some(high));
    let batch = [vote(1, 8, 9, 1), vote(2, 9, 10, 1)];
    let decisions = store.clear_attestations(&batch).await.unwrap();
    assert_eq!(decisions[0], Decision::New);
    assert!(matches!(decisions[1], Decision::Refused(Refusal::EpochAtHighWatermark { .. })));
}

#[tokio::test]
async fn full_disk_leaves_a_state_that_matches_the_database() {
    let mut scene = scene().await;
    scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap();
    // No page more than now.
    let pages = scene.count("PRAGMA page_count").await;
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::query(limit).execute(scene.store.connection().unwrap()).await.unwrap();
    let (mut target, mut recorded) = (2, 2);
    let error = loop {
        target += 1;
        match scene.store.clear_attestations(&[vote(1, 1, target, 1)]).await {
            Ok(_) => recorded = target,
            Err(error) => break error,
        }
        assert!(target < 10_000, "the disk never got full");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");

    scene.store.recover().await.unwrap();
    let state = scene.store.state.keys[&PublicKey([1; 48])].attestation;
    assert_eq!(state.max.unwrap().target, Epoch(recorded));
    let same = scene.store.clear_attestations(&[vote(1, 1, target, 1)]).await.unwrap();
    assert_eq!(same, [Decision::New]);
    let repeat = scene.store.clear_attestations(&[vote(1, 1, target, 1)]).await.unwrap();
    assert_eq!(repeat, [Decision::Repeat]);
}

#[tokio::test]
async fn newer_schema_is_refused_with_both_versions() {
    let mut scene = scene().await;
    scene
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (7, 'from the future', 1, x'00', 0)",
        )
        .await;
    scene.store.close().await.unwrap();
    let error = open_in(&scene.folder).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 7, supported: 2, .. }), "{error}");
}

#[tokio::test]
async fn foreign_and_corrupt_files_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = connect::connect(&database(&folder), true).await.unwrap();
    sqlx::query("CREATE TABLE wallet (id INTEGER)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let error = open_in(&folder).await.unwrap_err();
    assert!(matches!(error, OpenError::ForeignDatabase { .. }), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let garbage = b"this is no database at all, it only lies where one should be".repeat(100);
    std::fs::write(database(&folder), &garbage).unwrap();
    let error = open_in(&folder).await.unwrap_err();
    let OpenError::Store { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(source, StoreError::Corrupt(_)), "{error}");
    assert_eq!(std::fs::read(database(&folder)).unwrap(), garbage);
}

#[tokio::test]
async fn folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = file.join("data").join("slashing.sqlite");
    let request = OpenRequest {
        path: &path,
        places: None,
        network_root: None,
        accept_new_database: false,
        safe_start: None,
    };
    let error = SqliteStore::open(request).await.unwrap_err();
    assert!(matches!(&error, OpenError::Unwritable { path, .. } if path.ends_with("data")));
}

#[tokio::test]
async fn file_held_by_another_program_is_busy() {
    let Scene { folder, store } = scene().await;
    store.close().await.unwrap();
    let holder = connect::connect(&database(&folder), false).await.unwrap();
    let error = open_in(&folder).await.unwrap_err();
    let OpenError::Store { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(source, StoreError::Busy(_)), "{error}");
    holder.close().await.unwrap();
    open_in(&folder).await.unwrap();
}
