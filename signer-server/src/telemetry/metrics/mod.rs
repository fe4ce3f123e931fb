//! Everything that is counted and timed, as one page for Prometheus.
//!
//! [`Metrics`] has a method for each thing that happens; the module where it happens calls it and
//! knows nothing of names and labels. What a request does is counted where it ends
//! ([`RequestTimer`]), what a job does is counted by the pool, what a record costs is
//! counted by slashing protection: so nothing is counted twice.

mod aggregation;
mod category;
mod labels;
mod names;
mod page;
mod prefetch;
mod process;
mod proofs;
mod protection;
mod request_timer;
mod summary;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

use self::{
    aggregation::AggregationMetrics,
    labels::{ByLabel, RequestType},
    names::{BATCH_SIZE_BUCKETS, DURATION_BUCKETS, POOL_LABELS},
    page::Page,
    prefetch::PrefetchMetrics,
    process::ProcessCollector,
    proofs::ProofMetrics,
    protection::ProtectionMetrics,
    summary::Summary,
};
pub use self::{
    aggregation::{AggregationCounts, AggregationDrop, AggregationRefusal},
    category::Category,
    labels::{KeySource, SlashingOperation},
    request_timer::RequestTimer,
};
use crate::{
    audit::Outcome,
    bls::PointLookup,
    duty::DutyType,
    scheduler::Class,
    slashing::{ProtectionState, PruningTotals},
};

/// Media type of the page (`OpenMetrics` 1.0, section "Protocol Negotiation").
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What must be known before anything is counted.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOptions<'a> {
    /// The version on the page.
    pub version: &'a str,
    /// Whether signatures count as permitted by slashing protection.
    pub slashing_protection_enabled: bool,
}

/// Every metric of the process. Methods take nanoseconds to a microsecond and never block for
/// longer than another such call.
#[derive(Debug)]
pub struct Metrics {
    signing: Page,
    http: Page,
    slashing: Page,
    process: Page,
    slashing_protection_enabled: bool,

    signing_duration: Summary,
    missing_identifier: Counter,
    signers_loaded: Gauge,
    key_retrieval: ByLabel<KeySource, Summary>,
    requests: ByLabel<RequestType, ByLabel<Outcome, Counter>>,
    request_duration: ByLabel<RequestType, Histogram>,
    bls_duration: Histogram,
    hash_to_curve: ByLabel<PointLookup, Counter>,
    audit_buffered: Gauge,
    audit_written: Counter,
    audit_write_duration: Histogram,
    audit_lost: Counter,
    audit_expired: Counter,
    proofs: ProofMetrics,
    prefetch: PrefetchMetrics,
    aggregation: AggregationMetrics,

    malformed_requests: Counter,
    pool_submitted: Counter,
    pool_completed: Counter,
    pool_rejected: Counter,
    pool_queue_delay: Summary,
    pool_usage: Summary,
    queue_duration: ByLabel<Class, Histogram>,
    queue_depth: ByLabel<Class, Gauge>,
    shed: ByLabel<Class, Counter>,
    expired: ByLabel<Class, Counter>,

    permitted_signings: Counter,
    prevented_signings: Counter,
    database_duration: ByLabel<SlashingOperation, Summary>,
    slashing_duration: ByLabel<SlashingOperation, Histogram>,
    slashing_batch_size: Histogram,
    protection: ProtectionMetrics,
}

