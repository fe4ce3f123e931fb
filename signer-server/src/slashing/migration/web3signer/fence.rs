//! The fence: from its commit on no Web3Signer records, and so none signs, anything new.
//!
//! - Every key is disabled, which a running Web3Signer of version 10 or newer reads before each
//!   signature (it answers 412).
//! - A trigger refuses every new row, which also stops the versions before (they answer 500).
//! - The version has its sign turned, with which no Web3Signer starts.
//!
//! In the same transaction two tables are made that say where the records went and which keys were
//! enabled: all that taking the fence away needs.

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{FIRST_WITH_ENABLED, Fence, Web3Signer, Web3SignerError};

/// Whoever signs has read `validators` before it writes a row, so that this lock waits for all of
/// them; later ones wait for it.
const LOCK: [&str; 1] = ["LOCK TABLE validators IN ACCESS EXCLUSIVE MODE"];

/// Before version 10 `validators` is not read first, and who holds the lock of a table of records
/// may be waiting for it: taken in this order nobody waits in a circle.
const LOCK_BEFORE_10: [&str; 2] = [
    "LOCK TABLE signed_attestations, signed_blocks IN SHARE ROW EXCLUSIVE MODE",
    "LOCK TABLE validators IN ACCESS EXCLUSIVE MODE",
];

const TABLES: [&str; 2] = [
    "CREATE TABLE midslot_move (one boolean PRIMARY KEY DEFAULT true CHECK (one), \
     target uuid NOT NULL, complete boolean NOT NULL DEFAULT false, \
     moved_at timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE midslot_move_key (validator_id integer PRIMARY KEY, was_enabled boolean NOT NULL)",
];

const REFUSE_ROWS: [&str; 3] = [
    "CREATE FUNCTION midslot_refuse_row() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'these records were moved to Midslot, nothing is signed here'; END $$",
    "CREATE TRIGGER midslot_refuse_row BEFORE INSERT ON signed_attestations \
     FOR EACH ROW EXECUTE FUNCTION midslot_refuse_row()",
    "CREATE TRIGGER midslot_refuse_row BEFORE INSERT ON signed_blocks \
     FOR EACH ROW EXECUTE FUNCTION midslot_refuse_row()",
];

const TURN_VERSION: &str = "UPDATE database_version SET version = -version WHERE id = 1";

const TAKE_AWAY: [&str; 5] = [
    "DROP TRIGGER midslot_refuse_row ON signed_attestations",
    "DROP TRIGGER midslot_refuse_row ON signed_blocks",
    "DROP FUNCTION midslot_refuse_row()",
    "DROP TABLE midslot_move",
    "DROP TABLE midslot_move_key",
];

pub(super) async fn lock(
    connection: &mut PgConnection,
    version: i32,
) -> Result<(), Web3SignerError> {
    let locks: &[&str] = if version >= FIRST_WITH_ENABLED { &LOCK } else { &LOCK_BEFORE_10 };
    for lock in locks {
        sqlx::query(*lock).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn read(connection: &mut PgConnection) -> Result<Option<Fence>, Web3SignerError> {
    let row = sqlx::query("SELECT target::text AS target, complete FROM midslot_move")
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let target: &str = row.try_get("target")?;
    let target: Uuid =
        target.parse().map_err(|_| Web3SignerError::ImpossibleValue { column: "target" })?;
    Ok(Some(Fence { target, is_complete: row.try_get("complete")? }))
}

impl Web3Signer {
    /// Puts the fence up, with the transaction's end. Needs the lock, and no fence.
    pub(in super::super) async fn put_up_fence(
        &mut self,
        target: Uuid,
    ) -> Result<(), Web3SignerError> {
        for table in TABLES {
            sqlx::query(table).execute(&mut self.connection).await?;
        }
        sqlx::query("INSERT INTO midslot_move (target) VALUES ($1::uuid)")
            .bind(target.to_string())
            .execute(&mut self.connection)
            .await?;
        let keys: &[&str] = if self.version >= FIRST_WITH_ENABLED {
            &[
                "INSERT INTO midslot_move_key SELECT id, enabled FROM validators",
                "UPDATE validators SET enabled = false",
            ]
        } else {
            &["INSERT INTO midslot_move_key SELECT id, true FROM validators"]
        };
        for statement in keys.iter().chain(&REFUSE_ROWS).chain(&[TURN_VERSION]) {
            sqlx::query(*statement).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Takes the fence away, with the transaction's end: everything is as it was before it.
    pub(in super::super) async fn take_fence_away(&mut self) -> Result<(), Web3SignerError> {
        if self.version >= FIRST_WITH_ENABLED {
            sqlx::query(
                "UPDATE validators v SET enabled = k.was_enabled FROM midslot_move_key k \
                 WHERE k.validator_id = v.id",
            )
            .execute(&mut self.connection)
            .await?;
        }
        for statement in [TURN_VERSION].iter().chain(&TAKE_AWAY) {
            sqlx::query(*statement).execute(&mut self.connection).await?;
        }
        Ok(())
    }
}

pub(super) async fn note_complete(connection: &mut PgConnection) -> Result<(), Web3SignerError> {
    sqlx::query("UPDATE midslot_move SET complete = true").execute(connection).await?;
    Ok(())
}
