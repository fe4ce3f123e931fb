//! Tables for records and audit rows to come.
//!
//! They are made ahead, from the highest recorded target and from today, and on demand when a
//! record has nowhere to go.

use std::time::Duration;

use signer_client::wire::Epoch;
use sqlx::PgConnection;

use crate::slashing::store::{StoreError, rows::to_stored};

/// Epochs of one table; the schema's function has the same number.
pub(super) const EPOCHS: u64 = 225;

/// Tables made ahead: about a month of mainnet.
const ATTESTATION_PARTITIONS_AHEAD: i64 = 30;

/// Days of audit made ahead.
const AUDIT_DAYS_AHEAD: i64 = 7;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Bits of an audit id below its microseconds.
pub(super) const AUDIT_INSTANCE_BITS: u32 = 10;

/// The partition that holds this target.
pub(super) fn attestation_partition(target: Epoch) -> i64 {
    to_stored(target.0 / EPOCHS)
}

/// The day since 1970-01-01 UTC of an audit id.
pub(super) fn audit_day(id: i64) -> i64 {
    (id >> AUDIT_INSTANCE_BITS) / MICROS_PER_DAY
}

/// Makes the missing ones among these. Does not hold up those who write to the others.
pub(super) async fn make(
    connection: &mut PgConnection,
    attestations: &[i64],
    audit_days: &[i64],
) -> Result<(), StoreError> {
    if !attestations.is_empty() {
        sqlx::query("SELECT sp_make_attestation_partitions($1)")
            .bind(attestations)
            .execute(&mut *connection)
            .await?;
    }
    if !audit_days.is_empty() {
        sqlx::query("SELECT sp_make_audit_partitions($1)")
            .bind(audit_days)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The number at the end of the names of partitions, with the beginning before it.
const EXISTING: &str = "SELECT substr(c.relname, length($2) + 1) FROM pg_inherits i \
     JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1) \
     AND starts_with(c.relname, $2)";

async fn existing(
    connection: &mut PgConnection,
    table: &str,
    prefix: &str,
) -> Result<Vec<String>, StoreError> {
    let names = sqlx::query_scalar(EXISTING).bind(table).bind(prefix);
    Ok(names.fetch_all(connection).await?)
}

/// The numbers of the partitions of attestations, ascending.
pub(super) async fn of_attestations(connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
    let names = existing(connection, "signed_attestation", "signed_attestation_p").await?;
    // Another name was given by somebody else, whose table is not ours to drop.
    let mut numbers: Vec<i64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The days since 1970-01-01 UTC of the partitions of the audit, ascending.
pub(super) async fn of_audit(connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
    let names = existing(connection, "audit", "audit_d").await?;
    let mut days: Vec<i64> = names.iter().filter_map(|name| day_of(name)).collect();
    days.sort_unstable();
    Ok(days)
}

/// The day of a date as the names have it.
fn day_of(digits: &str) -> Option<i64> {
    let date = jiff::civil::Date::strptime("%Y%m%d", digits).ok()?;
    let since = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
    Some(i64::from(since.get_days()))
}

/// The first audit id after a day.
pub(super) fn end_of_audit_day(day: i64) -> i64 {
    (day + 1).saturating_mul(MICROS_PER_DAY).saturating_mul(1 << AUDIT_INSTANCE_BITS)
}

/// Makes those that will be needed next.
pub(super) async fn make_ahead(
    connection: &mut PgConnection,
    highest_target: Epoch,
    now_us: i64,
) -> Result<(), StoreError> {
    let first = attestation_partition(highest_target);
    let last = first.saturating_add(ATTESTATION_PARTITIONS_AHEAD);
    let furthest = attestation_partition(Epoch(i64::MAX.cast_unsigned()));
    let partitions: Vec<i64> = (first..=last.min(furthest)).collect();
    let today = now_us / MICROS_PER_DAY;
    let days: Vec<i64> = (today..=today + AUDIT_DAYS_AHEAD).collect();
    make(connection, &partitions, &days).await
}

/// How often to look whether some are needed.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_audit_partitions_are_read_as_they_are_made() {
        assert_eq!(day_of("19700101"), Some(0));
        assert_eq!(day_of("20240229"), Some(19_782));
        assert_eq!(day_of("copy"), None);
        assert_eq!(audit_day(end_of_audit_day(19_782)), 19_783);
        assert_eq!(audit_day(end_of_audit_day(19_782) - 1), 19_782);
    }
}
