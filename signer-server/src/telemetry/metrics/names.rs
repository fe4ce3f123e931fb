//! The name and the explanation of every metric, in one place.
//!
//! Dashboards and alerts depend on these texts. The first two groups and the process group are
//! `Web3Signer`'s names with `Web3Signer`'s meaning; names that start with `midslot_` are our own.
//! A counter's family name stands here without the `_total` that its samples carry.

/// A metric family's name and its explanation on the page. The page adds a full stop to the
/// explanation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) family: &'static str,
    pub(super) help: &'static str,
}

macro_rules! names {
    ($($constant:ident = $family:literal, $help:literal;)*) => {
        $(pub(super) const $constant: Name = Name { family: $family, help: $help };)*

        /// Every family, for the test that each one is on the page.
        #[cfg(test)]
        pub(super) const ALL: &[Name] = &[$($constant,)*];
    };
}

names! {
    // Signing.
    SIGNING_DURATION = "signing_bls_signing_duration",
        "Seconds from the arrival of a signing request to its answer, every type and outcome";
    MISSING_IDENTIFIER = "signing_bls_missing_identifier_count",
        "Signing requests for a key that is not loaded";
    SIGNERS_LOADED = "signing_signers_loaded_count", "Keys that can sign";
    KEY_RETRIEVAL_TIME = "signing_private_key_retrieval_time",
        "Seconds to read one key named by a key configuration file";
    REQUESTS = "midslot_requests", "Signing requests by type and outcome";
    REQUEST_DURATION = "midslot_request_duration_seconds",
        "Time from the arrival of a signing request to its answer";
    BLS_DURATION = "midslot_bls_duration_seconds", "Time on a signing thread";
    HASH_TO_CURVE = "midslot_hash_to_curve",
        "Signing roots looked up in the cache of hashed messages, by result";
    AUDIT_BUFFERED = "midslot_audit_buffered_rows", "Audit rows not yet in the database";
    AUDIT_WRITTEN = "midslot_audit_written_rows", "Audit rows written to the database";
    AUDIT_WRITE_DURATION = "midslot_audit_write_duration_seconds",
        "Time of one transaction that writes audit rows";
    AUDIT_LOST = "midslot_audit_lost_rows", "Audit rows that never reached the database";
    AUDIT_EXPIRED = "midslot_audit_expired_rows", "Audit rows deleted because they were kept long enough";
    PROOF_LOOKUPS = "midslot_proof_lookups",
        "Selection proofs that ordinary requests looked for before signing, by result";
    PROOFS_MADE = "midslot_proofs_made", "Selection proofs made, by who wanted them";
    PROOFS_LATE = "midslot_proofs_late",
        "Selection proofs to be made in the background that were not before their slot was over";
    PROOFS_EVICTED = "midslot_proofs_evicted",
        "Selection proofs dropped for those of nearer slots because the cache was full";
    PROOF_AGE = "midslot_proof_age_seconds",
        "Age of a selection proof when a request was answered with it from memory";
    PROOFS_KEPT = "midslot_proofs_kept", "Selection proofs in memory";
    PROOF_BACKLOG = "midslot_proof_backlog",
        "Selection proofs that wait to be made in the background";

    PREFETCH_REFRESHES = "midslot_prefetch_refreshes",
        "Times that beacon nodes were asked for duties, by whether one told everything";
    PREFETCH_NODE_FAILURES = "midslot_prefetch_node_failures",
        "Times that a beacon node was of no use, by why";
    PREFETCH_LAST_REFRESH = "midslot_prefetch_last_refresh_timestamp_seconds",
        "When a beacon node last told everything, seconds since 1970; 0 before the first time";
    PREFETCH_VALIDATORS = "midslot_prefetch_validators",
        "Loaded keys of which the beacon node knows the validator";
    PREFETCH_DUE = "midslot_prefetch_due_proofs",
        "Selection proofs of the slots ahead that prefetch looks at, made or not";
    PREFETCH_ORDERED = "midslot_prefetch_ordered_proofs",
        "Selection proofs that prefetch has asked for and nobody had before";
    // The aggregation worker.
    AGGREGATION_ACCEPTED = "midslot_aggregation_jobs_accepted", "Aggregation jobs that were taken";
    AGGREGATION_JOBS = "midslot_aggregation_jobs",
        "Aggregation jobs that ended, by how; together as many as were taken, but for those not over";
    AGGREGATION_GROUPS = "midslot_aggregation_groups", "Groups that were proved, by how they ended";
    AGGREGATION_ENTRIES = "midslot_aggregation_entries",
        "Signatures in groups that were proved, by what became of them";
    AGGREGATION_SKIPPED = "midslot_aggregation_entries_skipped",
        "Signatures that did not come into an aggregate, by the reason";
    AGGREGATION_DROPPED = "midslot_aggregation_dispatch_dropped",
        "Aggregation jobs that did no work, by the reason";
    AGGREGATION_REFUSED = "midslot_aggregation_submissions_refused",
        "Aggregation jobs that were not taken, by the reason";
    AGGREGATION_BISECTIONS = "midslot_aggregation_bisections",
        "Groups in which false signatures had to be looked for";
    AGGREGATION_GAINED = "midslot_aggregation_gained_positions",
        "Positions that aggregates have beyond the best aggregate that came with their group";
    AGGREGATION_QUEUE_TIME = "midslot_aggregation_queue_time_seconds",
        "Time from the arrival of an aggregation job to its start";
    AGGREGATION_PREP_TIME = "midslot_aggregation_prep_time_seconds",
        "Time to decode, choose and add up the signatures of a group";
    AGGREGATION_VERIFY_TIME = "midslot_aggregation_verify_time_seconds",
        "Time to verify a group, with the search for false signatures";
    AGGREGATION_SIGN_TIME = "midslot_aggregation_sign_time_seconds",
        "Time to sign what an aggregation job wants to be signed, from the end of its last group";
    AGGREGATION_TOTAL_TIME = "midslot_aggregation_worker_total_time_seconds",
        "Time from the start of an aggregation job to its end";
    AGGREGATION_TIME_TO_DEADLINE = "midslot_aggregation_time_to_deadline_seconds",
        "Time from the end of an aggregation job that was started to its deadline; negative when it is late";
    AGGREGATION_COVERAGE = "midslot_aggregation_coverage_ratio",
        "Part of a committee's positions that an aggregate has";

    // HTTP and the pool of signing threads behind it.
    MALFORMED_REQUESTS = "http_bls_malformed_request_count",
        "Signing requests whose body could not be used";
    POOL_SUBMITTED = "http_vertx_worker_pool_submitted", "Jobs offered to the signing threads";
    POOL_COMPLETED = "http_vertx_worker_pool_completed", "Jobs done by the signing threads";
    POOL_REJECTED = "http_vertx_worker_pool_rejected", "Jobs refused because a queue was full";
    POOL_QUEUE_DELAY = "http_vertx_worker_queue_delay",
        "Seconds that a job waited for a signing thread";
    POOL_USAGE = "http_vertx_worker_pool_usage", "Seconds that a job kept a signing thread busy";
    QUEUE_DURATION = "midslot_queue_duration_seconds",
        "Time that a job waited for a signing thread, by class";
    QUEUE_DEPTH = "midslot_queue_depth", "Jobs that wait for a signing thread, by class";
    SHED = "midslot_shed", "Jobs refused because their class's queue was full or their time too short";
    EXPIRED = "midslot_expired", "Jobs whose deadline passed before a thread was free";

    // Slashing protection.
    PERMITTED_SIGNINGS = "eth2_slashingprotection_permitted_signings",
        "Signatures given with slashing protection on, every type";
    PREVENTED_SIGNINGS = "eth2_slashingprotection_prevented_signings",
        "Signatures refused by slashing protection";
    DATABASE_DURATION = "eth2_slashingprotection_database_duration",
        "Seconds to check and record one slashable signature";
    SLASHING_DURATION = "midslot_slashing_duration_seconds",
        "Time to check and durably record one slashable signature";
    SLASHING_BATCH_SIZE = "midslot_slashing_batch_size",
        "Slashable signatures checked and recorded by one transaction";

    PROTECTION_STATE = "midslot_slashing_protection_state",
        "1 for the state that slashing protection is in, 0 for the others";
    PRUNED_ROWS = "midslot_slashing_pruned_rows",
        "Slashing protection records deleted because they were old";
    PRUNING_RUNS = "midslot_slashing_pruning_runs",
        "Runs of pruning over all keys that came to their end";
    PRUNING_LAST_END = "midslot_slashing_pruning_last_run_timestamp_seconds",
        "End of the last run of pruning, seconds since 1970; 0 before the first";
    PRUNING_LAST_DURATION = "midslot_slashing_pruning_last_run_duration_seconds",
        "Seconds that the last run of pruning took, its pauses for signing included";

    // The process.
    RELEASE = "process_release", "Always 1; the label is the version that runs";
    CPU_SECONDS = "process_cpu_seconds", "Processor time used, user and system";
    START_TIME = "process_start_time_seconds", "Start of the process, seconds since 1970";
    OPEN_FILES = "process_open_fds", "Open file descriptors";
    MAX_FILES = "process_max_fds", "Most file descriptors that the process may open";
    RESIDENT_MEMORY = "process_resident_memory_bytes", "Memory in use, resident";
    VIRTUAL_MEMORY = "process_virtual_memory_bytes", "Address space in use";
    KEY_PAGES = "midslot_key_memory_pages", "Pages of memory that hold secret keys";
    KEY_PAGES_NOT_LOCKED = "midslot_key_memory_pages_not_locked",
        "Pages of memory that hold secret keys and may be written to swap";
}