impl Metrics {
    /// All counts at zero.
    pub fn new(options: MetricsOptions<'_>) -> Self {
        let mut signing = Page::default();
        let mut http = Page::default();
        let mut slashing = Page::default();
        let mut process = Page::default();
        let release: Family<[(&str, String); 1], Gauge> = Family::default();
        release.get_or_create(&[(names::VERSION_LABEL, options.version.to_owned())]).set(1);
        process.registry.register(names::RELEASE.family, names::RELEASE.help, release);
        process.registry.register_collector(Box::new(ProcessCollector));
        Self {
            slashing_protection_enabled: options.slashing_protection_enabled,

            signing_duration: signing.bare_summary(names::SIGNING_DURATION),
            missing_identifier: signing.counter(names::MISSING_IDENTIFIER),
            signers_loaded: signing.gauge(names::SIGNERS_LOADED),
            key_retrieval: signing.summaries(names::KEY_RETRIEVAL_TIME),
            requests: signing.counters_by_two(names::REQUESTS),
            request_duration: signing.histograms(names::REQUEST_DURATION),
            bls_duration: signing.histogram(names::BLS_DURATION, &DURATION_BUCKETS),
            hash_to_curve: signing.counters(names::HASH_TO_CURVE),
            audit_buffered: signing.gauge(names::AUDIT_BUFFERED),
            audit_written: signing.counter(names::AUDIT_WRITTEN),
            audit_write_duration: signing.histogram(names::AUDIT_WRITE_DURATION, &DURATION_BUCKETS),
            audit_lost: signing.counter(names::AUDIT_LOST),
            audit_expired: signing.counter(names::AUDIT_EXPIRED),
            proofs: ProofMetrics::new(&mut signing),
            prefetch: PrefetchMetrics::new(&mut signing),
            aggregation: AggregationMetrics::new(&mut signing),

            malformed_requests: http.counter(names::MALFORMED_REQUESTS),
            pool_submitted: http.counter_with(names::POOL_SUBMITTED, &POOL_LABELS),
            pool_completed: http.counter_with(names::POOL_COMPLETED, &POOL_LABELS),
            pool_rejected: http.counter_with(names::POOL_REJECTED, &POOL_LABELS),
            pool_queue_delay: http.summary(names::POOL_QUEUE_DELAY, &POOL_LABELS),
            pool_usage: http.summary(names::POOL_USAGE, &POOL_LABELS),
            queue_duration: http.histograms(names::QUEUE_DURATION),
            queue_depth: http.gauges(names::QUEUE_DEPTH),
            shed: http.counters(names::SHED),
            expired: http.counters(names::EXPIRED),

            permitted_signings: slashing.counter(names::PERMITTED_SIGNINGS),
            prevented_signings: slashing.counter(names::PREVENTED_SIGNINGS),
            database_duration: slashing.summaries(names::DATABASE_DURATION),
            slashing_duration: slashing.histograms(names::SLASHING_DURATION),
            slashing_batch_size: slashing
                .histogram(names::SLASHING_BATCH_SIZE, &BATCH_SIZE_BUCKETS),
            protection: ProtectionMetrics::new(&mut slashing),

            signing,
            http,
            slashing,
            process,
        }
    }

    /// A request to the sign endpoint ended, `took` after it arrived. `duty_type` is `None` when the
    /// body was not readable that far. Use [`RequestTimer`]: it forgets no request.
    pub(super) fn request_finished(
        &self,
        duty_type: Option<DutyType>,
        outcome: Outcome,
        took: Duration,
    ) {
        self.requests.get(duty_type).get(outcome).inc();
        self.request_duration.get(duty_type).observe(took.as_secs_f64());
        self.signing_duration.observe(took);
        match outcome {
            Outcome::Signed | Outcome::Repeated if self.slashing_protection_enabled => {
                self.permitted_signings.inc();
            }
            Outcome::Refused => {
                self.prevented_signings.inc();
            }
            Outcome::UnknownKey => {
                self.missing_identifier.inc();
            }
            Outcome::Malformed => {
                self.malformed_requests.inc();
            }
            Outcome::Signed
            | Outcome::Repeated
            | Outcome::Forbidden
            | Outcome::Shed
            | Outcome::Failed
            | Outcome::Abandoned => {}
        }
    }

    /// A job entered its queue.
    pub fn job_queued(&self, class: Class) {
        self.pool_submitted.inc();
        self.queue_depth.get(class).inc();
    }

