//! The audit table.

use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};

use super::columns::{audit_column_names, audit_columns_from_arrays};
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

/// Rows that one read looks at.
const READ_WINDOW: i64 = 10_000;

/// At a request's end: what it came to, whether or not a row is there already.
const WRITE: &str = concat!(
    "INSERT INTO audit (",
    audit_column_names!(),
    ") SELECT ",
    audit_column_names!(),
    " FROM ",
    audit_columns_from_arrays!(),
    " ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason, \
     queue_us = excluded.queue_us, database_us = excluded.database_us, bls_us = excluded.bls_us"
);

/// Where a window that begins before a row ends, and how many rows are in it.
const WINDOW: &str = "SELECT min(id), count(*) FROM \
     (SELECT id FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2) AS part";

const READ: &str = "SELECT * FROM audit WHERE id < $1 AND id >= $2 \
     AND ($3::bigint IS NULL OR received_at >= $3) AND ($4::bigint IS NULL OR received_at < $4) \
     AND ($5::bytea IS NULL OR public_key = $5) AND ($6::text IS NULL OR duty_type = $6) \
     AND ($7::text IS NULL OR outcome = $7) \
     AND ($8::bigint IS NULL OR slot BETWEEN $8 AND $9) \
     AND ($10::bigint IS NULL OR epoch BETWEEN $10 AND $11) \
     AND ($12::text IS NULL OR client_address = $12 OR client_name = $12 \
          OR lower(client_fingerprint) = lower($12)) \
     ORDER BY id DESC LIMIT $13";

/// Rows, column by column, as arrays.
#[derive(Debug, Default)]
pub(super) struct AuditColumns {
    ids: Vec<i64>,
    received_at: Vec<i64>,
    instances: Vec<String>,
    addresses: Vec<Option<String>>,
    names: Vec<Option<String>>,
    fingerprints: Vec<Option<String>>,
    keys: Vec<Option<Vec<u8>>>,
    identifiers: Vec<Option<String>>,
    duty_types: Vec<Option<&'static str>>,
    slots: Vec<Option<i64>>,
    epochs: Vec<Option<i64>>,
    roots: Vec<Option<Vec<u8>>>,
    outcomes: Vec<&'static str>,
    reasons: Vec<Option<String>>,
    queue_us: Vec<Option<i64>>,
    database_us: Vec<Option<i64>>,
    bls_us: Vec<Option<i64>>,
}

/// PostgreSQL's texts hold every character but this one, which a client may well have sent.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl AuditColumns {
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            columns.push(entry);
        }
        columns
    }

    fn push(&mut self, entry: &Entry) {
        let number = |number: Option<u64>| number.map(to_stored);
        self.ids.push(entry.id);
        self.received_at.push(entry.received_at_us);
        self.instances.push(without_nul(&entry.instance));
        self.addresses.push(entry.client.address.map(|address| address.to_string()));
        self.names.push(entry.client.name.as_deref().map(without_nul));
        self.fingerprints.push(entry.client.fingerprint.as_deref().map(without_nul));
        self.keys.push(entry.key.as_ref().map(|key| key.as_bytes().to_vec()));
        self.identifiers.push(entry.identifier.as_deref().map(without_nul));
        self.duty_types.push(entry.duty_type.map(DutyType::name));
        self.slots.push(number(entry.slot.map(|slot| slot.0)));
        self.epochs.push(number(entry.epoch.map(|epoch| epoch.0)));
        self.roots.push(entry.signing_root.as_ref().map(|root| root.as_bytes().to_vec()));
        self.outcomes.push(entry.outcome.name());
        self.reasons.push(entry.reason.as_deref().map(without_nul));
        self.queue_us.push(number(entry.queue_us));
        self.database_us.push(number(entry.database_us));
        self.bls_us.push(number(entry.bls_us));
    }

    /// Binds the parameters 1 to 17.
    pub(super) fn bind(
        self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Query<'_, Postgres, PgArguments> {
        query
            .bind(self.ids)
            .bind(self.received_at)
            .bind(self.instances)
            .bind(self.addresses)
            .bind(self.names)
            .bind(self.fingerprints)
            .bind(self.keys)
            .bind(self.identifiers)
            .bind(self.duty_types)
            .bind(self.slots)
            .bind(self.epochs)
            .bind(self.roots)
            .bind(self.outcomes)
            .bind(self.reasons)
            .bind(self.queue_us)
            .bind(self.database_us)
            .bind(self.bls_us)
    }
}

/// Writes final rows.
pub(super) async fn write(
    connection: &mut PgConnection,
    entries: &[&Entry],
) -> Result<(), StoreError> {
    let columns = AuditColumns::of(entries.iter().copied());
    columns.bind(sqlx::query(WRITE)).execute(connection).await?;
    Ok(())
}

/// Which of these rows are there.
pub(super) async fn written(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let found = sqlx::query_scalar("SELECT id FROM audit WHERE id = ANY ($1)");
    Ok(found.bind(ids).fetch_all(connection).await?)
}

/// See [`crate::slashing::store::Store::read_audit`].
pub(super) async fn read(
    connection: &mut PgConnection,
    filter: &Filter,
) -> Result<AuditPart, StoreError> {
    let before = filter.before_id.unwrap_or(i64::MAX);
    let (from, rows_in_window): (Option<i64>, i64) =
        sqlx::query_as(WINDOW).bind(before).bind(READ_WINDOW).fetch_one(&mut *connection).await?;
    let Some(from) = from else { return Ok(AuditPart::default()) };
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
    let next_before_id = match entries.last() {
        // The page is full; whether anything older matches shows the next one.
        Some(oldest) if entries.len() >= filter.limit => {
            (oldest.id > from || rows_in_window == READ_WINDOW).then_some(oldest.id)
        }
        _ => (rows_in_window == READ_WINDOW).then_some(from),
    };
    Ok(AuditPart { entries, next_before_id })
}
