//! Making state for keys.

use std::collections::HashSet;
use std::sync::LazyLock;

use signer_client::wire::PublicKey;
use sqlx::{Connection, Row, SqliteConnection};

use super::{
    SqliteStore,
    bulk::Bulk,
    state::{FirstState, KeyState},
};
use crate::slashing::{StoreError, store::rows::public_key};

static INSERT_VALIDATORS: LazyLock<Bulk> =
    LazyLock::new(|| Bulk::new("INSERT INTO validator (pubkey)", 1, ""));

/// After a safe start a new key begins at its floors; before, at none.
const INSERT_ATTESTATION_STATES: &str = "INSERT INTO att_state \
     (validator_id, floor_source, floor_target, max_source, max_target) \
     SELECT id, floor, floor, floor, floor \
     FROM validator, (SELECT coalesce(first_floor_epoch, -1) AS floor FROM sp_meta) WHERE id > $1";

const INSERT_BLOCK_STATES: &str = "INSERT INTO blk_state (validator_id, floor_slot, max_slot) \
     SELECT id, floor, floor \
     FROM validator, (SELECT coalesce(first_floor_slot, -1) AS floor FROM sp_meta) WHERE id > $1";

impl SqliteStore {
    /// One transaction for all of `keys` that have no state yet.
    pub(super) async fn register_unknown(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let unknown: Vec<&PublicKey> = keys
            .iter()
            .filter(|key| !self.state.keys.contains_key(*key) && seen.insert(**key))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        self.log_grew = true;
        let first = self.state.first;

        let mut transaction = self.connection()?.begin_with("BEGIN IMMEDIATE").await?;
        let states = insert_keys(&mut transaction, &unknown, first).await?;
        transaction.commit().await?;
        self.state.keys.extend(states);
        Ok(())
    }
}

/// Makes state for keys that have none, in the open transaction. `first` is that of the database.
pub(super) async fn insert_keys(
    connection: &mut SqliteConnection,
    unknown: &[&PublicKey],
    first: FirstState,
) -> Result<Vec<(PublicKey, KeyState)>, StoreError> {
    let highest: Option<i64> =
        sqlx::query_scalar("SELECT max(id) FROM validator").fetch_one(&mut *connection).await?;
    INSERT_VALIDATORS
        .execute(connection, unknown, |query, key| query.bind(key.as_bytes().as_slice()))
        .await?;
    // Ids ascend, so the new ones are those above the highest before.
    let inserted = sqlx::query("SELECT id, pubkey FROM validator WHERE id > $1")
        .bind(highest.unwrap_or(0))
        .fetch_all(&mut *connection)
        .await?;
    for table in [INSERT_ATTESTATION_STATES, INSERT_BLOCK_STATES] {
        sqlx::query(table).bind(highest.unwrap_or(0)).execute(&mut *connection).await?;
    }
    let mut states = Vec::with_capacity(inserted.len());
    for row in &inserted {
        let state =
            KeyState { id: row.try_get("id")?, attestation: first.attestation, block: first.block };
        states.push((public_key(row)?, state));
    }
    Ok(states)
}
