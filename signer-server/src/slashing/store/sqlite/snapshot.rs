//! Reading the records of keys. Nobody else writes while the store is borrowed, so that every
//! reading is of one instant without a transaction.

use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::SqliteConnection;

use super::{
    SqliteStore,
    state::{KeyState, State},
};
use crate::slashing::{
    StoreError,
    refusal::{RecordedAttestation, RecordedBlock},
    rules::LARGEST,
    store::{
        records::{KeyRecords, Snapshot},
        rows::{recorded_attestation, recorded_block, to_stored},
    },
};

/// See [`crate::slashing::store::records::Records::begin_export`].
#[derive(Debug)]
pub(super) struct SqliteSnapshot<'a> {
    connection: &'a mut SqliteConnection,
    state: &'a State,
    keys: Vec<PublicKey>,
}

impl SqliteStore {
    pub(super) fn snapshot(&mut self) -> Result<SqliteSnapshot<'_>, StoreError> {
        let connection = self.connection.as_mut().ok_or(StoreError::NotOpen)?;
        let mut keys: Vec<PublicKey> = self.state.keys.keys().copied().collect();
        keys.sort_unstable();
        Ok(SqliteSnapshot { connection, state: &self.state, keys })
    }
}

/// A key's attestations with targets from `first` to `last`, both included, ascending.
pub(super) async fn attestations(
    connection: &mut SqliteConnection,
    key: &KeyState,
    first: Epoch,
    last: Epoch,
) -> Result<Vec<RecordedAttestation>, StoreError> {
    // No row is above the maximum.
    if key.attestation.max.is_none_or(|max| max.target < first) {
        return Ok(vec![]);
    }
    let rows = sqlx::query(
        "SELECT source_epoch, target_epoch, signing_root FROM signed_attestation \
         WHERE validator_id = $1 AND target_epoch BETWEEN $2 AND $3 ORDER BY target_epoch",
    )
    .bind(key.id)
    .bind(to_stored(first.0))
    .bind(to_stored(last.0))
    .fetch_all(connection)
    .await?;
    rows.iter().map(recorded_attestation).collect()
}

/// A key's blocks with slots from `first` to `last`, both included, ascending.
pub(super) async fn blocks(
    connection: &mut SqliteConnection,
    key: &KeyState,
    first: Slot,
    last: Slot,
) -> Result<Vec<RecordedBlock>, StoreError> {
    if key.block.max.is_none_or(|max| max < first) {
        return Ok(vec![]);
    }
    let rows = sqlx::query(
        "SELECT slot, signing_root FROM signed_block \
         WHERE validator_id = $1 AND slot BETWEEN $2 AND $3 ORDER BY slot",
    )
    .bind(key.id)
    .bind(to_stored(first.0))
    .bind(to_stored(last.0))
    .fetch_all(connection)
    .await?;
    rows.iter().map(recorded_block).collect()
}

impl Snapshot for SqliteSnapshot<'_> {
    fn genesis_validators_root(&self) -> Option<Root> {
        self.state.genesis_validators_root
    }

    fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    async fn read(&mut self, keys: &[PublicKey]) -> Result<Vec<KeyRecords>, StoreError> {
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let state = self.state.keys.get(key).ok_or(StoreError::StateMissing { missing: 1 })?;
            records.push(KeyRecords {
                key: *key,
                attestation: state.attestation,
                block: state.block,
                attestations: attestations(self.connection, state, Epoch(0), Epoch(LARGEST))
                    .await?,
                blocks: blocks(self.connection, state, Slot(0), Slot(LARGEST)).await?,
            });
        }
        Ok(records)
    }
}
