//! Letting old records go, some hundred rows per transaction.

use signer_client::wire::{Epoch, PublicKey, Slot};
use sqlx::{Connection, SqliteConnection};

use super::{
    SqliteStore, connect,
    state::{KeyState, State},
};
use crate::slashing::{
    StoreError,
    rules::VoteEpochs,
    store::{
        pruning::{Pruning, PruningPolicy, PruningStep},
        rows::{stored_number, to_stored, vote_epochs},
    },
};

/// Most records of one kind that one step deletes: some milliseconds.
const ROWS_PER_STEP: i64 = 512;

/// Most keys that one step looks at.
const KEYS_PER_STEP: usize = 32;

/// After this many steps the log is copied into the database, before it grows so long that a
/// signature would have to wait for that.
const STEPS_PER_CHECKPOINT: u32 = 16;

/// The newest record says how much is kept; the oldest rows before that go first.
const OLD_ATTESTATIONS: &str = "SELECT count(*) AS rows, max(source_epoch) AS source, \
     max(target_epoch) AS target FROM (SELECT source_epoch, target_epoch FROM signed_attestation \
     WHERE validator_id = $1 AND target_epoch < $2 ORDER BY target_epoch LIMIT $3)";

const OLD_BLOCKS: &str = "SELECT count(*) AS rows, max(slot) AS slot FROM (SELECT slot \
     FROM signed_block WHERE validator_id = $1 AND slot < $2 ORDER BY slot LIMIT $3)";

const RAISE_ATTESTATION_FLOOR: &str = "UPDATE att_state SET \
     floor_source = max(floor_source, $2), floor_target = max(floor_target, $3), \
     max_source = max(max_source, $2), max_target = max(max_target, $3) WHERE validator_id = $1";

const RAISE_BLOCK_FLOOR: &str = "UPDATE blk_state SET floor_slot = max(floor_slot, $2), \
     max_slot = max(max_slot, $2) WHERE validator_id = $1";

const DELETE_ATTESTATIONS: &str =
    "DELETE FROM signed_attestation WHERE validator_id = $1 AND target_epoch <= $2";

const DELETE_BLOCKS: &str = "DELETE FROM signed_block WHERE validator_id = $1 AND slot <= $2";

/// A walk over all keys, also those that are not loaded any more.
#[derive(Debug)]
pub(super) struct PruningRun {
    /// Keys still to come, the next one last.
    keys: Vec<PublicKey>,
    steps: u32,
}

impl PruningRun {
    fn over(state: &State) -> Self {
        Self { keys: state.keys.keys().copied().collect(), steps: 0 }
    }
}

/// What goes of one key in one step: everything up to these.
struct Cut {
    key: PublicKey,
    state: KeyState,
    attestations: Option<VoteEpochs>,
    blocks: Option<Slot>,
    /// Whether more is to go than fits in this step.
    is_partial: bool,
}

impl Pruning for SqliteStore {
    async fn prune_step(&mut self, policy: PruningPolicy) -> Result<PruningStep, StoreError> {
        // Given back at the end: an error ends the run, and the key that caused it does not stand
        // at the head of every later step.
        let mut run = self.pruning.take().unwrap_or_else(|| PruningRun::over(&self.state));
        run.steps += 1;
        if run.steps.is_multiple_of(STEPS_PER_CHECKPOINT) {
            connect::checkpoint_passively(self.connection()?).await?;
        }
        let cuts = self.next_cuts(&mut run, policy).await?;
        let rows = if cuts.is_empty() { 0 } else { self.make(&cuts).await? };
        let is_last = run.keys.is_empty();
        self.pruning = (!is_last).then_some(run);
        Ok(PruningStep { rows, is_last })
    }
}

impl SqliteStore {
    /// Looks at the next keys until there is enough to delete.
    async fn next_cuts(
        &mut self,
        run: &mut PruningRun,
        policy: PruningPolicy,
    ) -> Result<Vec<Cut>, StoreError> {
        let mut cuts = Vec::new();
        let mut left = ROWS_PER_STEP;
        for _ in 0..KEYS_PER_STEP {
            let Some(key) = run.keys.pop() else { break };
            let Some(&state) = self.state.keys.get(&key) else { continue };
            match next_cut(self.connection()?, key, state, policy, left).await {
                Ok((cut, rows)) => {
                    left -= rows;
                    if cut.is_partial {
                        run.keys.push(key);
                    }
                    if rows > 0 {
                        cuts.push(cut);
                    }
                    if left <= 0 {
                        break;
                    }
                }
                // A damaged place in one key's history is no reason to keep that of the others.
                Err(error) => {
                    tracing::error!(%key, %error, "the history of a key can't be read; it is kept");
                }
            }
        }
        Ok(cuts)
    }

