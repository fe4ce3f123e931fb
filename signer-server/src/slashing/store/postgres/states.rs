//! The state of keys, for the operator's changes: locked, read and written for many keys at once.

use std::collections::HashMap;

use signer_client::wire::{PublicKey, Slot};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::slashing::{
    StoreError,
    rules::{AttestationState, BlockState, VoteEpochs},
    store::{
        changes,
        rows::{public_key, stored_number, to_stored_or_none, vote_epochs},
    },
};

/// What is kept of one key beside its history.
pub(super) type KeyState = changes::KeyState<i32>;

/// Clearing a duty takes the same locks in the same order: by id, and no transaction that has one
/// on a block's state wants one on an attestation's.
const LOCK_ATTESTATIONS: &str = "SELECT validator_id, enabled, floor_source, floor_target, \
     max_source, max_target FROM att_state WHERE validator_id = ANY ($1) ORDER BY validator_id \
     FOR NO KEY UPDATE";

const LOCK_BLOCKS: &str = "SELECT validator_id, enabled, floor_slot, max_slot FROM blk_state \
     WHERE validator_id = ANY ($1) ORDER BY validator_id FOR NO KEY UPDATE";

const WRITE_ATTESTATIONS: &str = "UPDATE att_state s SET floor_source = t.floor_source, \
     floor_target = t.floor_target, max_source = t.max_source, max_target = t.max_target \
     FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
     AS t (id, floor_source, floor_target, max_source, max_target) WHERE s.validator_id = t.id";

const WRITE_BLOCKS: &str = "UPDATE blk_state s SET floor_slot = t.floor_slot, \
     max_slot = t.max_slot FROM unnest($1::int[], $2::bigint[], $3::bigint[]) \
     AS t (id, floor_slot, max_slot) WHERE s.validator_id = t.id";

pub(super) fn attestation_state(row: &PgRow) -> Result<AttestationState, StoreError> {
    Ok(AttestationState {
        enabled: row.try_get("enabled")?,
        floor: vote_epochs(row, "floor_source", "floor_target")?,
        max: vote_epochs(row, "max_source", "max_target")?,
    })
}

fn block_state(row: &PgRow) -> Result<BlockState, StoreError> {
    Ok(BlockState {
        enabled: row.try_get("enabled")?,
        floor: stored_number(row, "floor_slot")?.map(Slot),
        max: stored_number(row, "max_slot")?.map(Slot),
    })
}

/// Locks the state of these keys against signing until the transaction ends, and reads it.
pub(super) async fn lock(
    connection: &mut PgConnection,
    keys: Vec<(PublicKey, i32)>,
) -> Result<HashMap<PublicKey, KeyState>, StoreError> {
    let ids: Vec<i32> = keys.iter().map(|(_, id)| *id).collect();
    let mut attestations = HashMap::with_capacity(ids.len());
    for row in sqlx::query(LOCK_ATTESTATIONS).bind(&ids).fetch_all(&mut *connection).await? {
        let id: i32 = row.try_get("validator_id")?;
        attestations.insert(id, attestation_state(&row)?);
    }
    let mut blocks = HashMap::with_capacity(ids.len());
    for row in sqlx::query(LOCK_BLOCKS).bind(&ids).fetch_all(connection).await? {
        let id: i32 = row.try_get("validator_id")?;
        blocks.insert(id, block_state(&row)?);
    }
    let states = keys.into_iter().map(|(key, id)| {
        let (attestation, block) = (*attestations.get(&id)?, *blocks.get(&id)?);
        Some((key, KeyState { id, attestation, block }))
    });
    states.collect::<Option<_>>().ok_or(StoreError::StateMissing { missing: 1 })
}

/// Writes floors and maxima of keys that are locked.
pub(super) async fn write(
    connection: &mut PgConnection,
    states: &[KeyState],
) -> Result<(), StoreError> {
    if states.is_empty() {
        return Ok(());
    }
    let ids: Vec<i32> = states.iter().map(|state| state.id).collect();
    let column = |number: &dyn Fn(&KeyState) -> Option<u64>| -> Vec<i64> {
        states.iter().map(|state| to_stored_or_none(number(state))).collect()
    };
    let source = |epochs: Option<VoteEpochs>| epochs.map(|epochs| epochs.source.0);
    let target = |epochs: Option<VoteEpochs>| epochs.map(|epochs| epochs.target.0);
    let attestations = sqlx::query(WRITE_ATTESTATIONS)
        .bind(&ids)
        .bind(column(&|state| source(state.attestation.floor)))
        .bind(column(&|state| target(state.attestation.floor)))
        .bind(column(&|state| source(state.attestation.max)))
        .bind(column(&|state| target(state.attestation.max)))
        .execute(&mut *connection)
        .await?;
    let blocks = sqlx::query(WRITE_BLOCKS)
        .bind(&ids)
        .bind(column(&|state| state.block.floor.map(|slot| slot.0)))
        .bind(column(&|state| state.block.max.map(|slot| slot.0)))
        .execute(connection)
        .await?;
    let reached = attestations.rows_affected().min(blocks.rows_affected());
    match (states.len() as u64).saturating_sub(reached) {
        0 => Ok(()),
        missing => Err(StoreError::StateMissing { missing }),
    }
}

/// Every key with its state, ascending by key.
pub(super) async fn all(
    connection: &mut PgConnection,
) -> Result<Vec<(PublicKey, KeyState)>, StoreError> {
    let rows = sqlx::query(
        "SELECT v.pubkey, v.id, a.enabled, a.floor_source, a.floor_target, a.max_source, \
         a.max_target, b.enabled AS blocks_enabled, b.floor_slot, b.max_slot FROM validator v \
         LEFT JOIN att_state a ON a.validator_id = v.id \
         LEFT JOIN blk_state b ON b.validator_id = v.id ORDER BY v.pubkey",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(key_and_state).collect()
}

fn key_and_state(row: &PgRow) -> Result<(PublicKey, KeyState), StoreError> {
    let (attests, proposes): (Option<bool>, Option<bool>) =
        (row.try_get("enabled")?, row.try_get("blocks_enabled")?);
    let Some((_, enabled)) = attests.zip(proposes) else {
        return Err(StoreError::StateMissing { missing: 1 });
    };
    let block = BlockState {
        enabled,
        floor: stored_number(row, "floor_slot")?.map(Slot),
        max: stored_number(row, "max_slot")?.map(Slot),
    };
    let key = public_key(row)?;
    Ok((key, KeyState { id: row.try_get("id")?, attestation: attestation_state(row)?, block }))
}
