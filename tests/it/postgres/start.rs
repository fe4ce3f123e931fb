//! What a start makes of a database, and which databases it refuses.

use midslot_tests::postgres::{PostgresCluster, TestDatabase};
use signer_server::slashing::{MARKER_FILE_NAME, MigrateMode, PostgresOptions, StoreError};
use sqlx::Executor;

use super::*;

/// The error and the text that the operator sees, which never holds the password.
async fn refused(url: &str, secret: &str) -> (OpenError, String) {
    let error = try_open(url).await.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains(secret) && !format!("{error:?}").contains(secret), "{text}");
    (error, text)
}

fn store_error(error: &OpenError) -> &StoreError {
    match error {
        OpenError::Store { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn signers_that_start_together_on_an_empty_database_agree() {
    let database = database().await;
    let url = database.url();
    let (a, b, c) = tokio::join!(ready(&url), ready(&url), ready(&url));
    assert_eq!(said(&a, 0, &attestation(1, 2, 1)).await, "new");
    assert_eq!(said(&b, 0, &attestation(1, 2, 1)).await, "repeat");
    assert_eq!(said(&c, 0, &attestation(1, 2, 2)).await, "double_vote");
    let mut connection = database.connect().await.unwrap();
    let (databases, keys): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM sp_meta), (SELECT count(*) FROM validator)")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!((databases, keys), (1, 5));
}

/// Tables without ours beside them may be half of what another signer makes at this moment.
#[tokio::test]
async fn what_is_there_before_its_own_turn_does_not_count() {
    let database = database().await;
    let mut other = database.connect().await.unwrap();
    other.execute("CREATE TABLE half (made int)").await.unwrap();
    let turn = "hashtext('midslot schema'), hashtext(current_schema())";
    let take_turn = format!("SELECT pg_advisory_lock({turn})");
    other.execute(sqlx::AssertSqlSafe(take_turn)).await.unwrap();
    let url = database.url();
    let waiting = tokio::spawn(async move { try_open(&url).await });
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut other).await.unwrap() {
        assert!(!waiting.is_finished(), "it does not wait for its turn");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    other.execute("DROP TABLE half").await.unwrap();
    let end_turn = format!("SELECT pg_advisory_unlock({turn})");
    other.execute(sqlx::AssertSqlSafe(end_turn)).await.unwrap();
    waiting.await.unwrap().unwrap().close().await.unwrap();
}

/// Longer than a signature waits for a connection or an answer.
const SLOW: Duration = Duration::from_secs(6);

#[tokio::test]
async fn start_waits_for_a_server_that_is_slow() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let (paused, locked) = (cluster.database().await.unwrap(), cluster.database().await.unwrap());
    open(&locked.url()).await.close().await.unwrap();
    let mut import = locked.connect().await.unwrap();
    import.execute(sqlx::raw_sql("BEGIN; SELECT FROM sp_meta FOR UPDATE")).await.unwrap();
    let url = locked.url();
    let waiting = tokio::spawn(async move { try_open(&url).await });
    tokio::time::sleep(SLOW).await;
    import.execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap().close().await.unwrap();

    cluster.pause().unwrap();
    let url = paused.url();
    let waiting = tokio::spawn(async move { try_open(&url).await });
    tokio::time::sleep(SLOW).await;
    cluster.resume().unwrap();
    waiting.await.unwrap().unwrap().close().await.unwrap();
}

#[tokio::test]
async fn records_outlive_the_process() {
    let database = database().await;
    let first = ready(&database.url()).await;
    assert_eq!(said(&first, 0, &attestation(1, 2, 1)).await, "new");
    assert_eq!(said(&first, 0, &block(7, 1)).await, "new");
    first.close().await.unwrap();
    assert_eq!(said(&first, 0, &block(8, 1)).await, "failed");
    let second = open(&database.url()).await;
    assert_eq!(said(&second, 0, &attestation(1, 2, 1)).await, "repeat", "without registering");
    assert_eq!(said(&second, 0, &attestation(0, 3, 1)).await, "source_below_floor");
    assert_eq!(said(&second, 0, &block(7, 2)).await, "double_proposal");
    assert_eq!(said(&second, 9, &block(7, 2)).await, "unregistered");
}

#[tokio::test]
async fn logins_hosts_and_databases_that_are_wrong_are_told_apart() {
    let database = database().await;
    let right = database.url();
    let url = right.replace(database.password(), "hunter2hunter2");
    let (error, text) = refused(&url, "hunter2").await;
    assert!(matches!(store_error(&error), StoreError::Login(_)), "{text}");

    let at = PostgresCluster::shared().await.unwrap().address().to_string();
    let (error, text) = refused(&right.replace(&at, "nowhere.invalid:5432"), "none").await;
    assert!(matches!(store_error(&error), StoreError::NoConnection(_)), "{text}");
    assert!(text.contains("nowhere.invalid:5432"), "{text}");

    let (error, text) = refused(&format!("{right}_absent"), database.password()).await;
    assert!(matches!(store_error(&error), StoreError::NoDatabase(_)), "{text}");
    assert!(text.contains("_absent"), "{text}");

    let (error, text) =
        refused(&format!("{right}?currentSchema=absent"), database.password()).await;
    assert!(matches!(store_error(&error), StoreError::NoSchema), "{text}");
}

#[tokio::test]
async fn schemas_of_others_and_of_newer_signers_are_refused() {
    let newer = database().await;
    open(&newer.url()).await.close().await.unwrap();
    let mut connection = newer.connect().await.unwrap();
    connection
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (77, 'later', true, '', 0)",
        )
        .await
        .unwrap();
    let (error, text) = refused(&newer.url(), newer.password()).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 77, .. }), "{text}");

    let foreign = database().await;
    let mut connection = foreign.connect().await.unwrap();
    connection.execute("CREATE TABLE invoices (id int)").await.unwrap();
    let (error, text) = refused(&foreign.url(), foreign.password()).await;
    assert!(matches!(error, OpenError::ForeignDatabase { .. }), "{text}");

    let web3signers = database().await;
    let mut connection = web3signers.connect().await.unwrap();
    for table in ["low_watermarks", "signed_attestations", "signed_blocks", "validators"] {
        let table = format!("CREATE TABLE {table} (id int)");
        connection.execute(sqlx::AssertSqlSafe(table)).await.unwrap();
    }
    let (error, text) = refused(&web3signers.url(), web3signers.password()).await;
    assert!(matches!(error, OpenError::Web3SignerDatabase { .. }), "{text}");
    // A schema of its own in the same database is well.
    connection.execute("CREATE SCHEMA midslot").await.unwrap();
    let url = format!("{}?currentSchema=midslot", web3signers.url());
    let protection = ready(&url).await;
    assert_eq!(said(&protection, 0, &attestation(1, 1_000_000, 1)).await, "new");
}

