//! Reading the history of many keys at once.

use std::collections::HashMap;

use signer_client::wire::{Epoch, Slot};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::slashing::{
    StoreError,
    refusal::{RecordedAttestation, RecordedBlock},
    store::rows::{recorded_attestation, recorded_block, to_stored},
};

/// The rows of some keys, by the keys' ids.
pub(super) type ByKey<Row> = HashMap<i32, Vec<Row>>;

/// A part of the history of a key: from the first to the last epoch or slot, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<Place> {
    pub(super) id: i32,
    pub(super) first: Place,
    pub(super) last: Place,
}

/// The bounds of all spans together let the planner leave out most partitions. `OFFSET 0` keeps it
/// from joining whole tables: every span is looked up in an index.
const ATTESTATIONS: &str = "SELECT a.* FROM unnest($1::int[], $2::bigint[], $3::bigint[]) \
     AS t (id, first, last) CROSS JOIN LATERAL (SELECT h.validator_id, h.source_epoch, \
     h.target_epoch, h.signing_root FROM signed_attestation h WHERE h.validator_id = t.id \
     AND h.target_epoch BETWEEN t.first AND t.last AND h.target_epoch BETWEEN $4 AND $5 \
     ORDER BY h.target_epoch OFFSET 0) a";

const BLOCKS: &str = "SELECT b.* FROM unnest($1::int[], $2::bigint[], $3::bigint[]) \
     AS t (id, first, last) CROSS JOIN LATERAL (SELECT h.validator_id, h.slot, h.signing_root \
     FROM signed_block h WHERE h.validator_id = t.id AND h.slot BETWEEN t.first AND t.last \
     ORDER BY h.slot OFFSET 0) b";

const ALL_ATTESTATIONS: &str = "SELECT validator_id, source_epoch, target_epoch, signing_root \
     FROM signed_attestation WHERE validator_id = ANY ($1) ORDER BY validator_id, target_epoch";

const ALL_BLOCKS: &str = "SELECT validator_id, slot, signing_root FROM signed_block \
     WHERE validator_id = ANY ($1) ORDER BY validator_id, slot";

fn by_key<Record>(
    rows: &[PgRow],
    record: impl Fn(&PgRow) -> Result<Record, StoreError>,
) -> Result<ByKey<Record>, StoreError> {
    let mut records: ByKey<Record> = HashMap::new();
    for row in rows {
        records.entry(row.try_get("validator_id")?).or_default().push(record(row)?);
    }
    Ok(records)
}

/// The attestations in these spans.
pub(super) async fn attestations(
    connection: &mut PgConnection,
    spans: &[Span<Epoch>],
) -> Result<ByKey<RecordedAttestation>, StoreError> {
    let Some(lowest) = spans.iter().map(|span| span.first).min() else { return Ok(HashMap::new()) };
    let highest = spans.iter().map(|span| span.last).max().unwrap_or(lowest);
    let rows = sqlx::query(ATTESTATIONS)
        .bind(spans.iter().map(|span| span.id).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| to_stored(span.first.0)).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| to_stored(span.last.0)).collect::<Vec<_>>())
        .bind(to_stored(lowest.0))
        .bind(to_stored(highest.0))
        .fetch_all(connection)
        .await?;
    by_key(&rows, recorded_attestation)
}

/// The blocks in these spans.
pub(super) async fn blocks(
    connection: &mut PgConnection,
    spans: &[Span<Slot>],
) -> Result<ByKey<RecordedBlock>, StoreError> {
    if spans.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(BLOCKS)
        .bind(spans.iter().map(|span| span.id).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| to_stored(span.first.0)).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| to_stored(span.last.0)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    by_key(&rows, recorded_block)
}

/// All attestations of these keys.
pub(super) async fn all_attestations(
    connection: &mut PgConnection,
    ids: &[i32],
) -> Result<ByKey<RecordedAttestation>, StoreError> {
    by_key(
        &sqlx::query(ALL_ATTESTATIONS).bind(ids).fetch_all(connection).await?,
        recorded_attestation,
    )
}

/// All blocks of these keys.
pub(super) async fn all_blocks(
    connection: &mut PgConnection,
    ids: &[i32],
) -> Result<ByKey<RecordedBlock>, StoreError> {
    by_key(&sqlx::query(ALL_BLOCKS).bind(ids).fetch_all(connection).await?, recorded_block)
}
