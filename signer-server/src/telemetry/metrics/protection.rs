//! What slashing protection says about itself, read when the page is asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::{
    labels::{ByLabel, StateLabel},
    names,
    page::Page,
};
use crate::slashing::{ProtectionState, PruningTotals};

/// The gauges and counters that mirror [`SlashingProtection`](crate::slashing::SlashingProtection).
#[derive(Debug)]
pub(super) struct ProtectionMetrics {
    state: ByLabel<StateLabel, Gauge>,
    pruned_rows: Counter,
    pruning_runs: Counter,
    pruning_last_end: Gauge<f64, AtomicU64>,
    pruning_last_took: Gauge<f64, AtomicU64>,
}

impl ProtectionMetrics {
    pub(super) fn new(page: &mut Page) -> Self {
        Self {
            state: page.gauges(names::PROTECTION_STATE),
            pruned_rows: page.counter(names::PRUNED_ROWS),
            pruning_runs: page.counter(names::PRUNING_RUNS),
            pruning_last_end: page.fractional_gauge(names::PRUNING_LAST_END),
            pruning_last_took: page.fractional_gauge(names::PRUNING_LAST_DURATION),
        }
    }

    pub(super) fn observe(&self, state: ProtectionState, pruning: &PruningTotals) {
        let now = StateLabel::from(state);
        for label in [StateLabel::Running, StateLabel::Unavailable, StateLabel::Halted] {
            self.state.get(label).set(i64::from(label == now));
        }
        // The totals are counted where they arise; the page only shows them.
        self.pruned_rows.inner().store(pruning.rows, Ordering::Relaxed);
        self.pruning_runs.inner().store(pruning.runs, Ordering::Relaxed);
        if let Some(microseconds) = pruning.last_end_unix_us {
            let since_epoch = std::time::Duration::from_micros(microseconds.max(0).cast_unsigned());
            self.pruning_last_end.set(since_epoch.as_secs_f64());
            self.pruning_last_took.set(pruning.last_took.as_secs_f64());
        }
    }
}
