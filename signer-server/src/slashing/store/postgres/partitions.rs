//! Tables for records and audit rows to come.
//!
//! They are made ahead, from the highest recorded target and from today, and on demand when a
//! record has nowhere to go.

use std::time::Duration;

use signer_client::wire::Epoch;
use sqlx::PgConnection;

use super::rows::to_stored;
use crate::slashing::StoreError;

/// Epochs of one table; the schema's function has the same number.
const EPOCHS: u64 = 225;

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
