//! Moves on PostgreSQL, beside signers that may be live: whoever clears a duty holds the lock of its
//! key's state, so a change here comes wholly before or wholly after it.

use std::sync::Arc;

use signer_client::wire::PublicKey;
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use uuid::Uuid;

use super::{PostgresStore, identity};
use crate::slashing::{
    StoreError,
    store::{
        moves::{Departure, Moves},
        rows::public_key,
    },
};

/// Made by the first departure.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS midslot_move (one boolean PRIMARY KEY DEFAULT true CHECK (one), \
     target uuid NOT NULL, complete boolean NOT NULL DEFAULT false)",
    "CREATE TABLE IF NOT EXISTS midslot_move_key (validator_id integer PRIMARY KEY)",
];

/// Settings of a transaction that touches every key.
const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', true), \
     set_config('statement_timeout', '120s', true), set_config('lock_timeout', '30s', true)";

/// Locks in the order of everybody else: the database as a whole, which holds up those who register
/// keys, then the states of attestations, then those of blocks, ids ascending.
const LOCK_ALL: [&str; 3] = [
    "SELECT FROM sp_meta FOR UPDATE",
    "SELECT FROM att_state ORDER BY validator_id FOR NO KEY UPDATE",
    "SELECT FROM blk_state ORDER BY validator_id FOR NO KEY UPDATE",
];
const LOCK_THESE: [&str; 2] = [
    "SELECT FROM att_state s JOIN validator v ON v.id = s.validator_id \
     WHERE v.pubkey = ANY ($1) ORDER BY s.validator_id FOR NO KEY UPDATE OF s",
    "SELECT FROM blk_state s JOIN validator v ON v.id = s.validator_id \
     WHERE v.pubkey = ANY ($1) ORDER BY s.validator_id FOR NO KEY UPDATE OF s",
];
const SWITCH_THESE: [&str; 2] = [
    "UPDATE att_state s SET enabled = $2 FROM validator v \
     WHERE v.id = s.validator_id AND v.pubkey = ANY ($1)",
    "UPDATE blk_state s SET enabled = $2 FROM validator v \
     WHERE v.id = s.validator_id AND v.pubkey = ANY ($1)",
];

impl PostgresStore {
    async fn begin_move(&mut self) -> Result<Transaction<'_, Postgres>, StoreError> {
        let mut transaction = self.connection()?.begin().await?;
        sqlx::query(SETTINGS).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn has_departed(&mut self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT has_departed FROM sp_meta")
            .fetch_one(self.connection()?)
            .await?)
    }
}

impl Moves for PostgresStore {
    fn cluster(&self) -> Uuid {
        self.shared.identity.cluster
    }

    async fn switch_off(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_move().await?;
        let bytes: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
        sqlx::query("SELECT FROM sp_register($1)").bind(bytes).execute(&mut *transaction).await?;
        switch(&mut transaction, keys, false).await?;
        shared.commit(transaction).await
    }

    async fn departure(&mut self) -> Result<Option<Departure>, StoreError> {
        if !self.has_departed().await? {
            return Ok(None);
        }
        let row = sqlx::query("SELECT target::text AS cluster, complete FROM midslot_move")
            .fetch_optional(self.connection()?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let keys = sqlx::query(
            "SELECT v.pubkey FROM midslot_move_key k JOIN validator v ON v.id = k.validator_id \
             ORDER BY v.pubkey",
        )
        .fetch_all(self.connection()?)
        .await?;
        Ok(Some(Departure {
            target: identity::cluster(&row)?,
            is_complete: row.try_get("complete")?,
            enabled: keys.iter().map(public_key).collect::<Result<_, _>>()?,
        }))
    }

    async fn depart(&mut self, target: Uuid) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_move().await?;
        for statement in TABLES.into_iter().chain(LOCK_ALL) {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        // A row that is there already breaks the primary key: nothing departs twice.
        sqlx::query("INSERT INTO midslot_move (target) VALUES ($1::uuid)")
            .bind(target.to_string())
            .execute(&mut *transaction)
            .await?;
        for statement in [
            // From now on keys are registered switched off.
            "UPDATE sp_meta SET has_departed = true",
            "DELETE FROM midslot_move_key",
            "INSERT INTO midslot_move_key SELECT a.validator_id FROM att_state a \
             JOIN blk_state b ON b.validator_id = a.validator_id WHERE a.enabled AND b.enabled",
            "UPDATE att_state SET enabled = false",
            "UPDATE blk_state SET enabled = false",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        shared.commit(transaction).await
    }

    async fn complete_departure(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_move().await?;
        sqlx::query("UPDATE midslot_move SET complete = true").execute(&mut *transaction).await?;
        shared.commit(transaction).await
    }

    async fn arrive(&mut self, enabled: &[PublicKey]) -> Result<(), StoreError> {
        let was_elsewhere = self.has_departed().await?;
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_move().await?;
        if was_elsewhere {
            for statement in [
                "UPDATE sp_meta SET has_departed = false",
                "DELETE FROM midslot_move",
                "DELETE FROM midslot_move_key",
            ] {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
        }
        switch(&mut transaction, enabled, true).await?;
        shared.commit(transaction).await
    }
}

/// Switches keys on or off.
async fn switch(
    connection: &mut PgConnection,
    keys: &[PublicKey],
    enabled: bool,
) -> Result<(), StoreError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    for statement in LOCK_THESE {
        sqlx::query(statement).bind(&keys).execute(&mut *connection).await?;
    }
    for statement in SWITCH_THESE {
        sqlx::query(statement).bind(&keys).bind(enabled).execute(&mut *connection).await?;
    }
    Ok(())
}
