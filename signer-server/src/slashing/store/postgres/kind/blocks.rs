//! Blocks: one slot, and at most one record that matters.

use signer_client::wire::{Root, Slot};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    super::{
        columns::{audit_column_names, audit_columns_from_arrays},
        identity::{self, other_identity},
        veto::{Released, Veto},
    },
    Answer, Evidence, Item, Kind, audit_rows, chains, in_order, known_root, roots, validators,
};
use crate::slashing::{
    StoreError,
    marker::Identity,
    refusal::RecordedBlock,
    rules::{self, BlockState, HistoryNeeded, LARGEST, Verdict},
    store::{
        Request,
        rows::{high_watermark, stored_number, stored_root, to_stored},
    },
};

/// Blocks.
#[derive(Debug)]
pub(in super::super) struct Blocks;

const BLOCK: &str = concat!(
    "WITH verdicts AS MATERIALIZED (SELECT * FROM sp_block($18, $19, $20, $21, $22)), \
     audited AS (INSERT INTO audit (",
    audit_column_names!(),
    ") SELECT ",
    audit_column_names!(),
    " FROM ",
    audit_columns_from_arrays!(),
    " JOIN verdicts USING (ord) WHERE verdict = 1 ON CONFLICT (id) DO NOTHING) \
     SELECT ord, verdict, known_slot, xid, ",
    other_identity!("23", "24"),
    " FROM verdicts"
);

const BLOCK_EVIDENCE: &str = "SELECT t.ord, m.genesis_validators_root, m.high_epoch, m.high_slot, \
     s.enabled, s.floor_slot, s.max_slot, same.slot AS same_slot, same.signing_root AS same_root \
     FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS t (vid, slot, ord) \
     CROSS JOIN sp_meta m \
     LEFT JOIN blk_state s ON s.validator_id = t.vid \
     LEFT JOIN signed_block same ON same.validator_id = t.vid AND same.slot = t.slot \
     ORDER BY t.ord";

impl Kind for Blocks {
    type Subject = Slot;
    type Record = RecordedBlock;
    type State = BlockState;
    type Watermark = Slot;

    const UNLOCKED: &'static str = "SELECT validator_id FROM blk_state \
         WHERE validator_id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED";

    fn fits(slot: Slot) -> bool {
        slot.0 <= LARGEST
    }

    async fn ask(
        connection: &mut PgConnection,
        items: &[Item<'_, Slot>],
        pin: bool,
        expected: &Identity,
    ) -> Result<Vec<Answer<Slot>>, StoreError> {
        let (cluster, table) = identity::parameters(expected);
        let rows = audit_rows(items)
            .bind(sqlx::query(BLOCK))
            .bind(validators(items))
            .bind(slot_column(items))
            .bind(roots(items))
            .bind(chains(items))
            .bind(pin)
            .bind(cluster)
            .bind(table)
            .fetch_all(connection)
            .await?;
        in_order(
            &rows,
            items.len(),
            expected,
            |row| Ok(stored_number(row, "known_slot")?.map(Slot)),
        )
    }

    async fn evidence(
        connection: &mut PgConnection,
        items: &[Item<'_, Slot>],
    ) -> Result<Vec<Evidence<Self>>, StoreError> {
        let rows = sqlx::query(BLOCK_EVIDENCE)
            .bind(validators(items))
            .bind(slot_column(items))
            .fetch_all(connection)
            .await?;
        rows.iter().map(block_evidence).collect()
    }

    fn judge(
        evidence: &Evidence<Self>,
        state: &BlockState,
        request: &Request<Slot>,
    ) -> Result<Verdict, HistoryNeeded> {
        let Request { subject, signing_root, .. } = *request;
        let history = Some(evidence.history.as_slice());
        rules::block(state, evidence.high_watermark, subject, signing_root, history)
    }

    const HAS_REACHED: &'static str =
        "SELECT EXISTS (SELECT FROM blk_state WHERE validator_id = $1 AND max_slot >= $2)";

    fn height(slot: Slot) -> i64 {
        to_stored(slot.0)
    }

    fn partition(_: Slot) -> Option<i64> {
        None
    }

    fn veto(veto: &mut Veto) -> &mut Released<Self> {
        &mut veto.blocks
    }

    fn highest(one: Slot, other: Slot) -> Slot {
        one.max(other)
    }

    fn reaches(known: Slot, wanted: Slot) -> bool {
        known >= wanted
    }

    fn record(slot: Slot, root: Root) -> RecordedBlock {
        RecordedBlock { slot, signing_root: known_root(root) }
    }

    fn is_safe_beside(max: Slot, recent: &[RecordedBlock], slot: Slot, signing_root: Root) -> bool {
        let state = BlockState { enabled: true, floor: None, max: Some(max) };
        rules::block(&state, None, slot, signing_root, Some(recent)) == Ok(Verdict::New)
    }
}

fn slot_column(items: &[Item<'_, Slot>]) -> Vec<i64> {
    items.iter().map(|item| to_stored(item.request.subject.0)).collect()
}

fn block_evidence(row: &PgRow) -> Result<Evidence<Blocks>, StoreError> {
    let enabled: Option<bool> = row.try_get("enabled")?;
    let floor = stored_number(row, "floor_slot")?.map(Slot);
    let max = stored_number(row, "max_slot")?.map(Slot);
    let slot = stored_number(row, "same_slot")?.map(Slot);
    let signing_root = stored_root(row, "same_root")?;
    Ok(Evidence {
        pinned: stored_root(row, "genesis_validators_root")?,
        high_watermark: high_watermark(row)?.map(|high| high.slot),
        state: enabled.map(|enabled| BlockState { enabled, floor, max }),
        history: slot.map(|slot| RecordedBlock { slot, signing_root }).into_iter().collect(),
    })
}
