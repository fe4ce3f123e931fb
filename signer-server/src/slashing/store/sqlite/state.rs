//! What the store keeps in memory: the state of every key and what holds for all of them.

use std::collections::HashMap;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use crate::slashing::{
    StoreError,
    rules::{AttestationState, BlockState, VoteEpochs},
    store::{
        HighWatermark, changes,
        rows::{
            high_watermark, present, public_key, stored_bytes, stored_number, stored_root,
            vote_epochs,
        },
    },
};

/// What is kept of one key beside its history.
pub(super) type KeyState = changes::KeyState<i64>;

/// What a key starts with that is registered now.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstState {
    pub(super) attestation: AttestationState,
    pub(super) block: BlockState,
}

/// Everything but the history.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cluster: Uuid,
    pub(super) genesis_validators_root: Option<Root>,
    pub(super) high_watermark: Option<HighWatermark>,
    /// Transactions that recorded blocks or attestations, or in which an operator changed what may
    /// be signed: what a copy with fewer of them has forgotten.
    pub(super) batches: u64,
    pub(super) first: FirstState,
    pub(super) keys: HashMap<PublicKey, KeyState>,
}

impl State {
    /// Reads the state and checks it against the history.
    pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let meta = sqlx::query(
            "SELECT cluster, genesis_validators_root, high_epoch, high_slot, batches, \
             first_floor_epoch, first_floor_slot FROM sp_meta",
        )
        .fetch_one(&mut *connection)
        .await?;
        let first_epoch = stored_number(&meta, "first_floor_epoch")?.map(Epoch);
        let first_slot = stored_number(&meta, "first_floor_slot")?.map(Slot);
        let mut state = Self {
            cluster: Uuid::from_bytes(present(stored_bytes(&meta, "cluster")?, "cluster")?),
            genesis_validators_root: stored_root(&meta, "genesis_validators_root")?,
            high_watermark: high_watermark(&meta)?,
            batches: present(stored_number(&meta, "batches")?, "batches")?,
            first: FirstState {
                attestation: first_epoch.map_or(AttestationState::UNUSED, |epoch| {
                    let floor = VoteEpochs { source: epoch, target: epoch };
                    AttestationState::UNUSED.with_floor_raised(floor)
                }),
                block: first_slot
                    .map_or(BlockState::UNUSED, |slot| BlockState::UNUSED.with_floor_raised(slot)),
            },
            keys: HashMap::new(),
        };

        let rows = sqlx::query(
            "SELECT v.id, v.pubkey, a.enabled AS att_enabled, a.floor_source, a.floor_target, \
             a.max_source, a.max_target, b.enabled AS blk_enabled, b.floor_slot, b.max_slot \
             FROM validator v LEFT JOIN att_state a ON a.validator_id = v.id \
             LEFT JOIN blk_state b ON b.validator_id = v.id",
        )
        .fetch_all(&mut *connection)
        .await?;
        state.keys.reserve(rows.len());
        for row in &rows {
            state.keys.insert(public_key(row)?, key_state(row)?);
        }

        let behind: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM att_state s WHERE s.max_target < \
               (SELECT max(target_epoch) FROM signed_attestation a \
                WHERE a.validator_id = s.validator_id)) \
             + (SELECT count(*) FROM blk_state s WHERE s.max_slot < \
               (SELECT max(slot) FROM signed_block b WHERE b.validator_id = s.validator_id))",
        )
        .fetch_one(connection)
        .await?;
        if behind > 0 {
            return Err(StoreError::StateBehindHistory { keys: behind });
        }
        Ok(state)
    }

    /// Fails when this state, freshly loaded, is behind one that was durable before.
    pub(super) fn check_knows_all_of(&self, before: &Self) -> Result<(), StoreError> {
        if self.cluster != before.cluster {
            return Err(StoreError::Replaced);
        }
        for (key, old) in &before.keys {
            let kept = self.keys.get(key).is_some_and(|new| {
                let attestation = (new.attestation.max, new.attestation.floor);
                new.block.max >= old.block.max
                    && new.block.floor >= old.block.floor
                    && reaches(attestation.0, old.attestation.max)
                    && reaches(attestation.1, old.attestation.floor)
            });
            if !kept {
                return Err(StoreError::WentBack { key: *key });
            }
        }
        // A late vote moves no maximum; only the count tells that its record is gone.
        if self.batches < before.batches {
            return Err(StoreError::BatchesLost { written: before.batches, found: self.batches });
        }
        Ok(())
    }
}

/// Counts an operator's change in its own transaction; the state follows after the commit.
pub(super) async fn count_change(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE sp_meta SET batches = batches + 1").execute(connection).await?;
    Ok(())
}

fn reaches(new: Option<VoteEpochs>, old: Option<VoteEpochs>) -> bool {
    match (new, old) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(new), Some(old)) => new.source >= old.source && new.target >= old.target,
    }
}

fn key_state(row: &SqliteRow) -> Result<KeyState, StoreError> {
    Ok(KeyState {
        id: row.try_get("id")?,
        attestation: AttestationState {
            enabled: row.try_get("att_enabled")?,
            floor: vote_epochs(row, "floor_source", "floor_target")?,
            max: vote_epochs(row, "max_source", "max_target")?,
        },
        block: BlockState {
            enabled: row.try_get("blk_enabled")?,
            floor: stored_number(row, "floor_slot")?.map(Slot),
            max: stored_number(row, "max_slot")?.map(Slot),
        },
    })
}
