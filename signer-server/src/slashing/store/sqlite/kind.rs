//! The two kinds of slashable duty, as far as they differ: their rule, their tables, their part
//! of a key's state.

use std::sync::LazyLock;

use signer_client::wire::Slot;
use sqlx::SqliteConnection;

use super::{
    bulk::{Bulk, BulkQuery},
    state::KeyState,
};
use crate::slashing::{
    StoreError,
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{self, AttestationState, BlockState, HistoryNeeded, Verdict, VoteEpochs},
    store::{
        HighWatermark, Request,
        rows::{recorded_attestation, recorded_block, root_column, to_stored, to_stored_or_none},
    },
};

/// A request that the rules allow, with the state that its record leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed<'a, Subject> {
    pub(super) request: &'a Request<Subject>,
    pub(super) state_after: KeyState,
}

/// What [`super::clear`] needs to know about a kind.
pub(super) trait Kind {
    type Subject: Copy + Send + Sync;
    type Record: Send + Sync;

    fn judge(
        state: &KeyState,
        high_watermark: Option<HighWatermark>,
        request: &Request<Self::Subject>,
        history: Option<&[Self::Record]>,
    ) -> Result<Verdict, HistoryNeeded>;

    /// The records that `judge` asks for.
    fn history(
        connection: &mut SqliteConnection,
        validator: i64,
        subject: Self::Subject,
    ) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;

    /// Inserts the records and moves the states in the open transaction. Returns how many states
    /// were moved.
    fn write(
        connection: &mut SqliteConnection,
        allowed: &[Allowed<'_, Self::Subject>],
        now_us: i64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The state once the subject is recorded.
    fn with_recorded(state: KeyState, subject: Self::Subject) -> KeyState;

    /// Takes the key out of service until the next start.
    fn disable(state: &mut KeyState);
}

/// Attestations.
#[derive(Debug)]
pub(super) struct Attestations;

const ATTESTATION_AT_TARGET: &str = "SELECT source_epoch, target_epoch, signing_root \
     FROM signed_attestation WHERE validator_id = $1 AND target_epoch = $2";

const ATTESTATION_AROUND: &str = "SELECT source_epoch, target_epoch, signing_root \
     FROM signed_attestation WHERE validator_id = $1 AND target_epoch > $2 AND source_epoch < $3 \
     LIMIT 1";

const ATTESTATION_INSIDE: &str = "SELECT source_epoch, target_epoch, signing_root \
     FROM signed_attestation WHERE validator_id = $1 AND target_epoch < $2 AND source_epoch > $3 \
     LIMIT 1";

static INSERT_ATTESTATIONS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO signed_attestation \
         (validator_id, target_epoch, source_epoch, signing_root, signed_at)",
        5,
        "",
    )
});

pub(super) static MOVE_ATTESTATION_STATES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE att_state SET floor_source = new.column2, floor_target = new.column3, \
         max_source = new.column4, max_target = new.column5 FROM (",
        5,
        ") AS new WHERE att_state.validator_id = new.column1",
    )
});

/// Binds a row of [`MOVE_ATTESTATION_STATES`].
pub(super) fn bind_attestation_state(query: BulkQuery, state: &KeyState) -> BulkQuery {
    let AttestationState { floor, max, .. } = state.attestation;
    query
        .bind(state.id)
        .bind(to_stored_or_none(floor.map(|floor| floor.source.0)))
        .bind(to_stored_or_none(floor.map(|floor| floor.target.0)))
        .bind(to_stored_or_none(max.map(|max| max.source.0)))
        .bind(to_stored_or_none(max.map(|max| max.target.0)))
}

impl Kind for Attestations {
    type Subject = VoteEpochs;
    type Record = RecordedAttestation;

    fn judge(
        state: &KeyState,
        high_watermark: Option<HighWatermark>,
        request: &Request<VoteEpochs>,
        history: Option<&[RecordedAttestation]>,
    ) -> Result<Verdict, HistoryNeeded> {
        let high_watermark = high_watermark.map(|high| high.epoch);
        let Request { subject, signing_root, .. } = *request;
        rules::attestation(&state.attestation, high_watermark, subject, signing_root, history)
    }

