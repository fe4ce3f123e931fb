//! Deleting expired audit rows: whole days once both classes of rows have expired, before that a
//! few rows at a time.
//!
//! Ids begin with the time of arrival, so a sweep of one class walks up the ids to the first that
//! is young, and the next one begins there.

use sqlx::PgConnection;

use super::{PostgresStore, partitions, session::in_time};
use crate::{
    audit::{Ids, RowClass},
    duty::DutyType,
    slashing::{
        StoreError,
        store::audit_retention::{AuditRetention, Swept},
    },
};

/// Rows that one step looks at, and so deletes at most.
const STEP_ROWS: i64 = 1_000;

/// The end of a step: the last id that it looks at, if any is old.
const LOOK: &str = "SELECT max(id) FROM \
     (SELECT id FROM audit WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3) AS part";

const DELETE: &str = "DELETE FROM audit WHERE id >= $1 AND id <= $2 \
     AND (duty_type IS NOT NULL AND duty_type = ANY ($3)) = $4";

/// Where the sweeps of the classes are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweep([Place; RowClass::ALL.len()]);

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// First id that was not looked at.
    at: i64,
    /// First id that had not expired at the last step; `None` while the class never expired.
    first_kept: Option<i64>,
}

impl Sweep {
    /// First id that some class keeps; `None` when one of them is kept for ever, as far as is known.
    fn first_kept_of_all(&self) -> Option<i64> {
        let mut lowest = i64::MAX;
        for place in self.0 {
            lowest = lowest.min(place.first_kept?);
        }
        Some(lowest)
    }
}

impl AuditRetention for PostgresStore {
    async fn delete_expired_audit(
        &mut self,
        class: RowClass,
        cutoff_us: i64,
    ) -> Result<Swept, StoreError> {
        let first_kept = Ids::first_at(cutoff_us);
        self.audit_sweep.0[class as usize].first_kept = Some(first_kept);
        let days_below = self.audit_sweep.first_kept_of_all();
        let Place { at, .. } = self.audit_sweep.0[class as usize];
        let (swept, at) =
            in_time(step(self.connection()?, class, at, first_kept, days_below)).await?;
        self.audit_sweep.0[class as usize].at = at;
        Ok(swept)
    }
}

/// Drops a day or deletes some rows; returns where to go on, too.
async fn step(
    connection: &mut PgConnection,
    class: RowClass,
    at: i64,
    first_kept: i64,
    days_below: Option<i64>,
) -> Result<(Swept, i64), StoreError> {
    if let Some(days_below) = days_below
        && let Some(deleted) = drop_day(connection, days_below).await?
    {
        return Ok((Swept { deleted, finished: false }, at));
    }
    let last: Option<i64> = sqlx::query_scalar(LOOK)
        .bind(at)
        .bind(first_kept)
        .bind(STEP_ROWS)
        .fetch_one(&mut *connection)
        .await?;
    let Some(last) = last else {
        return Ok((Swept { deleted: 0, finished: true }, first_kept.max(at)));
    };
    let evidence: Vec<&str> = DutyType::ALL
        .iter()
        .filter(|duty_type| RowClass::of(Some(**duty_type)) == RowClass::Evidence)
        .map(|duty_type| duty_type.name())
        .collect();
    let deleted = sqlx::query(DELETE)
        .bind(at)
        .bind(last)
        .bind(evidence)
        .bind(class == RowClass::Evidence)
        .execute(connection)
        .await?
        .rows_affected();
    Ok((Swept { deleted, finished: false }, last.saturating_add(1)))
}

/// Drops the first day of which all ids are below `first_kept`, if there is one and nobody uses it,
/// and returns how many rows it had.
async fn drop_day(
    connection: &mut PgConnection,
    first_kept: i64,
) -> Result<Option<u64>, StoreError> {
    let days = partitions::of_audit(connection).await?;
    let Some(&day) = days.first().filter(|day| partitions::end_of_audit_day(**day) <= first_kept)
    else {
        return Ok(None);
    };
    let dropped: Result<Option<i64>, sqlx::Error> =
        sqlx::query_scalar("SELECT sp_drop_audit_partition($1, $2)")
            .bind(day)
            .bind(first_kept)
            .fetch_one(connection)
            .await;
    match dropped.map_err(StoreError::from) {
        Ok(rows) => Ok(rows.map(i64::unsigned_abs)),
        // Somebody reads it, or this user may not: its rows go one by one.
        Err(error @ (StoreError::NotCommitted(_) | StoreError::Driver(_))) => {
            tracing::debug!(day, %error, "old audit rows could not be dropped as a whole");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
