//! Servers that went back, were replaced or failed over while no signer was looking: the markers
//! remember.

use std::path::Path;

use midslot_tests::postgres::{PostgresCluster, TestDatabase};
use signer_server::slashing::{
    Administration, AdministrationOptions, LowWatermark, MARKER_FILE_NAME, PostgresOptions,
    ProtectionState, RolledBack, Selection,
};
use sqlx::Executor;
use tempfile::TempDir;

use super::*;

/// How long a marker may take to follow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A signer's key folder and the address of its database.
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

    /// Opened, with key 0.
    async fn ready(&self) -> SlashingProtection {
        let protection = self.open().await.unwrap();
        protection.register(&[key(0)]).await.unwrap();
        protection
    }

    async fn confirm(&self) -> SlashingProtection {
        let options = OpenOptions { accept_new_database: true, ..self.options() };
        SlashingProtection::open(options).await.unwrap()
    }

    /// Why a start is refused; what the operator reads names the marker and both ways out.
    async fn refused(&self, secret: &str) -> RolledBack {
        let error = self.open().await.unwrap_err();
        let text = error.to_string();
        let OpenError::ServerRolledBack { marker, why, .. } = error else { panic!("{text}") };
        assert_eq!(marker, self.marker());
        for word in
            [marker.to_str().unwrap(), "--accept-new-slashing-protection-db", "--safe-start"]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(!text.contains(secret), "{text}");
        why
    }

    fn marker(&self) -> std::path::PathBuf {
        self.keys.path().join(MARKER_FILE_NAME)
    }
}

/// What stands in a line of the marker.
fn line(marker: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(marker).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[tokio::test]
async fn restored_server_is_refused_and_a_confirmed_one_is_another_than_its_copies() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let site = Site::of(&database);
    site.ready().await.close().await.unwrap();
    let older = cluster.base_backup().await.unwrap();
    let protection = site.open().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    protection.close().await.unwrap();
    let newest = cluster.base_backup().await.unwrap();

    cluster.restore(&older).await.unwrap();
    let why = site.refused(database.password()).await;
    assert!(matches!(why, RolledBack::TransactionsLost { .. }), "{why}");

    // The operator says that the record that is missing does not matter.
    site.confirm().await.close().await.unwrap();
    let protection = site.open().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "new");
    protection.close().await.unwrap();
    // The copy that has the record lacks this one, however many transactions it has seen.
    cluster.restore(&newest).await.unwrap();
    let mut connection = database.connect().await.unwrap();
    for _ in 0..100 {
        connection.execute("UPDATE sp_meta SET one = one").await.unwrap();
    }
    let error = site.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
}

#[tokio::test]
async fn fail_over_between_two_starts_is_confirmed_once() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let site = Site::of(&database);
    let protection = site.ready().await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    protection.close().await.unwrap();
    let everything = cluster.base_backup().await.unwrap();
    let before = line(&site.marker(), "timeline");

    cluster.fail_over(&everything).await.unwrap();
    let why = site.refused(database.password()).await;
    assert!(matches!(why, RolledBack::AnotherTimeline { .. }), "{why}");
    let protection = site.confirm().await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "double_vote");
    assert_eq!(said(&protection, 0, &attestation(2, 3, 1)).await, "new", "floors stay");
    protection.close().await.unwrap();
    assert_ne!(line(&site.marker(), "timeline"), before);
    site.open().await.unwrap().close().await.unwrap();
    // The old primary comes back under the address.
    cluster.restore(&everything).await.unwrap();
    let why = site.refused(database.password()).await;
    assert!(matches!(why, RolledBack::AnotherTimeline { .. }), "{why}");
}

