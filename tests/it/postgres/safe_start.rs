//! `--safe-start` on a database that several signers share.

use midslot_tests::postgres::TestDatabase;
use signer_server::slashing::{MARKER_FILE_NAME, ProtectionState, SafeFloors};
use sqlx::Executor;
use tempfile::TempDir;

use super::*;

const FLOORS: SafeFloors = SafeFloors { epoch: Epoch(100), slot: Slot(3_205) };

/// A signer's options, with a key folder of its own.
struct Site {
    keys: TempDir,
    url: String,
}

impl Site {
    fn of(database: &TestDatabase) -> Self {
        Self { keys: tempfile::tempdir().unwrap(), url: database.url() }
    }

    fn options(&self) -> OpenOptions {
        OpenOptions { marker_directories: vec![self.keys.path().to_owned()], ..options(&self.url) }
    }

    async fn open(&self) -> Result<SlashingProtection, OpenError> {
        SlashingProtection::open(self.options()).await
    }

    async fn start_safely(&self, floors: SafeFloors) -> SlashingProtection {
        let options = OpenOptions { safe_start: Some(floors), ..self.options() };
        SlashingProtection::open(options).await.unwrap()
    }
}

#[tokio::test]
async fn floors_go_up_for_all_keys_and_those_to_come_and_never_down() {
    let database = database().await;
    let site = Site::of(&database);
    let protection = site.open().await.unwrap();
    protection.register(&[key(0), key(1)]).await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    assert_eq!(said(&protection, 1, &attestation(200, 201, 1)).await, "new");
    assert_eq!(said(&protection, 1, &block(9_000, 1)).await, "new");
    protection.close().await.unwrap();

    let protection = site.start_safely(FLOORS).await;
    protection.register(&[key(2)]).await.unwrap();
    for number in [0, 2] {
        assert_eq!(said(&protection, number, &attestation(99, 100, 1)).await, "source_below_floor");
        assert_eq!(said(&protection, number, &attestation(99, 101, 1)).await, "source_below_floor");
        assert_eq!(said(&protection, number, &attestation(100, 101, 1)).await, "new");
        assert_eq!(said(&protection, number, &block(3_205, 1)).await, "slot_not_above_floor");
        assert_eq!(said(&protection, number, &block(3_206, 1)).await, "new");
    }
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "repeat", "it is on record");
    assert_eq!(said(&protection, 1, &attestation(150, 201, 2)).await, "double_vote");
    assert_ne!(said(&protection, 1, &attestation(199, 202, 2)).await, "new");
    assert_eq!(said(&protection, 1, &block(9_000, 2)).await, "double_proposal");
    assert_eq!(said(&protection, 1, &attestation(201, 202, 1)).await, "new");
    protection.close().await.unwrap();

    // Lower floors lower none, and the next ordinary start is one.
    site.start_safely(SafeFloors { epoch: Epoch(5), slot: Slot(160) }).await.close().await.unwrap();
    let protection = site.open().await.unwrap();
    protection.register(&[key(3)]).await.unwrap();
    assert_eq!(said(&protection, 3, &attestation(100, 100, 1)).await, "target_not_above_floor");
    assert_eq!(said(&protection, 3, &block(3_205, 1)).await, "slot_not_above_floor");
}

#[tokio::test]
async fn lost_database_is_replaced_by_a_safe_start() {
    let (old, new) = (database().await, database().await);
    let site = Site::of(&old);
    let protection = site.open().await.unwrap();
    protection.register(&[key(0)]).await.unwrap();
    protection.close().await.unwrap();
    let site = Site { url: new.url(), ..site };
    let error = site.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseMissing { .. }), "{error}");
    let protection = site.start_safely(FLOORS).await;
    protection.register(&[key(0)]).await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(99, 100, 1)).await, "source_below_floor");
    assert_eq!(said(&protection, 0, &attestation(100, 101, 1)).await, "new");
    protection.close().await.unwrap();
    site.open().await.unwrap();
}

#[tokio::test]
async fn other_signer_halts_and_is_confirmed_before_it_goes_on() {
    let database = database().await;
    let (one, other) = (Site::of(&database), Site::of(&database));
    let live = other.open().await.unwrap();
    let keys: Vec<PublicKey> = (0..5).map(key).collect();
    live.register(&keys).await.unwrap();
    assert_eq!(said(&live, 0, &attestation(1, 2, 1)).await, "new");

    let protection = one.start_safely(FLOORS).await;
    // On the connections that it has, with ids that may mean nothing any more.
    let duty = attestation(100, 101, 7);
    assert_eq!(said(&live, 0, &duty).await, "failed");
    assert!(matches!(live.state(), ProtectionState::Halted { .. }));
    for number in 0..5 {
        assert_eq!(said(&live, number, &attestation(101, 102, 7)).await, "failed");
        assert_eq!(said(&live, number, &block(3_206, 7)).await, "failed");
    }
    drop(live.close().await);
    let error = other.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
    let confirmed = OpenOptions { accept_new_database: true, ..other.options() };
    let live = SlashingProtection::open(confirmed).await.unwrap();
    assert_eq!(said(&live, 1, &attestation(100, 101, 1)).await, "new", "no duty is lost by it");
    assert_eq!(said(&protection, 1, &attestation(100, 101, 2)).await, "double_vote");
}

#[tokio::test]
async fn signers_that_start_safely_together_do_not_halt_each_other() {
    let database = database().await;
    let (one, other) = (Site::of(&database), Site::of(&database));
    for site in [&one, &other] {
        let protection = site.open().await.unwrap();
        protection.register(&[key(0)]).await.unwrap();
        protection.close().await.unwrap();
    }
    let (a, b) = tokio::join!(one.start_safely(FLOORS), other.start_safely(FLOORS));
    assert_eq!(said(&a, 0, &attestation(100, 101, 1)).await, "new");
    assert_eq!(said(&b, 0, &attestation(101, 102, 1)).await, "new");
    b.close().await.unwrap();

    // But a signer that knows of more than the database has is not one of them.
    let marker = other.keys.path().join(MARKER_FILE_NAME);
    let text = std::fs::read_to_string(&marker).unwrap();
    let (before, after) = text.split_once("batches: ").unwrap();
    std::fs::write(&marker, format!("{before}batches: 9{after}")).unwrap();
    other.start_safely(FLOORS).await;
    assert_eq!(said(&a, 0, &attestation(102, 103, 1)).await, "failed");
}

#[tokio::test]
async fn key_that_is_registered_meanwhile_gets_the_floors() {
    let database = database().await;
    let protection = ready(&database.url()).await;
    let mut connection = database.connect().await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    connection.execute("SELECT sp_raise_all_floors(100, 3205)").await.unwrap();
    let registering = tokio::spawn({
        let protection = protection.clone();
        async move { protection.register(&[key(9)]).await }
    });
    // Until the server has it in the queue behind the safe start.
    let mut administrator = database.superuser().await.unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%sp_register%' \
                 AND wait_event_type = 'Lock' AND pid <> pg_backend_pid())";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut administrator).await.unwrap() {
        assert!(!registering.is_finished(), "it did not wait for the floors");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.execute("COMMIT").await.unwrap();
    registering.await.unwrap().unwrap();
    assert_eq!(said(&protection, 9, &attestation(99, 100, 1)).await, "source_below_floor");
    assert_eq!(said(&protection, 9, &block(3_205, 1)).await, "slot_not_above_floor");
}
