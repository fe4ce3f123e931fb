//! Reading the records as of one instant, while others go on writing them.

use signer_client::wire::{PublicKey, Root};
use sqlx::{Connection, Postgres, Transaction};

use super::{
    PostgresStore, history,
    session::LONG_WORK,
    states::{self, KeyState},
};
use crate::slashing::{
    StoreError,
    store::{
        records::{KeyRecords, Snapshot},
        rows::stored_root,
    },
};

/// A dropped partition is gone for every transaction, also for one whose snapshot has its rows and
/// not yet the floors that took their place. So all of them are locked against that, before the
/// first query, which takes the snapshot; settings by `SET` take none.
const KEEP_PARTITIONS: &str = "LOCK TABLE signed_attestation IN ACCESS SHARE MODE";

/// See [`crate::slashing::store::records::Records::begin_export`].
#[derive(Debug)]
pub(super) struct PostgresSnapshot<'a> {
    transaction: Transaction<'a, Postgres>,
    genesis_validators_root: Option<Root>,
    keys: Vec<PublicKey>,
    /// In the order of `keys`.
    states: Vec<KeyState>,
}

impl PostgresStore {
    pub(super) async fn snapshot(&mut self) -> Result<PostgresSnapshot<'_>, StoreError> {
        self.shared.check_not_halted()?;
        let mut transaction = self
            .connection()?
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        for statement in LONG_WORK.into_iter().chain([KEEP_PARTITIONS]) {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        let meta = sqlx::query("SELECT genesis_validators_root FROM sp_meta");
        let meta = meta.fetch_one(&mut *transaction).await?;
        let genesis_validators_root = stored_root(&meta, "genesis_validators_root")?;
        let (keys, states) = states::all(&mut transaction).await?.into_iter().unzip();
        Ok(PostgresSnapshot { transaction, genesis_validators_root, keys, states })
    }
}

impl Snapshot for PostgresSnapshot<'_> {
    fn genesis_validators_root(&self) -> Option<Root> {
        self.genesis_validators_root
    }

    fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    async fn read(&mut self, keys: &[PublicKey]) -> Result<Vec<KeyRecords>, StoreError> {
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            let place = self.keys.binary_search(key);
            let place = place.map_err(|_| StoreError::StateMissing { missing: 1 })?;
            wanted.push((*key, self.states[place]));
        }
        let ids: Vec<i32> = wanted.iter().map(|(_, state)| state.id).collect();
        let mut attestations = history::all_attestations(&mut self.transaction, &ids).await?;
        let mut blocks = history::all_blocks(&mut self.transaction, &ids).await?;
        let records = wanted.into_iter().map(|(key, state)| KeyRecords {
            key,
            attestation: state.attestation,
            block: state.block,
            attestations: attestations.remove(&state.id).unwrap_or_default(),
            blocks: blocks.remove(&state.id).unwrap_or_default(),
        });
        Ok(records.collect())
    }
}
