//! Moves on SQLite: each change is one transaction, then the state in memory.

use std::collections::HashSet;

use signer_client::wire::PublicKey;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use uuid::Uuid;

use super::{SqliteStore, register::insert_keys, state::count_change};
use crate::slashing::{
    StoreError,
    store::{
        moves::{Departure, Moves},
        rows::{present, public_key, stored_bytes},
    },
};

/// Made by the first departure.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS midslot_move (one INTEGER PRIMARY KEY CHECK (one = 1), \
     target BLOB NOT NULL CHECK (length(target) = 16), complete INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS midslot_move_key (validator_id INTEGER PRIMARY KEY) STRICT",
];

const HAS_TABLE: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'midslot_move'";

impl SqliteStore {
    /// The ids of keys, which must be known.
    fn ids(&self, keys: &[PublicKey]) -> Result<Vec<i64>, StoreError> {
        let id = |key| self.state.keys.get(key).map(|state| state.id);
        keys.iter().map(|key| id(key).ok_or(StoreError::StateMissing { missing: 1 })).collect()
    }

    fn note_enabled(&mut self, keys: &[PublicKey], enabled: bool) {
        for key in keys {
            if let Some(state) = self.state.keys.get_mut(key) {
                state.attestation.enabled = enabled;
                state.block.enabled = enabled;
            }
        }
    }

    async fn has_departures(&mut self) -> Result<bool, StoreError> {
        let tables: i64 = sqlx::query_scalar(HAS_TABLE).fetch_one(self.connection()?).await?;
        Ok(tables > 0)
    }
}

impl Moves for SqliteStore {
    fn cluster(&self) -> Uuid {
        self.state.cluster
    }

    async fn switch_off(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let (known, unknown): (Vec<&PublicKey>, Vec<&PublicKey>) = keys
            .iter()
            .filter(|key| seen.insert(**key))
            .partition(|key| self.state.keys.contains_key(*key));
        let known: Vec<PublicKey> = known.into_iter().copied().collect();
        let known_ids = self.ids(&known)?;
        self.log_grew = true;
        let first = self.state.first;
        let mut transaction = self.connection()?.begin_with("BEGIN IMMEDIATE").await?;
        let mut made = insert_keys(&mut transaction, &unknown, first).await?;
        let ids = known_ids.into_iter().chain(made.iter().map(|(_, state)| state.id));
        switch(&mut transaction, ids, false).await?;
        count_change(&mut transaction).await?;
        transaction.commit().await?;
        self.state.batches += 1;
        for (_, state) in &mut made {
            state.attestation.enabled = false;
            state.block.enabled = false;
        }
        self.state.keys.extend(made);
        self.note_enabled(&known, false);
        self.check_in_place()
    }

    async fn departure(&mut self) -> Result<Option<Departure>, StoreError> {
        if !self.has_departures().await? {
            return Ok(None);
        }
        let row = sqlx::query("SELECT target, complete FROM midslot_move")
            .fetch_optional(self.connection()?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let keys = sqlx::query(
            "SELECT pubkey FROM midslot_move_key JOIN validator ON id = validator_id \
             ORDER BY pubkey",
        )
        .fetch_all(self.connection()?)
        .await?;
        Ok(Some(Departure {
            target: Uuid::from_bytes(present(stored_bytes(&row, "target")?, "target")?),
            is_complete: row.try_get("complete")?,
            enabled: keys.iter().map(public_key).collect::<Result<_, _>>()?,
        }))
    }

    async fn depart(&mut self, target: Uuid) -> Result<(), StoreError> {
        self.log_grew = true;
        let mut transaction = self.connection()?.begin_with("BEGIN IMMEDIATE").await?;
        for table in TABLES {
            sqlx::query(table).execute(&mut *transaction).await?;
        }
        // A row that is there already breaks the primary key: nothing departs twice.
        sqlx::query("INSERT INTO midslot_move (one, target, complete) VALUES (1, $1, 0)")
            .bind(target.as_bytes().as_slice())
            .execute(&mut *transaction)
            .await?;
        for statement in [
            "DELETE FROM midslot_move_key",
            "INSERT INTO midslot_move_key SELECT a.validator_id FROM att_state a \
             JOIN blk_state b ON b.validator_id = a.validator_id WHERE a.enabled AND b.enabled",
            "UPDATE att_state SET enabled = 0",
            "UPDATE blk_state SET enabled = 0",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        count_change(&mut transaction).await?;
        transaction.commit().await?;
        self.state.batches += 1;
        let keys: Vec<PublicKey> = self.state.keys.keys().copied().collect();
        self.note_enabled(&keys, false);
        self.check_in_place()
    }

    async fn complete_departure(&mut self) -> Result<(), StoreError> {
        self.log_grew = true;
        sqlx::query("UPDATE midslot_move SET complete = 1").execute(self.connection()?).await?;
        self.check_in_place()
    }

    async fn arrive(&mut self, enabled: &[PublicKey]) -> Result<(), StoreError> {
        let ids = self.ids(enabled)?;
        let was_elsewhere = self.has_departures().await?;
        self.log_grew = true;
        let mut transaction = self.connection()?.begin_with("BEGIN IMMEDIATE").await?;
        if was_elsewhere {
            for table in ["midslot_move", "midslot_move_key"] {
                sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}")))
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        switch(&mut transaction, ids.into_iter(), true).await?;
        count_change(&mut transaction).await?;
        transaction.commit().await?;
        self.state.batches += 1;
        self.note_enabled(enabled, true);
        self.check_in_place()
    }
}

/// Switches keys on or off.
async fn switch(
    connection: &mut SqliteConnection,
    ids: impl Iterator<Item = i64>,
    enabled: bool,
) -> Result<(), StoreError> {
    for id in ids {
        for table in [
            "UPDATE att_state SET enabled = $1 WHERE validator_id = $2",
            "UPDATE blk_state SET enabled = $1 WHERE validator_id = $2",
        ] {
            sqlx::query(table).bind(enabled).bind(id).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
