//! What is counted of selection proofs: how requests find them, how they come about, how old they
//! get.

use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};

use super::{Metrics, labels::ByLabel, names, page::Page};
use crate::selection::{ProofLookup, ProofOrigin};

#[derive(Debug)]
pub(super) struct ProofMetrics {
    lookups: ByLabel<ProofLookup, Counter>,
    made: ByLabel<ProofOrigin, Counter>,
    late: Counter,
    evicted: Counter,
    age: Histogram,
    kept: Gauge,
    backlog: Gauge,
}

impl ProofMetrics {
    pub(super) fn new(page: &mut Page) -> Self {
        Self {
            lookups: page.counters(names::PROOF_LOOKUPS),
            made: page.counters(names::PROOFS_MADE),
            late: page.counter(names::PROOFS_LATE),
            evicted: page.counter(names::PROOFS_EVICTED),
            age: page.histogram(names::PROOF_AGE, &names::PROOF_AGE_BUCKETS),
            kept: page.gauge(names::PROOFS_KEPT),
            backlog: page.gauge(names::PROOF_BACKLOG),
        }
    }
}

impl Metrics {
    /// An ordinary request looked for its selection proof.
    pub fn proof_looked_up(&self, lookup: ProofLookup) {
        self.proofs.lookups.get(lookup).inc();
    }

    /// An ordinary request was answered with a proof that was made this long ago.
    pub fn proof_used(&self, age: Duration) {
        self.proofs.age.observe(age.as_secs_f64());
    }

    /// A selection proof was made.
    pub fn proof_made(&self, origin: ProofOrigin) {
        self.proofs.made.get(origin).inc();
    }

    /// Proofs that were to be made in the background were not before their slot was over.
    pub fn proofs_late(&self, count: u64) {
        self.proofs.late.inc_by(count);
    }

    /// A proof was dropped for another one of a nearer slot.
    pub fn proof_evicted(&self) {
        self.proofs.evicted.inc();
    }

    /// So many proofs are kept, and so many wait to be made in the background.
    pub fn proofs_held(&self, kept: usize, backlog: usize) {
        self.proofs.kept.set(i64::try_from(kept).unwrap_or(i64::MAX));
        self.proofs.backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
    }
}
