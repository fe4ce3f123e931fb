//! Deleting expired audit rows in small transactions.
//!
//! Ids ascend with the time of arrival, so a sweep walks up the ids and ends where the young rows
//! begin. It remembers that place for the next sweep. A clock that was wrong for a moment leaves rows
//! that look too young among the others; the walk goes on past them and begins with them the next
//! time.

use std::sync::LazyLock;

use sqlx::{Connection, SqliteConnection};

use super::SqliteStore;
use crate::{
    audit::RowClass,
    duty::DutyType,
    slashing::{
        StoreError,
        store::audit_retention::{AuditRetention, Swept},
    },
};

/// Rows that one step looks at, and so deletes at most.
const STEP_ROWS: i64 = 1_000;

const LOOK: &str = "SELECT max(id), min(CASE WHEN received_at >= $2 THEN id END), \
     count(CASE WHEN received_at < $2 THEN 1 END) \
     FROM (SELECT id, received_at FROM audit WHERE id >= $1 ORDER BY id LIMIT $3)";

static DELETE_EVIDENCE: LazyLock<String> = LazyLock::new(|| delete("IS TRUE"));
static DELETE_BULK: LazyLock<String> = LazyLock::new(|| delete("IS NOT TRUE"));

/// Deletes the rows of which it `is` true that they are evidence. The types are names of our own.
fn delete(is: &str) -> String {
    let evidence = DutyType::ALL
        .iter()
        .filter(|duty_type| RowClass::of(Some(**duty_type)) == RowClass::Evidence)
        .map(|duty_type| format!("'{}'", duty_type.name()))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "DELETE FROM audit WHERE id >= $1 AND id <= $2 AND received_at < $3 \
         AND (duty_type IN ({evidence})) {is} AND id < (SELECT max(id) FROM audit)"
    )
}

/// Where the sweep of one class is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// First id that this sweep has not looked at.
    at: i64,
    /// Nothing that had expired is left below this id: where the next sweep begins.
    swept_below: i64,
}

/// The places of all classes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places([Place; RowClass::ALL.len()]);

impl AuditRetention for SqliteStore {
    async fn delete_expired_audit(
        &mut self,
        class: RowClass,
        cutoff_us: i64,
    ) -> Result<Swept, StoreError> {
        let mut place = self.audit_places.0[class as usize];
        let swept = step(self.connection()?, class, cutoff_us, &mut place).await?;
        self.audit_places.0[class as usize] = place;
        self.log_grew |= swept.deleted > 0;
        Ok(swept)
    }
}

async fn step(
    connection: &mut SqliteConnection,
    class: RowClass,
    cutoff_us: i64,
    place: &mut Place,
) -> Result<Swept, StoreError> {
    let (last, first_young, old): (Option<i64>, Option<i64>, i64) = sqlx::query_as(LOOK)
        .bind(place.at)
        .bind(cutoff_us)
        .bind(STEP_ROWS)
        .fetch_one(&mut *connection)
        .await?;
    let mut deleted = 0;
    if let Some(last) = last
        && old > 0
    {
        let statement: &'static str = match class {
            RowClass::Evidence => &DELETE_EVIDENCE,
            RowClass::Bulk => &DELETE_BULK,
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        deleted = sqlx::query(statement)
            .bind(place.at)
            .bind(last)
            .bind(cutoff_us)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
    }
    let end = last.map_or(place.at, |last| last.saturating_add(1));
    if place.swept_below == place.at {
        place.swept_below = first_young.unwrap_or(end);
    }
    // All young, or no row at all.
    let finished = old == 0;
    place.at = if finished { place.swept_below } else { end };
    Ok(Swept { deleted, finished })
}
