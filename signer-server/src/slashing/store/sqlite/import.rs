//! An import: one transaction over all its keys, and the state in memory only after its commit.

use std::{collections::HashMap, sync::LazyLock};

use signer_client::wire::{PublicKey, Root};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

use super::{
    SqliteStore,
    bulk::Bulk,
    file::FileIdentity,
    kind::{MOVE_ATTESTATION_STATES, MOVE_BLOCK_STATES, bind_attestation_state, bind_block_state},
    register::insert_keys,
    snapshot,
    state::{KeyState, State},
};
use crate::{
    clock,
    slashing::{
        StoreError,
        interchange::{KeyOutcome, merge::KeyImport},
        store::{
            changes::{Changes, IMPORTED},
            records::{ImportTransaction, RecordsError},
            rows::{root_column, to_stored},
        },
    },
};

const FORGET_ATTESTATION: &str = "UPDATE signed_attestation SET signing_root = NULL \
     WHERE validator_id = $1 AND target_epoch = $2";

const FORGET_BLOCK: &str =
    "UPDATE signed_block SET signing_root = NULL WHERE validator_id = $1 AND slot = $2";

static INSERT_ATTESTATIONS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO signed_attestation \
         (validator_id, target_epoch, source_epoch, signing_root, signed_at, origin)",
        6,
        "",
    )
});

static INSERT_BLOCKS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO signed_block (validator_id, slot, signing_root, signed_at, origin)",
        5,
        "",
    )
});

/// See [`crate::slashing::store::records::Records::begin_import`].
#[derive(Debug)]
pub(super) struct SqliteImport<'a> {
    transaction: Transaction<'a, Sqlite>,
    file: &'a FileIdentity,
    state: &'a mut State,
    genesis_validators_root: Root,
    /// State of the import's keys after what was merged so far.
    keys: HashMap<PublicKey, KeyState>,
    has_records: bool,
}

impl SqliteStore {
    pub(super) async fn start_import(
        &mut self,
        claimed: Root,
        names: &[PublicKey],
    ) -> Result<SqliteImport<'_>, RecordsError> {
        if let Some(pinned) = self.state.genesis_validators_root.filter(|root| *root != claimed) {
            return Err(RecordsError::OtherChain { pinned, claimed });
        }
        self.log_grew = true;
        let connection = self.connection.as_mut().ok_or(StoreError::NotOpen)?;
        let state = &mut self.state;
        let mut transaction =
            connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::from)?;
        let mut keys = HashMap::with_capacity(names.len());
        let mut unknown = Vec::new();
        for name in names {
            match state.keys.get(name) {
                Some(known) => {
                    keys.insert(*name, *known);
                }
                None => unknown.push(name),
            }
        }
        keys.extend(insert_keys(&mut transaction, &unknown, state.first).await?);
        let genesis_validators_root = claimed;
        let file = &self.file;
        Ok(SqliteImport {
            transaction,
            file,
            state,
            genesis_validators_root,
            keys,
            has_records: false,
        })
    }
}

impl SqliteImport<'_> {
    /// Decides about one key and notes what changes.
    async fn merge_key(
        &mut self,
        import: &KeyImport,
        changes: &mut Changes<i64>,
    ) -> Result<KeyOutcome, StoreError> {
        let before = *self.keys.get(&import.key).ok_or(StoreError::StateMissing { missing: 1 })?;
        let attestations = match &import.attestations {
            Some(part) => {
                let recorded = match part.targets() {
                    Some((first, last)) => {
                        snapshot::attestations(&mut self.transaction, &before, first, last).await?
                    }
                    None => vec![],
                };
                Some(part.merge(&before.attestation, &recorded))
            }
            None => None,
        };
        let blocks = match &import.blocks {
            Some(part) => {
                let recorded = match part.slots() {
                    Some((first, last)) => {
                        snapshot::blocks(&mut self.transaction, &before, first, last).await?
                    }
                    None => vec![],
                };
                Some(part.merge(&before.block, &recorded))
            }
            None => None,
        };
        let outcome = import.outcome(
            attestations.as_ref().map(|merge| (&before.attestation, merge)),
            blocks.as_ref().map(|merge| (&before.block, merge)),
        );
        if outcome.changed {
            let after = changes.note(before, attestations, blocks);
            self.keys.insert(import.key, after);
        }
        Ok(outcome)
    }
}

async fn write(
    connection: &mut SqliteConnection,
    changes: &Changes<i64>,
) -> Result<(), StoreError> {
    let now_us = clock::now_unix_micros();
    INSERT_ATTESTATIONS
        .execute(connection, &changes.attestations, |query, (id, row)| {
            query
                .bind(*id)
                .bind(to_stored(row.target.0))
                .bind(to_stored(row.source.0))
                .bind(row.signing_root.as_ref().and_then(root_column))
                .bind(now_us)
                .bind(IMPORTED)
        })
        .await?;
    INSERT_BLOCKS
        .execute(connection, &changes.blocks, |query, (id, row)| {
            query
                .bind(*id)
                .bind(to_stored(row.slot.0))
                .bind(row.signing_root.as_ref().and_then(root_column))
                .bind(now_us)
                .bind(IMPORTED)
        })
        .await?;
    for (id, target) in &changes.forget_attestations {
        forget(connection, FORGET_ATTESTATION, *id, target.0).await?;
    }
    for (id, slot) in &changes.forget_blocks {
        forget(connection, FORGET_BLOCK, *id, slot.0).await?;
    }
    write_states(connection, &changes.states).await
}

async fn forget(
    connection: &mut SqliteConnection,
    statement: &'static str,
    id: i64,
    place: u64,
) -> Result<(), StoreError> {
    sqlx::query(statement).bind(id).bind(to_stored(place)).execute(connection).await?;
    Ok(())
}

/// Writes floors and maxima of keys.
pub(super) async fn write_states(
    connection: &mut SqliteConnection,
    states: &[KeyState],
) -> Result<(), StoreError> {
    let attestations =
        MOVE_ATTESTATION_STATES.execute(connection, states, bind_attestation_state).await?;
    let blocks = MOVE_BLOCK_STATES.execute(connection, states, bind_block_state).await?;
    match (states.len() as u64).saturating_sub(attestations.min(blocks)) {
        0 => Ok(()),
        missing => Err(StoreError::StateMissing { missing }),
    }
}

impl ImportTransaction for SqliteImport<'_> {
    async fn merge(&mut self, keys: &[KeyImport]) -> Result<Vec<KeyOutcome>, StoreError> {
        let mut changes = Changes::default();
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            outcomes.push(self.merge_key(key, &mut changes).await?);
        }
        write(&mut self.transaction, &changes).await?;
        self.has_records |= !changes.states.is_empty();
        Ok(outcomes)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        let batches = self.state.batches + u64::from(self.has_records);
        sqlx::query("UPDATE sp_meta SET batches = $1, genesis_validators_root = $2")
            .bind(to_stored(batches))
            .bind(self.genesis_validators_root.as_bytes().as_slice())
            .execute(&mut *self.transaction)
            .await?;
        self.transaction.commit().await?;
        self.state.batches = batches;
        self.state.genesis_validators_root = Some(self.genesis_validators_root);
        self.state.keys.extend(self.keys);
        // A commit into a file that is gone is none.
        self.file.check_in_place()
    }
}