/// What the restore of an older dump into the same server leaves: other tables, which lack the vote
/// that was recorded last.
const RESTORE_DUMP: [&str; 7] = [
    "BEGIN",
    "CREATE TABLE copy (LIKE sp_meta INCLUDING ALL)",
    "INSERT INTO copy SELECT * FROM sp_meta",
    "DROP TABLE sp_meta",
    "ALTER TABLE copy RENAME TO sp_meta; DELETE FROM signed_attestation",
    "UPDATE att_state SET floor_source = -1, floor_target = -1, max_source = -1, max_target = -1",
    "COMMIT",
];

/// A signer that runs and whose database becomes an older dump of itself. It has not signed itself
/// what is lost; its connections stay, or not.
async fn signer_beside_a_restored_dump(ends_connections: bool) {
    let database = database().await;
    let site = Site::of(&database);
    let protection = site.ready().await;
    let other = ready(&database.url()).await;
    assert_eq!(said(&other, 0, &attestation(1, 2, 1)).await, "new");
    let mut connection = database.connect().await.unwrap();
    for statement in RESTORE_DUMP {
        connection.execute(sqlx::raw_sql(statement)).await.unwrap();
    }
    if ends_connections {
        database.end_connections().await.unwrap();
    }
    assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "failed");
    assert!(matches!(protection.state(), ProtectionState::Halted { .. }));
    drop(protection.close().await);

    let why = site.refused(database.password()).await;
    assert!(matches!(why, RolledBack::AnotherTable { .. }), "{why}");
    site.confirm().await.close().await.unwrap();
    let protection = site.open().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(2, 3, 1)).await, "new");
}

#[tokio::test]
async fn restored_dump_halts_a_signer_at_its_next_vote_and_is_refused_at_a_start() {
    signer_beside_a_restored_dump(false).await;
}

#[tokio::test]
async fn restored_dump_halts_a_signer_that_connects_again() {
    signer_beside_a_restored_dump(true).await;
}

#[tokio::test]
async fn marker_of_an_earlier_version_is_readable_and_learns() {
    let database = database().await;
    let site = Site::of(&database);
    site.ready().await.close().await.unwrap();
    let marker = site.marker();
    let [system, timeline, table] = ["system", "timeline", "table"].map(|name| line(&marker, name));
    let cluster = line(&marker, "cluster");
    std::fs::write(&marker, format!("cluster: {cluster}\nbatches: 0\ndatabase: x\n")).unwrap();
    site.open().await.unwrap().close().await.unwrap();
    let learnt = ["system", "timeline", "table"].map(|name| line(&marker, name));
    assert_eq!(learnt, [system, timeline, table]);
    assert!(line(&marker, "batches").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn marker_follows_a_signer_that_will_be_killed() {
    let database = database().await;
    let site = Site::of(&database);
    let protection = site.ready().await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    let mut connection = database.connect().await.unwrap();
    let recorded: i64 =
        sqlx::query_scalar("SELECT max(xmin::text::bigint) FROM signed_attestation")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while line(&site.marker(), "batches").parse::<i64>().unwrap() < recorded {
        assert!(tokio::time::Instant::now() < deadline, "the marker never followed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(std::fs::read_dir(site.keys.path()).unwrap().count(), 1, "one file, no leftovers");
}

#[tokio::test]
async fn marker_knows_of_an_operators_change() {
    let database = database().await;
    let site = Site::of(&database);
    site.ready().await.close().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    let options = AdministrationOptions {
        database: site.url.parse().unwrap(),
        postgres: PostgresOptions::default(),
        marker_directories: vec![site.keys.path().to_owned()],
        accept_new_database: false,
        create: false,
    };
    for epoch in 1..3 {
        let mut operator = Administration::open(options.clone()).await.unwrap();
        let low = LowWatermark { epoch: Epoch(epoch), slot: Slot(1) };
        assert_eq!(operator.raise_floors(Selection::All, low).await.unwrap(), 1);
        operator.close().await.unwrap();
        let changed: i64 = sqlx::query_scalar("SELECT max(xmin::text::bigint) FROM att_state")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(line(&site.marker(), "batches").parse::<i64>().unwrap(), changed);
    }
}
