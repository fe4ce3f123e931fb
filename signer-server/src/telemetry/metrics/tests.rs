use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use regex::Regex;

use super::*;

fn metrics() -> Metrics {
    Metrics::new(MetricsOptions { version: "9.8.7", slashing_protection_enabled: true })
}

/// The value of one series.
fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))
        .unwrap_or_else(|| panic!("no {series} in\n{page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[track_caller]
fn assert_value(page: &str, series: &str, expected: f64) {
    let found = value(page, series);
    assert!((found - expected).abs() < 1e-9, "{series} is {found}, not {expected}");
}

/// Checks a page against the grammar of `OpenMetrics` 1.0: one HELP and one TYPE before each
/// family's samples, families not interleaved, samples named as their type demands, no series
/// twice, histograms cumulative, `# EOF` last.
fn assert_well_formed(page: &str) -> HashMap<String, String> {
    let sample = Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="[^"\\\n]*"(?:,[a-zA-Z_]\w*="[^"\\\n]*")*\})? (NaN|\+Inf|-?[0-9.]+(?:e-?[0-9]+)?)$"#,
    )
    .unwrap();
    let mut types = HashMap::new();
    let mut seen = HashSet::new();
    let mut family = String::new();
    let bound = Regex::new(r#"le="[^"]*",?"#).unwrap();
    // The count of the bucket before, by series without its bound.
    let mut buckets: HashMap<String, f64> = HashMap::new();
    let body = page.strip_suffix("# EOF\n").expect("ends with # EOF");
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.ends_with('.') && !text.ends_with(".."), "{line}");
            name.clone_into(&mut family);
        } else if let Some(declaration) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declaration.split_once(' ').unwrap();
            assert_eq!(name, family, "HELP before TYPE");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("malformed: {line}"));
            let suffix = parts[1].strip_prefix(&family).unwrap_or_else(|| panic!("{line}"));
            let allowed: &[&str] = match types[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_count", "_sum"],
                "summary" => &["", "_count", "_sum"],
                other => panic!("unexpected type {other}"),
            };
            assert!(allowed.contains(&suffix), "{line}");
            let series = line.rsplit_once(' ').unwrap().0;
            assert!(seen.insert(series.to_owned()), "{series} twice");
            if suffix == "_bucket" {
                let count = parts[3].parse().unwrap();
                let before = buckets.insert(bound.replace(series, "").into_owned(), count);
                assert!(before.is_none_or(|before| before <= count), "{line}");
            }
        }
    }
    types
}

fn family_names(page: &str) -> HashSet<String> {
    assert_well_formed(page).into_keys().collect()
}

#[test]
fn every_name_is_on_a_well_formed_page() {
    let page = metrics().render(&Category::ALL);
    let expected: HashSet<_> = names::ALL.iter().map(|name| name.family.to_owned()).collect();
    assert_eq!(family_names(&page), expected);
}

#[test]
fn the_names_of_web3signer_and_their_types() {
    let types = assert_well_formed(&metrics().render(&Category::ALL));
    for (name, kind) in [
        ("signing_bls_signing_duration", "summary"),
        ("signing_bls_missing_identifier_count", "counter"),
        ("http_bls_malformed_request_count", "counter"),
        ("signing_signers_loaded_count", "gauge"),
        ("signing_private_key_retrieval_time", "summary"),
        ("eth2_slashingprotection_permitted_signings", "counter"),
        ("eth2_slashingprotection_prevented_signings", "counter"),
        ("eth2_slashingprotection_database_duration", "summary"),
        ("http_vertx_worker_pool_submitted", "counter"),
        ("http_vertx_worker_pool_completed", "counter"),
        ("http_vertx_worker_pool_rejected", "counter"),
        ("http_vertx_worker_queue_delay", "summary"),
        ("http_vertx_worker_pool_usage", "summary"),
        ("process_release", "gauge"),
        ("process_cpu_seconds", "counter"),
        ("process_resident_memory_bytes", "gauge"),
    ] {
        assert_eq!(types.get(name).map(String::as_str), Some(kind), "{name}");
    }
}

