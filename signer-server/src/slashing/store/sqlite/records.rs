//! The operator's half of the store: each change is one transaction, then the state in memory.

use signer_client::wire::{PublicKey, Root};
use sqlx::Connection;

use super::{
    SqliteStore,
    import::write_states,
    state::{KeyState, count_change},
};
use crate::slashing::{
    StoreError,
    rules::VoteEpochs,
    store::{
        HighWatermark,
        records::{
            ImportTransaction, LowWatermark, Records, RecordsError, Selection, Snapshot,
            WatermarkPlace, named_keys,
        },
        rows::to_stored,
    },
};

impl SqliteStore {
    fn select(&self, keys: Selection<'_>) -> Result<Vec<PublicKey>, RecordsError> {
        match keys {
            Selection::All => Ok(self.state.keys.keys().copied().collect()),
            Selection::Keys(named) => named_keys(named, |key| self.state.keys.contains_key(key)),
        }
    }
}

impl Records for SqliteStore {
    async fn genesis_validators_root(&mut self) -> Result<Option<Root>, StoreError> {
        Ok(self.state.genesis_validators_root)
    }

    async fn begin_import(
        &mut self,
        genesis_validators_root: Root,
        keys: &[PublicKey],
    ) -> Result<impl ImportTransaction, RecordsError> {
        self.start_import(genesis_validators_root, keys).await
    }

    async fn begin_export(&mut self) -> Result<impl Snapshot, StoreError> {
        self.snapshot()
    }

    async fn raise_floors(
        &mut self,
        keys: Selection<'_>,
        low: LowWatermark,
    ) -> Result<usize, RecordsError> {
        let is_above = |high: &HighWatermark| low.epoch > high.epoch || low.slot > high.slot;
        if let Some(high) = self.state.high_watermark.filter(is_above) {
            return Err(RecordsError::LowAboveHigh { low, high });
        }
        let keys = self.select(keys)?;
        if keys.is_empty() {
            return Err(RecordsError::NoKeys);
        }
        let floor = VoteEpochs { source: low.epoch, target: low.epoch };
        let states: Vec<(PublicKey, KeyState)> = keys
            .iter()
            .filter_map(|key| {
                let known = *self.state.keys.get(key)?;
                let attestation = known.attestation.with_floor_raised(floor);
                let block = known.block.with_floor_raised(low.slot);
                Some((*key, KeyState { attestation, block, ..known }))
            })
            .collect();
        let rows: Vec<KeyState> = states.iter().map(|(_, state)| *state).collect();

        self.log_grew = true;
        let mut transaction =
            self.connection()?.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::from)?;
        write_states(&mut transaction, &rows).await?;
        count_change(&mut transaction).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.state.batches += 1;
        let count = states.len();
        self.state.keys.extend(states);
        self.check_in_place()?;
        Ok(count)
    }

    async fn set_high_watermark(
        &mut self,
        high: Option<HighWatermark>,
    ) -> Result<(), RecordsError> {
        if let Some(high) = high {
            let blocking = self
                .state
                .keys
                .iter()
                .find_map(|(key, state)| Some((*key, place_at_or_above(state, high)?)));
            if let Some((key, at)) = blocking {
                return Err(RecordsError::HighNotAboveLow { high, key, at });
            }
        }
        self.log_grew = true;
        sqlx::query("UPDATE sp_meta SET high_epoch = $1, high_slot = $2, batches = batches + 1")
            .bind(high.map(|high| to_stored(high.epoch.0)))
            .bind(high.map(|high| to_stored(high.slot.0)))
            .execute(self.connection()?)
            .await
            .map_err(StoreError::from)?;
        self.state.high_watermark = high;
        self.state.batches += 1;
        Ok(self.check_in_place()?)
    }

    async fn set_enabled(&mut self, keys: &[PublicKey], enabled: bool) -> Result<(), RecordsError> {
        let keys = self.select(Selection::Keys(keys))?;
        self.log_grew = true;
        let ids: Vec<i64> =
            keys.iter().filter_map(|key| Some(self.state.keys.get(key)?.id)).collect();
        let mut transaction =
            self.connection()?.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::from)?;
        for table in [
            "UPDATE att_state SET enabled = $1 WHERE validator_id = $2",
            "UPDATE blk_state SET enabled = $1 WHERE validator_id = $2",
        ] {
            for id in &ids {
                let update = sqlx::query(table).bind(enabled).bind(id);
                update.execute(&mut *transaction).await.map_err(StoreError::from)?;
            }
        }
        count_change(&mut transaction).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.state.batches += 1;
        for key in &keys {
            if let Some(state) = self.state.keys.get_mut(key) {
                state.attestation.enabled = enabled;
                state.block.enabled = enabled;
            }
        }
        Ok(self.check_in_place()?)
    }
}

/// A floor of the key that the high watermark would not be above.
fn place_at_or_above(state: &KeyState, high: HighWatermark) -> Option<WatermarkPlace> {
    let epochs = state.attestation.floor.map(|floor| floor.source.max(floor.target));
    let epoch = epochs.filter(|epoch| *epoch >= high.epoch).map(WatermarkPlace::Epoch);
    let slot = state.block.floor.filter(|slot| *slot >= high.slot).map(WatermarkPlace::Slot);
    epoch.or(slot)
}
