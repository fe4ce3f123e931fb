//! A worker that produces nothing is visible on the metrics port: in how jobs ended, why signatures
//! and jobs were left out, what was gained, and how late it was.

use midslot_tests::HttpClient;

use super::*;

/// The value of a series as it is written.
fn text<'a>(page: &'a str, series: &str) -> &'a str {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}"))
}

/// Sum over all values of a label.
fn total(page: &str, family: &str) -> u64 {
    let values = page.lines().filter_map(|line| line.strip_prefix(family)?.split_once("} "));
    values.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

async fn page(signer: &Signer) -> String {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    metrics.get("/metrics").await.unwrap().text().to_owned()
}

#[tokio::test]
async fn what_a_worker_produces_and_what_it_does_not_is_visible() {
    let signer = options().root("--metrics-enabled").start().await.unwrap();
    // Of three signatures one can't be read and one is false; the child has one position of two.
    let mut spoiled = group(1);
    spoiled["singles"][1]["signature"] = "0xzz".into();
    spoiled["singles"][2]["signature"] = signature(9, &[1; 32]).into();
    spoiled["children"] = json!([{ "bits": "0x12", "signature": signature(1, &[1; 32]) }]);
    let mut snapshot = job(&[spoiled]);
    let done = complete(&signer, &mut snapshot).await.json();
    assert_eq!(done["groups"][0]["aggregate"]["gained"], 1, "{done}");
    let after = page(&signer).await;
    for (series, expected) in [
        ("jobs_total{status=\"done\"}", "1"),
        ("groups_total{status=\"complete\"}", "1"),
        ("entries_total{status=\"used\"}", "2"),
        ("entries_total{status=\"rejected\"}", "2"),
        ("entries_skipped_total{reason=\"bad_encoding\"}", "1"),
        ("entries_skipped_total{reason=\"invalid_signature\"}", "1"),
        ("bisections_total", "1"),
        ("gained_positions_total", "1"),
        ("coverage_ratio_count", "1"),
        ("coverage_ratio_sum", "0.5"),
    ] {
        assert_eq!(text(&after, &format!("midslot_aggregation_{series}")), expected, "{series}");
    }

    // From here on there is nothing: too few signers, too late to be started, refused.
    let mut few = job(&[group(2)]);
    few["options"] = json!({ "min_coverage": 4 });
    complete(&signer, &mut few).await;
    let mut late = job(&[group(3)]);
    late["deadline_unix_ms"] = 1.into();
    let late = post(&signer, &format!("{JOBS}?wait=true"), late.to_string()).await.json();
    assert_eq!(late["reason"], "before_start", "{late}");
    let mut endless = endless_job(&signer, 0).await;
    endless["deadline_ms"] = 200.into();
    let ended = post(&signer, &format!("{JOBS}?wait=true"), endless.to_string()).await.json();
    assert_eq!(ended["status"], "expired", "{ended}");

    let after = page(&signer).await;
    let value = |series: &str| {
        text(&after, &format!("midslot_aggregation_{series}")).parse::<u64>().unwrap()
    };
    let accepted = value("jobs_accepted_total");
    assert_eq!(total(&after, "midslot_aggregation_jobs_total{"), accepted, "every one has ended");
    assert_eq!(value("groups_total{status=\"complete\"}"), 1, "as before");
    assert_eq!(value("gained_positions_total"), 1);
    assert!(value("groups_total{status=\"too_few_signers\"}") >= 1);
    assert!(value("entries_skipped_total{reason=\"too_few_signers\"}") >= 3);
    assert!(value("jobs_total{status=\"expired\"}") >= 2);
    assert_eq!(
        value("entries_total{status=\"rejected\"}")
            + value("entries_total{status=\"unprocessed\"}"),
        total(&after, "midslot_aggregation_entries_skipped_total{"),
        "each has its reason",
    );
    for family in ["queue_time", "prep_time", "verify_time", "sign_time", "worker_total_time"] {
        let bounds = after.lines().filter_map(|line| {
            let prefix = format!("midslot_aggregation_{family}_seconds_bucket{{le=\"");
            line.strip_prefix(&prefix)?.split_once('"')?.0.parse::<f64>().ok()
        });
        let bounds: Vec<_> = bounds.filter(|bound| bound.is_finite()).collect();
        let expected = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];
        assert!(bounds == expected, "{family}");
    }
    if ended["reason"] == "deadline" {
        // It was started and ended at its deadline or after it.
        assert!(value("time_to_deadline_seconds_bucket{le=\"0.0\"}") >= 1, "{after}");
    }
}