#[test]
fn a_request_is_counted_once_by_type_and_outcome() {
    let metrics = metrics();
    let attestation = Some(DutyType::Attestation);
    for milliseconds in 1..=100 {
        metrics.request_finished(attestation, Outcome::Signed, Duration::from_millis(milliseconds));
    }
    metrics.request_finished(attestation, Outcome::Refused, Duration::from_secs(9));
    let page = metrics.render(&Category::ALL);
    assert_well_formed(&page);
    assert_value(&page, r#"midslot_requests_total{type="ATTESTATION",outcome="signed"}"#, 100.0);
    assert_value(&page, r#"midslot_requests_total{type="ATTESTATION",outcome="refused"}"#, 1.0);
    assert_value(&page, r#"midslot_requests_total{type="BLOCK_V2",outcome="signed"}"#, 0.0);
    let duration = |rest: &str| format!("midslot_request_duration_seconds_{rest}");
    assert_value(&page, &duration(r#"count{type="ATTESTATION"}"#), 101.0);
    assert_value(&page, &duration(r#"sum{type="ATTESTATION"}"#), 14.05);
    assert_value(&page, &duration(r#"bucket{le="0.0005",type="ATTESTATION"}"#), 0.0);
    assert_value(&page, &duration(r#"bucket{le="0.05",type="ATTESTATION"}"#), 50.0);
    assert_value(&page, &duration(r#"bucket{le="8.0",type="ATTESTATION"}"#), 100.0);
    assert_value(&page, &duration(r#"bucket{le="+Inf",type="ATTESTATION"}"#), 101.0);
    assert_value(&page, "signing_bls_signing_duration_count", 101.0);
    assert_value(&page, "signing_bls_signing_duration_sum", 14.05);
    assert_value(&page, r#"signing_bls_signing_duration{quantile="1.0"}"#, 9.0);
    let median = value(&page, r#"signing_bls_signing_duration{quantile="0.5"}"#);
    assert!((median - 0.051).abs() <= 0.000_51, "{median}");
    assert_value(&page, "eth2_slashingprotection_permitted_signings_total", 100.0);
    assert_value(&page, "eth2_slashingprotection_prevented_signings_total", 1.0);
}

#[test]
fn refusals_for_other_reasons_have_their_own_counters() {
    let metrics = metrics();
    let took = Duration::from_millis(1);
    metrics.request_finished(None, Outcome::Malformed, took);
    metrics.request_finished(Some(DutyType::BlockV2), Outcome::Malformed, took);
    metrics.request_finished(Some(DutyType::BlockV2), Outcome::UnknownKey, took);
    metrics.request_finished(Some(DutyType::Attestation), Outcome::Repeated, took);
    for outcome in [Outcome::Forbidden, Outcome::Shed, Outcome::Failed] {
        metrics.request_finished(Some(DutyType::Deposit), outcome, took);
    }
    let page = metrics.render(&Category::ALL);
    assert_value(&page, "http_bls_malformed_request_count_total", 2.0);
    assert_value(&page, "signing_bls_missing_identifier_count_total", 1.0);
    assert_value(&page, "eth2_slashingprotection_permitted_signings_total", 1.0);
    assert_value(&page, "eth2_slashingprotection_prevented_signings_total", 0.0);
    assert_value(&page, r#"midslot_requests_total{type="UNKNOWN",outcome="malformed"}"#, 1.0);
    assert_value(&page, r#"midslot_requests_total{type="DEPOSIT",outcome="forbidden"}"#, 1.0);
}

#[test]
fn a_request_whose_client_went_away_counts_as_abandoned() {
    let metrics = Arc::new(metrics());
    let mut answered = RequestTimer::start(Arc::clone(&metrics), Instant::now());
    answered.name_type(Some(DutyType::Attestation));
    answered.finish(Outcome::Signed);
    let mut dropped = RequestTimer::start(Arc::clone(&metrics), Instant::now());
    dropped.name_type(Some(DutyType::Attestation));
    drop(dropped);
    let page = metrics.render(&Category::ALL);
    assert_value(&page, r#"midslot_requests_total{type="ATTESTATION",outcome="signed"}"#, 1.0);
    assert_value(&page, r#"midslot_requests_total{type="ATTESTATION",outcome="abandoned"}"#, 1.0);
    assert_value(&page, "signing_bls_signing_duration_count", 2.0);
}

#[test]
fn nothing_counts_as_permitted_without_slashing_protection() {
    let metrics = Metrics::new(MetricsOptions { version: "1", slashing_protection_enabled: false });
    metrics.request_finished(Some(DutyType::BlockV2), Outcome::Signed, Duration::ZERO);
    let page = metrics.render(&Category::ALL);
    assert_value(&page, "eth2_slashingprotection_permitted_signings_total", 0.0);
    assert_value(&page, r#"midslot_requests_total{type="BLOCK_V2",outcome="signed"}"#, 1.0);
}

#[test]
fn the_way_of_jobs_through_the_pool() {
    let metrics = metrics();
    for _ in 0..4 {
        metrics.job_queued(Class::Attestation);
    }
    metrics.job_started(Class::Attestation, Duration::from_millis(3));
    metrics.job_finished(Duration::from_micros(400));
    metrics.job_abandoned(Class::Attestation);
    metrics.job_shed(Class::SelectionProof);
    let page = metrics.render(&[Category::Http, Category::Signing]);
    let pool = r#"{poolType="worker",poolName="vert.x-worker-thread"}"#;
    let counter = |what: &str| format!("http_vertx_worker_pool_{what}_total{pool}");
    assert_value(&page, &counter("submitted"), 5.0);
    assert_value(&page, &counter("completed"), 1.0);
    assert_value(&page, &counter("rejected"), 1.0);
    assert_value(&page, r#"midslot_queue_depth{class="attestation"}"#, 2.0);
    assert_value(&page, r#"midslot_queue_depth{class="selection_proof"}"#, 0.0);
    assert_value(&page, r#"midslot_shed_total{class="selection_proof"}"#, 1.0);
    assert_value(&page, r#"midslot_queue_duration_seconds_sum{class="attestation"}"#, 0.003);
    assert_value(&page, &format!("http_vertx_worker_queue_delay_sum{pool}"), 0.003);
    assert_value(&page, &format!("http_vertx_worker_pool_usage_sum{pool}"), 0.0004);
    assert_value(&page, r#"midslot_bls_duration_seconds_bucket{le="0.00025"}"#, 0.0);
    assert_value(&page, r#"midslot_bls_duration_seconds_bucket{le="0.0005"}"#, 1.0);
}

#[test]
fn slashing_protection_keys_and_audit() {
    let metrics = metrics();
    metrics.slashing_checked(SlashingOperation::Block, Duration::from_millis(2));
    metrics.slashing_checked(SlashingOperation::Attestation, Duration::from_millis(4));
    metrics.slashing_batch_written(250);
    metrics.signers_loaded(7);
    metrics.signers_loaded(6);
    metrics.key_retrieved(KeySource::FileKeystore, Duration::from_secs(1));
    metrics.audit_rows_buffered(12);
    metrics.audit_rows_written(30, Duration::from_millis(3));
    metrics.audit_rows_lost(2);
    metrics.audit_rows_expired(5);
    let page = metrics.render(&Category::ALL);
    let database = |rest: &str| format!("eth2_slashingprotection_database_duration{rest}");
    assert_value(&page, &database(r#"_sum{signingOperation="block"}"#), 0.002);
    assert_value(&page, &database(r#"{signingOperation="attestation",quantile="0.99"}"#), 0.004);
    let histogram =
        r#"midslot_slashing_duration_seconds_bucket{le="0.0025",signingOperation="block"}"#;
    assert_value(&page, histogram, 1.0);
    assert_value(&page, r#"midslot_slashing_batch_size_bucket{le="128.0"}"#, 0.0);
    assert_value(&page, r#"midslot_slashing_batch_size_bucket{le="256.0"}"#, 1.0);
    assert_value(&page, "signing_signers_loaded_count", 6.0);
    let retrieval = r#"signing_private_key_retrieval_time_count{signer="file-keystore"}"#;
    assert_value(&page, retrieval, 1.0);
    assert_value(&page, "midslot_audit_buffered_rows", 12.0);
    assert_value(&page, "midslot_audit_written_rows_total", 30.0);
    assert_value(&page, "midslot_audit_write_duration_seconds_sum", 0.003);
    assert_value(&page, "midslot_audit_lost_rows_total", 2.0);
    assert_value(&page, "midslot_audit_expired_rows_total", 5.0);
}

#[test]
fn the_state_of_protection_and_what_pruning_did_are_mirrored() {
    let metrics = metrics();
    let pruning = PruningTotals {
        rows: 70,
        runs: 2,
        last_end_unix_us: Some(1_500_000),
        last_took: Duration::from_millis(250),
    };
    for (state, name) in [
        (ProtectionState::Running, "running"),
        (ProtectionState::Unavailable { reason: "" }, "unavailable"),
        (ProtectionState::Halted { reason: "" }, "halted"),
    ] {
        metrics.protection_observed(state, &pruning);
        let page = metrics.render(&Category::ALL);
        assert_well_formed(&page);
        for label in ["running", "unavailable", "halted"] {
            let series = format!("midslot_slashing_protection_state{{state=\"{label}\"}}");
            assert_value(&page, &series, f64::from(u8::from(label == name)));
        }
        assert_value(&page, "midslot_slashing_pruned_rows_total", 70.0);
        assert_value(&page, "midslot_slashing_pruning_runs_total", 2.0);
        assert_value(&page, "midslot_slashing_pruning_last_run_timestamp_seconds", 1.5);
        assert_value(&page, "midslot_slashing_pruning_last_run_duration_seconds", 0.25);
    }
}

#[test]
fn categories_choose_what_is_shown() {
    let metrics = metrics();
    assert_eq!(metrics.render(&[]), "# EOF\n");
    assert_eq!(metrics.render(&[Category::Jvm]), "# EOF\n");
    let slashing = family_names(&metrics.render(&[Category::Eth2SlashingProtection]));
    assert!(slashing.iter().all(|name| name.contains("slashing")), "{slashing:?}");
    assert_eq!(slashing.len(), 10);
    let mut total = 0;
    for category in Category::ALL {
        total += family_names(&metrics.render(&[category, category])).len();
    }
    assert_eq!(total, names::ALL.len(), "every family is in exactly one category");
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_describes_itself() {
    let page = metrics().render(&[Category::Process]);
    assert_value(&page, r#"process_release{version="9.8.7"}"#, 1.0);
    let resident = value(&page, "process_resident_memory_bytes");
    let address_space = value(&page, "process_virtual_memory_bytes");
    assert!(resident > 1e5 && resident < address_space, "{resident} {address_space}");
    assert!(value(&page, "process_open_fds") >= 3.0);
    let now = jiff::Timestamp::now().as_second();
    let age = jiff::SignedDuration::from_secs(now).as_secs_f64()
        - value(&page, "process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "{age}");
    assert!(value(&page, "process_cpu_seconds_total") >= 0.0);
}