    /// A signing thread took a job out of its queue after `waited`.
    pub fn job_started(&self, class: Class, waited: Duration) {
        self.queue_depth.get(class).dec();
        self.queue_duration.get(class).observe(waited.as_secs_f64());
        self.pool_queue_delay.observe(waited);
    }

    /// A job left its queue undone because its client went away.
    pub fn job_abandoned(&self, class: Class) {
        self.queue_depth.get(class).dec();
    }

    /// A job left its queue undone because its deadline had passed.
    pub fn job_expired(&self, class: Class) {
        self.queue_depth.get(class).dec();
        self.expired.get(class).inc();
    }

    /// A signing thread was done with a job after `took`.
    pub fn job_finished(&self, took: Duration) {
        self.pool_completed.inc();
        self.pool_usage.observe(took);
        self.bls_duration.observe(took.as_secs_f64());
    }

    /// A signing root was looked up in the cache of hashed messages.
    pub fn point_looked_up(&self, lookup: PointLookup) {
        self.hash_to_curve.get(lookup).inc();
    }

    /// A job was refused because its queue was full; it never counted as queued.
    pub fn job_shed(&self, class: Class) {
        self.pool_submitted.inc();
        self.pool_rejected.inc();
        self.shed.get(class).inc();
    }

    /// Slashing protection decided about one duty and, if it permitted, recorded it durably;
    /// `took` includes the wait for its batch.
    pub fn slashing_checked(&self, operation: SlashingOperation, took: Duration) {
        self.database_duration.get(operation).observe(took);
        self.slashing_duration.get(operation).observe(took.as_secs_f64());
    }

    /// One transaction decided about `duties` duties.
    pub fn slashing_batch_written(&self, duties: u32) {
        self.slashing_batch_size.observe(f64::from(duties));
    }

    /// What slashing protection says about itself, just before the page is rendered.
    pub fn protection_observed(&self, state: ProtectionState, pruning: &PruningTotals) {
        self.protection.observe(state, pruning);
    }

    /// This many keys can sign now.
    pub fn signers_loaded(&self, keys: usize) {
        self.signers_loaded.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// A key named by a key configuration file was read and decrypted.
    pub fn key_retrieved(&self, source: KeySource, took: Duration) {
        self.key_retrieval.get(source).observe(took);
    }

    /// This many audit rows wait to be written now.
    pub fn audit_rows_buffered(&self, rows: usize) {
        self.audit_buffered.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// Audit rows reached the database in one transaction that `took` this long.
    pub fn audit_rows_written(&self, rows: usize, took: Duration) {
        self.audit_written.inc_by(rows as u64);
        self.audit_write_duration.observe(took.as_secs_f64());
    }

    /// Audit rows will never reach the database.
    pub fn audit_rows_lost(&self, rows: u64) {
        self.audit_lost.inc_by(rows);
    }

    /// Audit rows were deleted because they were kept long enough.
    pub fn audit_rows_expired(&self, rows: u64) {
        self.audit_expired.inc_by(rows);
    }

    /// The page, in `OpenMetrics` text ([`CONTENT_TYPE`]), with the metrics of these categories.
    ///
    /// # Panics
    /// Never: text is written to memory, which does not fail.
    pub fn render(&self, categories: &[Category]) -> String {
        let mut page = String::new();
        let written = Category::ALL
            .into_iter()
            .filter(|category| categories.contains(category))
            .try_for_each(|category| match category {
                Category::Signing => self.signing.write(&mut page),
                Category::Http => self.http.write(&mut page),
                Category::Eth2SlashingProtection => self.slashing.write(&mut page),
                Category::Jvm => Ok(()),
                Category::Process => self.process.write(&mut page),
            })
            .and_then(|()| text::encode_eof(&mut page));
        written.expect("writing to memory does not fail");
        page
    }
}
