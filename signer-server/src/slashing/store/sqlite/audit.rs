//! The audit table.

use std::sync::LazyLock;

use sqlx::{Connection, SqliteConnection};

use super::bulk::{Bulk, BulkQuery};
use crate::{
    audit::{Entry, Filter, Outcome},
    duty::DutyType,
    slashing::{
        StoreError,
        store::{
            AuditPart,
            audit_rows::{bounds, entry},
            rows::to_stored,
        },
    },
};

/// Ids that one read looks at, so that signing waits for it only some milliseconds.
const READ_WINDOW: i64 = 10_000;

const INSERT: &str = "INSERT INTO audit (id, received_at, instance, client_address, client_name, \
     client_fingerprint, public_key, identifier, duty_type, slot, epoch, signing_root, outcome, \
     reason, queue_us, database_us, bls_us)";

const COLUMNS: usize = 17;

/// With a slashing record: the first that is known of a request. A row that is there already never
/// costs a signature.
static INSERT_UNCONFIRMED: LazyLock<Bulk> =
    LazyLock::new(|| Bulk::new(INSERT, COLUMNS, "ON CONFLICT (id) DO NOTHING"));

/// At a request's end: what it came to, whether or not a row is there already.
static WRITE_FINAL: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        INSERT,
        COLUMNS,
        "ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason, \
         queue_us = excluded.queue_us, database_us = excluded.database_us, \
         bls_us = excluded.bls_us",
    )
});

/// See [`Filter::matches`].
const READ: &str = "SELECT * FROM audit WHERE id < $1 AND id >= $2 \
     AND ($3 IS NULL OR received_at >= $3) AND ($4 IS NULL OR received_at < $4) \
     AND ($5 IS NULL OR public_key = $5) AND ($6 IS NULL OR duty_type = $6) \
     AND ($7 IS NULL OR outcome = $7) \
     AND ($8 IS NULL OR slot BETWEEN $8 AND $9) AND ($10 IS NULL OR epoch BETWEEN $10 AND $11) \
     AND ($12 IS NULL OR client_address = $12 OR client_name = $12 \
          OR client_fingerprint = $12 COLLATE NOCASE) \
     ORDER BY id DESC LIMIT $13";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that Bulk::execute calls")]
fn bind(query: BulkQuery, entry: &&Entry) -> BulkQuery {
    let micros = |micros: Option<u64>| micros.map(to_stored);
    query
        .bind(entry.id)
        .bind(entry.received_at_us)
        .bind(&*entry.instance)
        .bind(entry.client.address.map(|address| address.to_string()))
        .bind(entry.client.name.as_deref())
        .bind(entry.client.fingerprint.as_deref())
        .bind(entry.key.as_ref().map(|key| key.as_bytes().as_slice()))
        .bind(entry.identifier.as_deref())
        .bind(entry.duty_type.map(DutyType::name))
        .bind(entry.slot.map(|slot| to_stored(slot.0)))
        .bind(entry.epoch.map(|epoch| to_stored(epoch.0)))
        .bind(entry.signing_root.as_ref().map(|root| root.as_bytes().as_slice()))
        .bind(entry.outcome.name())
        .bind(entry.reason.as_deref())
        .bind(micros(entry.queue_us))
        .bind(micros(entry.database_us))
        .bind(micros(entry.bls_us))
}

/// Inserts rows in the open transaction.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entries: &[&Entry],
) -> Result<(), StoreError> {
    INSERT_UNCONFIRMED.execute(connection, entries, bind).await?;
    Ok(())
}

/// Writes final rows in a transaction of their own.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    entries: &[&Entry],
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    WRITE_FINAL.execute(&mut transaction, entries, bind).await?;
    Ok(transaction.commit().await?)
}

/// The id for the next row.
pub(super) async fn next_id(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let highest: Option<i64> =
        sqlx::query_scalar("SELECT max(id) FROM audit").fetch_one(connection).await?;
    Ok(highest.unwrap_or(0).saturating_add(1))
}

/// See [`crate::slashing::store::Store::read_audit`].
pub(super) async fn read(
    connection: &mut SqliteConnection,
    filter: &Filter,
) -> Result<AuditPart, StoreError> {
    let (lowest, highest): (Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT (SELECT min(id) FROM audit), (SELECT max(id) FROM audit)")
            .fetch_one(&mut *connection)
            .await?;
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return Ok(AuditPart::default());
    };
    let newest = highest.saturating_add(1);
    let before = filter.before_id.map_or(newest, |before| before.min(newest));
    let from = before.saturating_sub(READ_WINDOW);
    let (first_slot, last_slot) = bounds(filter.slots.as_ref());
    let (first_epoch, last_epoch) = bounds(filter.epochs.as_ref());
    let rows = sqlx::query(READ)
        .bind(before)
        .bind(from)
        .bind(filter.since_us)
        .bind(filter.until_us)
        .bind(filter.key.as_ref().map(|key| key.as_bytes().as_slice()))
        .bind(filter.duty_type.map(DutyType::name))
        .bind(filter.outcome.map(Outcome::name))
        .bind(first_slot)
        .bind(last_slot)
        .bind(first_epoch)
        .bind(last_epoch)
        .bind(filter.client.as_deref())
        .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let reached = match entries.last() {
        Some(oldest) if entries.len() >= filter.limit => oldest.id,
        _ => from,
    };
    Ok(AuditPart { entries, next_before_id: (reached > lowest).then_some(reached) })
}
