//! An import: one transaction over all its keys, beside signers that go on signing.
//!
//! The states of all keys are locked from the beginning to the end, so that nothing is signed on
//! half of a file; requests for other keys do not wait. Tables for records are made outside of the
//! transaction, which would otherwise keep others from making theirs.

use std::collections::{BTreeSet, HashMap};

use signer_client::wire::{PublicKey, Root};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::{
    PostgresStore, Shared,
    copy::Rows,
    history::{self, Span},
    partitions, register,
    session::{self, LONG_WORK},
    states::{self, KeyState},
};
use crate::slashing::{
    StoreError,
    interchange::{
        KeyOutcome,
        merge::{AttestationImport, BlockImport, KeyImport},
    },
    refusal::RecordedAttestation,
    store::{
        changes::{Changes, IMPORTED},
        records::{ImportTransaction, RecordsError},
        rows::{root_column, stored_root, to_stored},
    },
};

/// Tables that one import may need, each for about a day of mainnet. A transaction holds locks on
/// all that it writes to, and the server has room for a limited number.
const MOST_PARTITIONS: usize = 2_000;

const COPY_ATTESTATIONS: &str = "COPY signed_attestation \
     (validator_id, target_epoch, source_epoch, signing_root, origin) FROM STDIN (FORMAT binary)";

const COPY_BLOCKS: &str = "COPY signed_block (validator_id, slot, signing_root, origin) \
     FROM STDIN (FORMAT binary)";

const FORGET_ATTESTATIONS: &str = "UPDATE signed_attestation a SET signing_root = NULL \
     FROM unnest($1::int[], $2::bigint[]) AS t (id, place) \
     WHERE a.validator_id = t.id AND a.target_epoch = t.place";

const FORGET_BLOCKS: &str = "UPDATE signed_block b SET signing_root = NULL \
     FROM unnest($1::int[], $2::bigint[]) AS t (id, place) \
     WHERE b.validator_id = t.id AND b.slot = t.place";

/// See [`crate::slashing::store::records::Records::begin_import`].
#[derive(Debug)]
pub(super) struct PostgresImport<'a> {
    transaction: Transaction<'a, Postgres>,
    shared: &'a Shared,
    /// Makes tables.
    helper: Option<PgConnection>,
    /// Those that there are for certain.
    partitions: BTreeSet<i64>,
    /// State of the import's keys after what was merged so far.
    keys: HashMap<PublicKey, KeyState>,
    highest_target: u64,
}

impl PostgresStore {
    pub(super) async fn start_import(
        &mut self,
        claimed: Root,
        names: &[PublicKey],
    ) -> Result<PostgresImport<'_>, RecordsError> {
        self.shared.check_not_halted()?;
        let Self { shared, connection, .. } = self;
        let connection = connection.as_mut().ok_or(StoreError::NotOpen)?;
        let mut transaction = connection.begin().await.map_err(StoreError::from)?;
        for statement in LONG_WORK {
            sqlx::query(statement).execute(&mut *transaction).await.map_err(StoreError::from)?;
        }
        pin_chain(&mut transaction, claimed).await?;
        let ids = register::register(&mut transaction, names).await?;
        let keys = states::lock(&mut transaction, ids).await?;
        Ok(PostgresImport {
            transaction,
            shared,
            helper: None,
            partitions: BTreeSet::new(),
            keys,
            highest_target: 0,
        })
    }
}

/// Checks the chain or, in a database of none yet, says which it is. Then nobody else can change
/// the row until the import ends; where signers have signed or know their network, it is only read.
async fn pin_chain(connection: &mut PgConnection, claimed: Root) -> Result<(), RecordsError> {
    for statement in [
        "SELECT genesis_validators_root FROM sp_meta",
        "UPDATE sp_meta SET genesis_validators_root = coalesce(genesis_validators_root, $1) \
         RETURNING genesis_validators_root",
    ] {
        let query = sqlx::query(statement);
        let is_update = statement.starts_with("UPDATE");
        let query = if is_update { query.bind(claimed.as_bytes().as_slice()) } else { query };
        let row = query.fetch_one(&mut *connection).await.map_err(StoreError::from)?;
        match stored_root(&row, "genesis_validators_root")? {
            Some(pinned) if pinned == claimed => return Ok(()),
            Some(pinned) => return Err(RecordsError::OtherChain { pinned, claimed }),
            None => {}
        }
    }
    Err(StoreError::ImpossibleValue { column: "genesis_validators_root" }.into())
}

