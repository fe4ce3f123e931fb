//! Opening the file with settings that make a commit durable, and proving that they are in force.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous},
};

use crate::slashing::StoreError;

/// How long another program may hold the file at the start before we give up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Pages of 4 KiB in the log before a commit stops to copy them: 40 MB. Idle times come first, so
/// that this stall (about 100 ms) is rare.
const AUTOCHECKPOINT_PAGES: &str = "10000";

/// Opens the file alone, with every commit synced to disk.
///
/// The log that an earlier process left is copied into the database and synced first: its last
/// commit may be visible and yet not on disk, and a repeat must not vouch for it.
pub(super) async fn connect(path: &Path, create: bool) -> Result<SqliteConnection, StoreError> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .locking_mode(SqliteLockingMode::Exclusive)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .pragma("wal_autocheckpoint", AUTOCHECKPOINT_PAGES)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .thread_name(|_| "slashing-db".to_owned())
        .disable_statement_logging()
        .connect()
        .await?;
    check_settings(&mut connection).await?;
    // A transaction takes the exclusive lock now rather than at the first signature.
    connection.begin_with("BEGIN IMMEDIATE").await?.commit().await?;
    checkpoint_fully(&mut connection).await?;
    Ok(connection)
}

/// Reads the settings back; SQLite ignores a pragma that it can't fulfil.
pub(super) async fn check_settings(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let texts = [
        ("journal_mode", "PRAGMA journal_mode", "wal"),
        ("locking_mode", "PRAGMA locking_mode", "exclusive"),
    ];
    for (setting, query, wanted) in texts {
        let found: String = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        if !found.eq_ignore_ascii_case(wanted) {
            return Err(StoreError::WeakSetting { setting, wanted, found });
        }
    }
    // FULL is 2, EXTRA is 3.
    let numbers = [
        ("synchronous", "PRAGMA synchronous", "FULL", 2_i64),
        ("foreign_keys", "PRAGMA foreign_keys", "ON", 1),
    ];
    for (setting, query, wanted, at_least) in numbers {
        let found: i64 = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        if found < at_least {
            return Err(StoreError::WeakSetting { setting, wanted, found: found.to_string() });
        }
    }
    Ok(())
}

/// Proves that the file takes a durable write.
pub(super) async fn probe_write(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("UPDATE sp_meta SET one = one").execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Copies what the log holds into the database without waiting for anybody.
pub(super) async fn checkpoint_passively(
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(connection).await?;
    Ok(())
}

/// Copies the whole log into the database, syncs it, and empties the log.
pub(super) async fn checkpoint_fully(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let (busy, _, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    if busy != 0 {
        return Err(StoreError::WeakSetting {
            setting: "wal_checkpoint",
            wanted: "complete",
            found: "blocked by a reader".to_owned(),
        });
    }
    Ok(())
}
