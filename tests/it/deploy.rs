//! The alerts and the dashboard speak of metrics that the signer has.

use std::{collections::BTreeSet, fs};

use midslot_tests::{HttpClient, SignerOptions};
use serde_json::Value;

const PREFIXES: [&str; 5] = ["midslot_", "signing_", "http_", "eth2_", "process_"];

fn read(path: &str) -> String {
    let path = format!("{}/../deploy/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every value of a member with that name, at any depth.
fn collect(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == name => found.push(text.clone()),
                    other => collect(other, name, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        _ => {}
    }
}

/// The metric names in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    expression
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_metric_in_alerts_and_dashboard_is_on_the_page() {
    let signer =
        SignerOptions::with_interop_keys(1).root("--metrics-enabled").start().await.unwrap();
    let page = HttpClient::new(signer.metrics.unwrap()).get("/metrics").await.unwrap();
    let samples: BTreeSet<&str> = page
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let rules: Value = serde_saphyr::from_str(&read("prometheus/rules.yaml")).unwrap();
    let dashboard: Value = serde_json::from_str(&read("grafana/midslot.json")).unwrap();
    for (file, at_least) in [(rules, 10), (dashboard, 15)] {
        let mut expressions = Vec::new();
        collect(&file, "expr", &mut expressions);
        assert!(expressions.len() >= at_least, "{} expressions", expressions.len());
        for expression in expressions {
            for metric in metrics(&expression) {
                assert!(samples.contains(&*metric), "{metric} in {expression}");
            }
        }
    }
}

#[test]
fn panels_have_their_own_ids_and_places() {
    let dashboard: Value = serde_json::from_str(&read("grafana/midslot.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