#[tokio::test]
async fn schema_is_only_checked_where_that_is_asked_for() {
    let database = database().await;
    let check = || OpenOptions {
        postgres: PostgresOptions { migrate: MigrateMode::Check, ..PostgresOptions::default() },
        ..options(&database.url())
    };
    let error = SlashingProtection::open(check()).await.unwrap_err();
    assert!(matches!(error, OpenError::MigrationsMissing { found: 0, .. }), "{error}");
    assert!(error.to_string().contains("--db-migrate=auto"), "{error}");
    open(&database.url()).await.close().await.unwrap();
    SlashingProtection::open(check()).await.unwrap();
}

#[tokio::test]
async fn chain_is_pinned_by_the_network_or_by_the_first_record() {
    let database = database().await;
    let on = |root| OpenOptions {
        network_genesis_validators_root: Some(root),
        ..options(&database.url())
    };
    let first = ready(&database.url()).await;
    assert_eq!(said(&first, 0, &attestation(3, 2, 1)).await, "source_after_target");
    assert_eq!(said(&first, 0, &attestation_on(OTHER_CHAIN, 1, 2, 1)).await, "new");
    assert_eq!(said(&first, 0, &attestation(2, 3, 1)).await, "wrong_genesis_validators_root");
    assert_eq!(said(&first, 1, &block(2, 1)).await, "wrong_genesis_validators_root");
    let error = SlashingProtection::open(on(CHAIN)).await.unwrap_err();
    assert!(
        matches!(error, OpenError::WrongGenesisValidatorsRoot { pinned, network, .. }
            if pinned == OTHER_CHAIN && network == CHAIN),
        "{error}"
    );
    SlashingProtection::open(on(OTHER_CHAIN)).await.unwrap();
}

