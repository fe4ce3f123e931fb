//! Deleting expired audit rows in small statements.
//!
//! Ids begin with the time of arrival, so the primary key finds the old rows.

use super::PostgresStore;
use crate::{
    audit::{Ids, RowClass},
    duty::DutyType,
    slashing::{
        StoreError,
        store::audit_retention::{AuditRetention, Swept},
    },
};

/// Rows that one step deletes at most.
const STEP_ROWS: i64 = 1_000;

const DELETE: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < $1 \
     AND (duty_type IS NOT NULL AND duty_type = ANY ($2)) = $3 ORDER BY id LIMIT $4)";

impl AuditRetention for PostgresStore {
    async fn delete_expired_audit(
        &mut self,
        class: RowClass,
        cutoff_us: i64,
    ) -> Result<Swept, StoreError> {
        let evidence = DutyType::ALL
            .iter()
            .filter(|duty_type| RowClass::of(Some(**duty_type)) == RowClass::Evidence)
            .map(|duty_type| duty_type.name())
            .collect::<Vec<_>>();
        let deleted = sqlx::query(DELETE)
            .bind(Ids::first_at(cutoff_us))
            .bind(evidence)
            .bind(class == RowClass::Evidence)
            .bind(STEP_ROWS)
            .execute(self.connection()?)
            .await?
            .rows_affected();
        Ok(Swept { deleted, finished: deleted < STEP_ROWS.unsigned_abs() })
    }
}