async fn write(connection: &mut PgConnection, changes: &Changes<i32>) -> Result<(), StoreError> {
    let mut rows = Rows::new(5);
    for (id, row) in &changes.attestations {
        rows.row()
            .integer(*id)
            .bigint(to_stored(row.target.0))
            .bigint(to_stored(row.source.0))
            .root(row.signing_root.as_ref().and_then(root_column))
            .smallint(IMPORTED);
    }
    rows.send(connection, COPY_ATTESTATIONS).await?;
    let mut rows = Rows::new(4);
    for (id, row) in &changes.blocks {
        rows.row()
            .integer(*id)
            .bigint(to_stored(row.slot.0))
            .root(row.signing_root.as_ref().and_then(root_column))
            .smallint(IMPORTED);
    }
    rows.send(connection, COPY_BLOCKS).await?;
    let targets = changes.forget_attestations.iter().map(|(id, target)| (*id, target.0));
    forget(connection, FORGET_ATTESTATIONS, targets).await?;
    let slots = changes.forget_blocks.iter().map(|(id, slot)| (*id, slot.0));
    forget(connection, FORGET_BLOCKS, slots).await?;
    states::write(connection, &changes.states).await
}

async fn forget(
    connection: &mut PgConnection,
    statement: &'static str,
    places: impl Iterator<Item = (i32, u64)>,
) -> Result<(), StoreError> {
    let (ids, places): (Vec<i32>, Vec<i64>) =
        places.map(|(id, place)| (id, to_stored(place))).unzip();
    if !ids.is_empty() {
        sqlx::query(statement).bind(ids).bind(places).execute(connection).await?;
    }
    Ok(())
}

impl PostgresImport<'_> {
    fn state(&self, key: &PublicKey) -> Result<KeyState, StoreError> {
        self.keys.get(key).copied().ok_or(StoreError::StateMissing { missing: 1 })
    }

    /// Makes the tables for these records where they are missing.
    async fn make_partitions(
        &mut self,
        rows: &[(i32, RecordedAttestation)],
    ) -> Result<(), StoreError> {
        let needed = rows.iter().map(|(_, row)| partitions::attestation_partition(row.target));
        let missing: BTreeSet<i64> =
            needed.filter(|number| !self.partitions.contains(number)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.partitions.len() + missing.len() > MOST_PARTITIONS {
            return Err(StoreError::TooManyPartitions { most: MOST_PARTITIONS });
        }
        let mut helper = match self.helper.take() {
            Some(helper) => helper,
            None => self.shared.server.connect_patiently().await?,
        };
        for number in &missing {
            partitions::make(&mut helper, &[*number], &[]).await?;
        }
        self.helper = Some(helper);
        self.partitions.extend(missing);
        Ok(())
    }
}

impl ImportTransaction for PostgresImport<'_> {
    async fn merge(&mut self, keys: &[KeyImport]) -> Result<Vec<KeyOutcome>, StoreError> {
        let (mut votes, mut slots) = (Vec::new(), Vec::new());
        for import in keys {
            let KeyState { id, attestation, block } = self.state(&import.key)?;
            // No row is above the maximum.
            if let Some((first, last)) =
                import.attestations.as_ref().and_then(AttestationImport::targets)
                && attestation.max.is_some_and(|max| max.target >= first)
            {
                votes.push(Span { id, first, last });
            }
            if let Some((first, last)) = import.blocks.as_ref().and_then(BlockImport::slots)
                && block.max.is_some_and(|max| max >= first)
            {
                slots.push(Span { id, first, last });
            }
        }
        let votes = history::attestations(&mut self.transaction, &votes).await?;
        let slots = history::blocks(&mut self.transaction, &slots).await?;

        let mut changes = Changes::default();
        let mut outcomes = Vec::with_capacity(keys.len());
        for import in keys {
            let before = self.state(&import.key)?;
            let recorded = votes.get(&before.id).map_or(&[][..], Vec::as_slice);
            let attestations =
                import.attestations.as_ref().map(|part| part.merge(&before.attestation, recorded));
            let recorded = slots.get(&before.id).map_or(&[][..], Vec::as_slice);
            let blocks = import.blocks.as_ref().map(|part| part.merge(&before.block, recorded));
            let outcome = import.outcome(
                attestations.as_ref().map(|merge| (&before.attestation, merge)),
                blocks.as_ref().map(|merge| (&before.block, merge)),
            );
            if outcome.changed {
                let after = changes.note(before, attestations, blocks);
                let target = after.attestation.max.map_or(0, |max| max.target.0);
                self.highest_target = self.highest_target.max(target);
                self.keys.insert(import.key, after);
            }
            outcomes.push(outcome);
        }
        self.make_partitions(&changes.attestations).await?;
        write(&mut self.transaction, &changes).await?;
        Ok(outcomes)
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.shared.commit(self.transaction).await?;
        let highest = &self.shared.highest_target;
        highest.fetch_max(self.highest_target, std::sync::atomic::Ordering::Relaxed);
        if let Some(helper) = self.helper {
            session::close(helper).await;
        }
        Ok(())
    }
}
