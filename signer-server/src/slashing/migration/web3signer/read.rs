//! Web3Signer's rows as records. They were looked at before ([`super::problems`]), so every number
//! fits and every key and root has its length.

use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::{Row, postgres::PgRow};

use super::{
    FIRST_WITH_ENABLED, FIRST_WITH_HIGH_WATERMARK, Validator, Web3Signer, Web3SignerError, fixed,
};
use crate::slashing::{
    HighWatermark, RecordedAttestation, RecordedBlock, StoreError,
    rules::{AttestationState, BlockState, LARGEST, VoteEpochs},
    store::records::{KeyRecords, Snapshot},
};

impl Web3Signer {
    pub(super) async fn load_metadata(&mut self) -> Result<(), Web3SignerError> {
        let has_high_watermark = self.version >= FIRST_WITH_HIGH_WATERMARK;
        let row = sqlx::query(if has_high_watermark {
            "SELECT genesis_validators_root, high_watermark_epoch::int8 AS epoch, \
             high_watermark_slot::int8 AS slot FROM metadata WHERE id = 1"
        } else {
            "SELECT genesis_validators_root, NULL::int8 AS epoch, NULL::int8 AS slot \
             FROM metadata WHERE id = 1"
        })
        .fetch_optional(&mut self.connection)
        .await?;
        let Some(row) = row else { return Ok(()) };
        self.chain = Some(Root(fixed(&row, "genesis_validators_root")?));
        let (epoch, slot) = (number(&row, "epoch")?, number(&row, "slot")?);
        // One of the two alone stops only its own kind.
        self.high_watermark = (epoch.is_some() || slot.is_some()).then(|| HighWatermark {
            epoch: Epoch(epoch.unwrap_or(LARGEST)),
            slot: Slot(slot.unwrap_or(LARGEST)),
        });
        Ok(())
    }

    pub(super) async fn load_validators(&mut self) -> Result<(), Web3SignerError> {
        let sql = if self.fence.is_some() {
            // A key that came after the fence can't have signed anything.
            "SELECT v.id, v.public_key, k.was_enabled AS enabled \
             FROM validators v JOIN midslot_move_key k ON k.validator_id = v.id"
        } else if self.version >= FIRST_WITH_ENABLED {
            "SELECT id, public_key, enabled FROM validators"
        } else {
            "SELECT id, public_key, true AS enabled FROM validators"
        };
        for row in sqlx::query(sql).fetch_all(&mut self.connection).await? {
            let key = PublicKey(fixed(&row, "public_key")?);
            let validator = Validator { id: row.try_get("id")?, enabled: row.try_get("enabled")? };
            self.validators.insert(key, validator);
            self.keys.push(key);
        }
        self.keys.sort_unstable();
        Ok(())
    }
}

impl Snapshot for Web3Signer {
    fn genesis_validators_root(&self) -> Option<Root> {
        self.chain
    }

    fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    async fn read(&mut self, keys: &[PublicKey]) -> Result<Vec<KeyRecords>, StoreError> {
        let mut places = std::collections::HashMap::with_capacity(keys.len());
        let mut records = Vec::with_capacity(keys.len());
        let mut ids = Vec::with_capacity(keys.len());
        for (place, key) in keys.iter().enumerate() {
            let known = self.validators.get(key).ok_or(StoreError::StateMissing { missing: 1 })?;
            let Validator { id, enabled } = *known;
            places.insert(id, place);
            ids.push(id);
            records.push(KeyRecords {
                key: *key,
                attestation: AttestationState { enabled, ..AttestationState::UNUSED },
                block: BlockState { enabled, ..BlockState::UNUSED },
                attestations: Vec::new(),
                blocks: Vec::new(),
            });
        }
        let of = |row: &PgRow| -> Result<usize, StoreError> {
            let id: i32 = row.try_get("validator_id")?;
            places.get(&id).copied().ok_or(StoreError::ImpossibleValue { column: "validator_id" })
        };
        let attestations = "SELECT validator_id, source_epoch::int8 AS source, \
             target_epoch::int8 AS target, signing_root FROM signed_attestations \
             WHERE validator_id = ANY ($1)";
        for row in sqlx::query(attestations).bind(&ids).fetch_all(&mut self.connection).await? {
            records[of(&row)?].attestations.push(RecordedAttestation {
                source: Epoch(present(&row, "source")?),
                target: Epoch(present(&row, "target")?),
                signing_root: root(&row)?,
            });
        }
        let blocks = "SELECT validator_id, slot::int8 AS slot, signing_root FROM signed_blocks \
             WHERE validator_id = ANY ($1)";
        for row in sqlx::query(blocks).bind(&ids).fetch_all(&mut self.connection).await? {
            records[of(&row)?].blocks.push(RecordedBlock {
                slot: Slot(present(&row, "slot")?),
                signing_root: root(&row)?,
            });
        }
        let floors = "SELECT validator_id, slot::int8 AS slot, source_epoch::int8 AS source, \
             target_epoch::int8 AS target FROM low_watermarks WHERE validator_id = ANY ($1)";
        for row in sqlx::query(floors).bind(&ids).fetch_all(&mut self.connection).await? {
            let key = &mut records[of(&row)?];
            key.block.floor = number(&row, "slot")?.map(Slot);
            let epochs = number(&row, "source")?.zip(number(&row, "target")?);
            key.attestation.floor = epochs.map(|(source, target)| VoteEpochs {
                source: Epoch(source),
                target: Epoch(target),
            });
        }
        for key in &mut records {
            // Web3Signer keeps no maxima: those of the rows and the floor.
            let rows = key.attestations.iter().map(|row| (row.source, row.target));
            let floor = key.attestation.floor.map(|floor| (floor.source, floor.target));
            key.attestation.max = rows
                .chain(floor)
                .reduce(|high, vote| (high.0.max(vote.0), high.1.max(vote.1)))
                .map(|(source, target)| VoteEpochs { source, target });
            key.block.max = key.blocks.iter().map(|row| row.slot).chain(key.block.floor).max();
        }
        Ok(records)
    }
}

fn number(row: &PgRow, column: &'static str) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = row.try_get(column)?;
    number
        .map(|number| u64::try_from(number).map_err(|_| StoreError::ImpossibleValue { column }))
        .transpose()
}

fn present(row: &PgRow, column: &'static str) -> Result<u64, StoreError> {
    number(row, column)?.ok_or(StoreError::ImpossibleValue { column })
}

/// A zero root is an unknown one: Web3Signer took it for an ordinary root.
fn root(row: &PgRow) -> Result<Option<Root>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get("signing_root")?;
    let Some(bytes) = bytes else { return Ok(None) };
    let root =
        bytes.try_into().map_err(|_| StoreError::ImpossibleValue { column: "signing_root" })?;
    Ok(Some(Root(root)).filter(|root| *root != Root::ZERO))
}
