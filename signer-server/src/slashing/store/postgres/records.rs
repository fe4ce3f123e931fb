//! The operator's half of the store: each change is one transaction, which signers of any process
//! obey as soon as it is committed.

use std::sync::Arc;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::{PostgresStore, register, session::LONG_WORK, states};
use crate::slashing::{
    StoreError,
    store::{
        HighWatermark,
        records::{
            ImportTransaction, LowWatermark, Records, RecordsError, Selection, Snapshot,
            WatermarkPlace, named_keys,
        },
        rows::{high_watermark, public_key, stored_number, stored_root, to_stored},
    },
};

/// Without a lock, which would hold up the signers' probes while this waits for keys.
const HIGH_WATERMARK: &str = "SELECT high_epoch, high_slot FROM sp_meta";

const RAISE_ATTESTATIONS: &str = "UPDATE att_state SET \
     floor_source = GREATEST(floor_source, $2), floor_target = GREATEST(floor_target, $2), \
     max_source = GREATEST(max_source, $2), max_target = GREATEST(max_target, $2) \
     WHERE validator_id = ANY ($1)";

const RAISE_BLOCKS: &str = "UPDATE blk_state SET floor_slot = GREATEST(floor_slot, $2), \
     max_slot = GREATEST(max_slot, $2) WHERE validator_id = ANY ($1)";

/// A key with a floor that the high watermark would not be above.
const FLOOR_IN_THE_WAY: &str = "SELECT v.pubkey, GREATEST(a.floor_source, a.floor_target) AS epoch, \
     b.floor_slot AS slot FROM validator v JOIN att_state a ON a.validator_id = v.id \
     JOIN blk_state b ON b.validator_id = v.id \
     WHERE GREATEST(a.floor_source, a.floor_target) >= $1 OR b.floor_slot >= $2 LIMIT 1";

impl PostgresStore {
    /// Begins a change of the operator's.
    async fn begin_change(&mut self) -> Result<Transaction<'_, Postgres>, StoreError> {
        self.shared.check_not_halted()?;
        let mut transaction = self.connection()?.begin().await?;
        for statement in LONG_WORK {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        Ok(transaction)
    }
}

/// The selected keys with their ids.
async fn select(
    connection: &mut PgConnection,
    keys: Selection<'_>,
) -> Result<Vec<(PublicKey, i32)>, RecordsError> {
    match keys {
        Selection::All => Ok(register::all(connection).await?),
        Selection::Keys(named) => {
            let mut found = register::look_up(connection, named).await?;
            found.sort_unstable();
            let is_known =
                |key: &PublicKey| found.binary_search_by_key(key, |(known, _)| *known).is_ok();
            named_keys(named, is_known)?;
            Ok(found)
        }
    }
}

impl Records for PostgresStore {
    async fn genesis_validators_root(&mut self) -> Result<Option<Root>, StoreError> {
        let row = sqlx::query("SELECT genesis_validators_root FROM sp_meta");
        stored_root(&row.fetch_one(self.connection()?).await?, "genesis_validators_root")
    }

    async fn begin_import(
        &mut self,
        genesis_validators_root: Root,
        keys: &[PublicKey],
    ) -> Result<impl ImportTransaction, RecordsError> {
        self.start_import(genesis_validators_root, keys).await
    }

    async fn begin_export(&mut self) -> Result<impl Snapshot, StoreError> {
        self.snapshot().await
    }

    async fn raise_floors(
        &mut self,
        keys: Selection<'_>,
        low: LowWatermark,
    ) -> Result<usize, RecordsError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_change().await?;
        let is_above = |high: &HighWatermark| low.epoch > high.epoch || low.slot > high.slot;
        let row = sqlx::query(HIGH_WATERMARK).fetch_one(&mut *transaction).await;
        if let Some(high) = high_watermark(&row.map_err(StoreError::from)?)?.filter(is_above) {
            return Err(RecordsError::LowAboveHigh { low, high });
        }
        let keys = select(&mut transaction, keys).await?;
        if keys.is_empty() {
            return Err(RecordsError::NoKeys);
        }
        let states = states::lock(&mut transaction, keys).await?;
        let ids: Vec<i32> = states.values().map(|state| state.id).collect();
        for (statement, floor) in [(RAISE_ATTESTATIONS, low.epoch.0), (RAISE_BLOCKS, low.slot.0)] {
            let raise = sqlx::query(statement).bind(&ids).bind(to_stored(floor));
            raise.execute(&mut *transaction).await.map_err(StoreError::from)?;
        }
        shared.commit(transaction).await?;
        Ok(ids.len())
    }

    async fn set_high_watermark(
        &mut self,
        high: Option<HighWatermark>,
    ) -> Result<(), RecordsError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_change().await?;
        if let Some(high) = high {
            let row = sqlx::query(FLOOR_IN_THE_WAY)
                .bind(to_stored(high.epoch.0))
                .bind(to_stored(high.slot.0))
                .fetch_optional(&mut *transaction)
                .await
                .map_err(StoreError::from)?;
            if let Some(row) = row {
                let epoch = stored_number(&row, "epoch")?.map(Epoch);
                let slot = stored_number(&row, "slot")?.map_or(high.slot, Slot);
                let epoch = epoch.filter(|epoch| *epoch >= high.epoch).map(WatermarkPlace::Epoch);
                let at = epoch.unwrap_or(WatermarkPlace::Slot(slot));
                let key = public_key(&row)?;
                return Err(RecordsError::HighNotAboveLow { high, key, at });
            }
        }
        sqlx::query("UPDATE sp_meta SET high_epoch = $1, high_slot = $2")
            .bind(high.map(|high| to_stored(high.epoch.0)))
            .bind(high.map(|high| to_stored(high.slot.0)))
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        shared.commit(transaction).await?;
        self.high_watermark = high;
        Ok(())
    }

    async fn set_enabled(&mut self, keys: &[PublicKey], enabled: bool) -> Result<(), RecordsError> {
        let shared = Arc::clone(&self.shared);
        let mut transaction = self.begin_change().await?;
        let keys = select(&mut transaction, Selection::Keys(keys)).await?;
        // Who holds the locks has signed; who waits for them will see the change.
        let states = states::lock(&mut transaction, keys).await?;
        let ids: Vec<i32> = states.values().map(|state| state.id).collect();
        for statement in [
            "UPDATE att_state SET enabled = $1 WHERE validator_id = ANY ($2)",
            "UPDATE blk_state SET enabled = $1 WHERE validator_id = ANY ($2)",
        ] {
            let update = sqlx::query(statement).bind(enabled).bind(&ids);
            update.execute(&mut *transaction).await.map_err(StoreError::from)?;
        }
        Ok(shared.commit(transaction).await?)
    }
}
