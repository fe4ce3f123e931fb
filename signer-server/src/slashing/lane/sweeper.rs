//! When expired audit rows are deleted: once in a while, step by step, whenever nothing has waited
//! for a moment.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    audit::{AuditOptions, RowClass},
    clock,
    slashing::store::{Store, StoreError},
};

/// From the end of one sweep to the begin of the next.
const PAUSE: Duration = Duration::from_hours(1);

/// How long nothing must have come in before a step. Short, because a busy signer would otherwise
/// never get to it.
const QUIET: Duration = Duration::from_millis(20);

/// The sweep over the audit trail.
#[derive(Debug)]
pub(super) struct Sweeper {
    options: AuditOptions,
    /// Classes that the present sweep has still to do.
    to_do: Vec<RowClass>,
    deleted: u64,
    next_sweep: Instant,
}

impl Sweeper {
    pub(super) fn new(options: AuditOptions) -> Self {
        Self { options, to_do: Vec::new(), deleted: 0, next_sweep: Instant::now() }
    }

    /// When the next step may be made, if nothing comes in before; `None` when every row is kept
    /// for ever.
    pub(super) fn next_step(&self) -> Option<Instant> {
        let expires = |class: &RowClass| self.options.retention.of(*class).is_some();
        RowClass::ALL.iter().any(expires).then(|| self.next_sweep.max(Instant::now() + QUIET))
    }

    /// One step of the sweep.
    pub(super) async fn step(&mut self, store: &mut impl Store) -> Result<(), StoreError> {
        if self.to_do.is_empty() {
            self.to_do = RowClass::ALL.to_vec();
        }
        if let Some(class) = self.to_do.last().copied() {
            let now_us = clock::now_unix_micros();
            let finished = match self.options.retention.cutoff_us(class, now_us) {
                Some(cutoff_us) => self.delete(store, class, cutoff_us).await?,
                None => true,
            };
            if finished {
                self.to_do.pop();
            }
        }
        if self.to_do.is_empty() {
            self.next_sweep = Instant::now() + PAUSE;
            let deleted = std::mem::take(&mut self.deleted);
            if deleted > 0 {
                tracing::info!(rows = deleted, "audit rows were deleted after their retention");
            }
        }
        Ok(())
    }

    async fn delete(
        &mut self,
        store: &mut impl Store,
        class: RowClass,
        cutoff_us: i64,
    ) -> Result<bool, StoreError> {
        let swept = store.delete_expired_audit(class, cutoff_us).await?;
        self.deleted += swept.deleted;
        if let Some(metrics) = &self.options.metrics {
            metrics.audit_rows_expired(swept.deleted);
        }
        Ok(swept.finished)
    }
}