    /// Raises the floors and deletes, in one transaction; then the state in memory follows.
    async fn make(&mut self, cuts: &[Cut]) -> Result<u64, StoreError> {
        self.log_grew = true;
        let mut rows = 0;
        let mut transaction = self.connection()?.begin_with("BEGIN IMMEDIATE").await?;
        for cut in cuts {
            rows += cut.make(&mut transaction).await?;
        }
        transaction.commit().await?;
        for cut in cuts {
            self.state.keys.insert(cut.key, cut.state_after());
        }
        Ok(rows)
    }
}

/// What goes of a key, at most `limit` rows of each kind, and how many rows that is.
async fn next_cut(
    connection: &mut SqliteConnection,
    key: PublicKey,
    state: KeyState,
    policy: PruningPolicy,
    limit: i64,
) -> Result<(Cut, i64), StoreError> {
    let mut cut = Cut { key, state, attestations: None, blocks: None, is_partial: false };
    let mut rows = 0;

    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT max(target_epoch) FROM signed_attestation WHERE validator_id = $1",
    )
    .bind(state.id)
    .fetch_one(&mut *connection)
    .await?;
    if let Some(newest) = newest {
        let first_kept = policy.first_kept_target(Epoch(newest.max(0).cast_unsigned()));
        let old = sqlx::query(OLD_ATTESTATIONS)
            .bind(state.id)
            .bind(to_stored(first_kept.0))
            .bind(limit)
            .fetch_one(&mut *connection)
            .await?;
        cut.attestations = vote_epochs(&old, "source", "target")?;
        let found: i64 = sqlx::Row::try_get(&old, "rows")?;
        cut.is_partial |= found == limit;
        rows += found;
    }

    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(slot) FROM signed_block WHERE validator_id = $1")
            .bind(state.id)
            .fetch_one(&mut *connection)
            .await?;
    if let Some(newest) = newest {
        let first_kept = policy.first_kept_slot(Slot(newest.max(0).cast_unsigned()));
        let old = sqlx::query(OLD_BLOCKS)
            .bind(state.id)
            .bind(to_stored(first_kept.0))
            .bind(limit)
            .fetch_one(connection)
            .await?;
        cut.blocks = stored_number(&old, "slot")?.map(Slot);
        let found: i64 = sqlx::Row::try_get(&old, "rows")?;
        cut.is_partial |= found == limit;
        rows += found;
    }
    Ok((cut, rows))
}

impl Cut {
    async fn make(&self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        let mut rows = 0;
        if let Some(VoteEpochs { source, target }) = self.attestations {
            let floor = sqlx::query(RAISE_ATTESTATION_FLOOR)
                .bind(self.state.id)
                .bind(to_stored(source.0))
                .bind(to_stored(target.0));
            let moved = floor.execute(&mut *connection).await?.rows_affected();
            must_reach_one(moved)?;
            let delete =
                sqlx::query(DELETE_ATTESTATIONS).bind(self.state.id).bind(to_stored(target.0));
            rows += delete.execute(&mut *connection).await?.rows_affected();
        }
        if let Some(slot) = self.blocks {
            let slot = to_stored(slot.0);
            let floor = sqlx::query(RAISE_BLOCK_FLOOR).bind(self.state.id).bind(slot);
            must_reach_one(floor.execute(&mut *connection).await?.rows_affected())?;
            let delete = sqlx::query(DELETE_BLOCKS).bind(self.state.id).bind(slot);
            rows += delete.execute(connection).await?.rows_affected();
        }
        Ok(rows)
    }

    fn state_after(&self) -> KeyState {
        let KeyState { id, attestation, block } = self.state;
        KeyState {
            id,
            attestation: self
                .attestations
                .map_or(attestation, |max| attestation.with_floor_raised(max)),
            block: self.blocks.map_or(block, |max| block.with_floor_raised(max)),
        }
    }
}

/// Without its floor no record may go.
fn must_reach_one(moved: u64) -> Result<(), StoreError> {
    if moved == 1 { Ok(()) } else { Err(StoreError::StateMissing { missing: 1 }) }
}