#[tokio::test]
async fn another_database_than_the_one_before_needs_a_confirmation() {
    let (old, new) = (database().await, database().await);
    let keys = tempfile::tempdir().unwrap();
    let at = |url: &str| OpenOptions {
        marker_directories: vec![keys.path().to_owned()],
        ..options(url)
    };
    let first = SlashingProtection::open(at(&old.url())).await.unwrap();
    first.register(&[key(0)]).await.unwrap();
    let marker = std::fs::read_to_string(keys.path().join(MARKER_FILE_NAME)).unwrap();
    assert!(marker.contains(old.name()) && !marker.contains(old.password()), "{marker}");

    let error = SlashingProtection::open(at(&new.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseMissing { .. }), "{error}");
    open(&new.url()).await.close().await.unwrap();
    let error = SlashingProtection::open(at(&new.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
    let confirmed = OpenOptions { accept_new_database: true, ..at(&new.url()) };
    SlashingProtection::open(confirmed).await.unwrap();
    SlashingProtection::open(at(&new.url())).await.unwrap();
}

#[tokio::test]
async fn servers_that_can_not_keep_what_they_confirm_are_refused() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    open(&database.url()).await.close().await.unwrap();
    cluster.settings(&[("fsync", "off")]).await.unwrap();
    cluster.stop().await.unwrap();
    cluster.restart().await.unwrap();
    let (error, text) = refused(&database.url(), database.password()).await;
    let unsafe_fsync = matches!(
        store_error(&error),
        StoreError::UnsafeServer { setting: "fsync", wanted: "on", .. }
    );
    assert!(unsafe_fsync, "{text}");

    cluster.settings(&[("fsync", "on"), ("full_page_writes", "off")]).await.unwrap();
    let (error, text) = refused(&database.url(), database.password()).await;
    let torn_pages = matches!(
        store_error(&error),
        StoreError::UnsafeServer { setting: "full_page_writes", wanted: "on", .. }
    );
    assert!(torn_pages, "{text}");

    cluster.settings(&[("full_page_writes", "on")]).await.unwrap();
    cluster.stop().await.unwrap();
    std::fs::write(cluster.data_folder().join("standby.signal"), "").unwrap();
    cluster.restart().await.unwrap();
    let (error, text) = refused(&database.url(), database.password()).await;
    assert!(matches!(store_error(&error), StoreError::TakesNoRecords), "{text}");
}

#[tokio::test]
async fn synchronous_commit_is_on_whatever_the_role_says() {
    let database = database().await;
    database.role_setting("synchronous_commit", "off").await.unwrap();
    database.role_setting("default_transaction_isolation", "serializable").await.unwrap();
    let protection = ready(&database.url()).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    database.role_setting("default_transaction_read_only", "on").await.unwrap();
    let (error, text) = refused(&database.url(), database.password()).await;
    assert!(matches!(store_error(&error), StoreError::TakesNoRecords), "{text}");
}

/// Notes the setting at the very end of every transaction that moves a key's state.
const NOTE_AT_COMMIT: [&str; 3] = [
    "CREATE TABLE seen (setting text)",
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER note_setting AFTER UPDATE ON att_state \
     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()",
];

#[tokio::test]
async fn records_are_synchronous_at_their_commit_whatever_server_role_and_session_say() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    cluster.settings(&[("synchronous_commit", "off")]).await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    let mut connection = database.connect().await.unwrap();
    for statement in NOTE_AT_COMMIT {
        connection.execute(statement).await.unwrap();
    }
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    let role = database.role();
    for (weak, round) in [("local", 1), ("remote_write", 2), ("off", 3)] {
        database.role_setting("synchronous_commit", weak).await.unwrap();
        database.end_connections().await.unwrap();
        let mut connection = database.connect().await.unwrap();
        let found: String =
            sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, weak, "what a session of {role} begins with");
        for number in 0..5 {
            assert_eq!(said(&protection, number, &attestation(5, 10 + round, 1)).await, "new");
        }
    }
    let mut connection = database.connect().await.unwrap();
    let seen: Vec<String> = sqlx::query_scalar("SELECT DISTINCT setting FROM seen")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(seen, ["on"]);
}

#[tokio::test]
async fn user_without_rights_on_the_schema_signs_and_gets_its_partitions() {
    let (database, other) = (database().await, database().await);
    open(&database.url()).await.close().await.unwrap();
    let mut administrator = database.superuser().await.unwrap();
    for right in [
        "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public",
        "USAGE ON ALL SEQUENCES IN SCHEMA public",
    ] {
        let grant = format!("GRANT {right} TO {}", other.role());
        administrator.execute(sqlx::AssertSqlSafe(grant)).await.unwrap();
    }
    // The user of another database, which has no more rights here than were just given.
    let credentials = |of: &TestDatabase| format!("{}:{}@", of.role(), of.password());
    let url = database.url().replace(&credentials(&database), &credentials(&other));
    let protection = SlashingProtection::open(OpenOptions {
        postgres: PostgresOptions { migrate: MigrateMode::Check, ..PostgresOptions::default() },
        ..options(&url)
    })
    .await
    .unwrap();
    protection.register(&[key(0)]).await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    let far = u64::try_from(i64::MAX).unwrap();
    assert_eq!(said(&protection, 0, &attestation(2, far, 1)).await, "new");
    assert_eq!(said(&protection, 0, &attestation(2, far, 2)).await, "double_vote");
}
