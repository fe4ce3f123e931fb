//! What is counted of prefetch: how beacon nodes are, and what comes of their answers.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::{
    Metrics,
    labels::{ByLabel, RefreshLabel},
    names,
    page::Page,
};
use crate::prefetch::NodeFailure;

#[derive(Debug)]
pub(super) struct PrefetchMetrics {
    refreshes: ByLabel<RefreshLabel, Counter>,
    node_failures: ByLabel<NodeFailure, Counter>,
    last_refresh: Gauge<f64, AtomicU64>,
    validators: Gauge,
    due: Gauge,
    ordered: Counter,
}

impl PrefetchMetrics {
    pub(super) fn new(page: &mut Page) -> Self {
        Self {
            refreshes: page.counters(names::PREFETCH_REFRESHES),
            node_failures: page.counters(names::PREFETCH_NODE_FAILURES),
            last_refresh: page.fractional_gauge(names::PREFETCH_LAST_REFRESH),
            validators: page.gauge(names::PREFETCH_VALIDATORS),
            due: page.gauge(names::PREFETCH_DUE),
            ordered: page.counter(names::PREFETCH_ORDERED),
        }
    }
}

impl Metrics {
    /// A beacon node has told all duties of so many validators.
    pub fn prefetch_refreshed(&self, validators: usize, now_unix_ms: u64) {
        self.prefetch.refreshes.get(RefreshLabel::Done).inc();
        self.prefetch.validators.set(i64::try_from(validators).unwrap_or(i64::MAX));
        self.prefetch.last_refresh.set(Duration::from_millis(now_unix_ms).as_secs_f64());
    }

    /// No beacon node has told all duties.
    pub fn prefetch_failed(&self) {
        self.prefetch.refreshes.get(RefreshLabel::Failed).inc();
    }

    /// A beacon node was of no use.
    pub fn prefetch_node_failed(&self, failure: NodeFailure) {
        self.prefetch.node_failures.get(failure).inc();
    }

    /// So many proofs are due in the slots that prefetch looks ahead.
    pub fn prefetch_due(&self, proofs: usize) {
        self.prefetch.due.set(i64::try_from(proofs).unwrap_or(i64::MAX));
    }

    /// So many of them wait to be made since now.
    pub fn prefetch_ordered(&self, proofs: usize) {
        self.prefetch.ordered.inc_by(proofs as u64);
    }
}