    async fn history(
        connection: &mut SqliteConnection,
        validator: i64,
        VoteEpochs { source, target }: VoteEpochs,
    ) -> Result<Vec<RecordedAttestation>, StoreError> {
        let (source, target) = (to_stored(source.0), to_stored(target.0));
        let same = sqlx::query(ATTESTATION_AT_TARGET)
            .bind(validator)
            .bind(target)
            .fetch_optional(&mut *connection)
            .await?;
        // A record for the same target decides alone.
        if let Some(same) = same {
            return Ok(vec![recorded_attestation(&same)?]);
        }
        let mut records = Vec::new();
        for query in [ATTESTATION_AROUND, ATTESTATION_INSIDE] {
            let row = sqlx::query(query)
                .bind(validator)
                .bind(target)
                .bind(source)
                .fetch_optional(&mut *connection)
                .await?;
            if let Some(row) = row {
                records.push(recorded_attestation(&row)?);
            }
        }
        Ok(records)
    }

    async fn write(
        connection: &mut SqliteConnection,
        allowed: &[Allowed<'_, VoteEpochs>],
        now_us: i64,
    ) -> Result<u64, StoreError> {
        INSERT_ATTESTATIONS
            .execute(connection, allowed, |query, allowed| {
                let VoteEpochs { source, target } = allowed.request.subject;
                query
                    .bind(allowed.state_after.id)
                    .bind(to_stored(target.0))
                    .bind(to_stored(source.0))
                    .bind(root_column(&allowed.request.signing_root))
                    .bind(now_us)
            })
            .await?;
        let moved = MOVE_ATTESTATION_STATES
            .execute(connection, allowed, |query, allowed| {
                bind_attestation_state(query, &allowed.state_after)
            })
            .await?;
        Ok(moved)
    }

    fn with_recorded(state: KeyState, subject: VoteEpochs) -> KeyState {
        KeyState { attestation: state.attestation.with_recorded(subject), ..state }
    }

    fn disable(state: &mut KeyState) {
        state.attestation.enabled = false;
    }
}

/// Blocks.
#[derive(Debug)]
pub(super) struct Blocks;

const BLOCK_AT_SLOT: &str =
    "SELECT slot, signing_root FROM signed_block WHERE validator_id = $1 AND slot = $2";

static INSERT_BLOCKS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new("INSERT INTO signed_block (validator_id, slot, signing_root, signed_at)", 4, "")
});

pub(super) static MOVE_BLOCK_STATES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE blk_state SET floor_slot = new.column2, max_slot = new.column3 FROM (",
        3,
        ") AS new WHERE blk_state.validator_id = new.column1",
    )
});

/// Binds a row of [`MOVE_BLOCK_STATES`].
pub(super) fn bind_block_state(query: BulkQuery, state: &KeyState) -> BulkQuery {
    let BlockState { floor, max, .. } = state.block;
    query
        .bind(state.id)
        .bind(to_stored_or_none(floor.map(|floor| floor.0)))
        .bind(to_stored_or_none(max.map(|max| max.0)))
}

impl Kind for Blocks {
    type Subject = Slot;
    type Record = RecordedBlock;

    fn judge(
        state: &KeyState,
        high_watermark: Option<HighWatermark>,
        request: &Request<Slot>,
        history: Option<&[RecordedBlock]>,
    ) -> Result<Verdict, HistoryNeeded> {
        let high_watermark = high_watermark.map(|high| high.slot);
        let Request { subject, signing_root, .. } = *request;
        rules::block(&state.block, high_watermark, subject, signing_root, history)
    }

    async fn history(
        connection: &mut SqliteConnection,
        validator: i64,
        slot: Slot,
    ) -> Result<Vec<RecordedBlock>, StoreError> {
        let row = sqlx::query(BLOCK_AT_SLOT)
            .bind(validator)
            .bind(to_stored(slot.0))
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else { return Ok(vec![]) };
        Ok(vec![recorded_block(&row)?])
    }

    async fn write(
        connection: &mut SqliteConnection,
        allowed: &[Allowed<'_, Slot>],
        now_us: i64,
    ) -> Result<u64, StoreError> {
        INSERT_BLOCKS
            .execute(connection, allowed, |query, allowed| {
                query
                    .bind(allowed.state_after.id)
                    .bind(to_stored(allowed.request.subject.0))
                    .bind(root_column(&allowed.request.signing_root))
                    .bind(now_us)
            })
            .await?;
        let moved = MOVE_BLOCK_STATES
            .execute(connection, allowed, |query, allowed| {
                bind_block_state(query, &allowed.state_after)
            })
            .await?;
        Ok(moved)
    }

    fn with_recorded(state: KeyState, subject: Slot) -> KeyState {
        KeyState { block: state.block.with_recorded(subject), ..state }
    }

    fn disable(state: &mut KeyState) {
        state.block.enabled = false;
    }
}