/// Upper bounds of every histogram of durations, in seconds: 100 µs to 8 s, so that both one BLS
/// signature (0.4 ms) and a client's time limit (3 s to 12 s) fall between two bounds.
pub(super) const DURATION_BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
    4.0, 8.0,
];

/// Upper bounds of the histograms of aggregation, in seconds: 1 ms to 4 s, from a few signatures to
/// 64 committees one by one.
pub(super) const AGGREGATION_BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];

/// Upper bounds of the histogram of the time to a deadline, in seconds; those below zero are late.
pub(super) const TO_DEADLINE_BUCKETS: [f64; 13] =
    [-1.0, -0.25, -0.05, -0.02, -0.01, 0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];

/// Upper bounds of the histogram of coverage.
pub(super) const RATIO_BUCKETS: [f64; 12] =
    [0.05, 0.1, 0.25, 0.5, 0.66, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0];

/// Upper bounds of the histogram of slashing batch sizes, in signatures.
pub(super) const BATCH_SIZE_BUCKETS: [f64; 11] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Upper bounds of the histogram of proofs' ages, in seconds: from "just before" to two epochs.
pub(super) const PROOF_AGE_BUCKETS: [f64; 12] =
    [0.01, 0.1, 1.0, 4.0, 12.0, 24.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1536.0];

/// Labels of the pool metrics. The values are those of `Web3Signer`'s main worker pool, so that its
/// dashboards select ours.
pub(super) const POOL_LABELS: [(&str, &str); 2] =
    [("poolType", "worker"), ("poolName", "vert.x-worker-thread")];

/// Label of [`RELEASE`].
pub(super) const VERSION_LABEL: &str = "version";
