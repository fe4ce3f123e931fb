//! Blocks come first and nothing is lost: over real HTTP.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use midslot_tests::{HttpClient, Signer, SignerOptions, key_files, requests};
use serde_json::json;
use tokio::task::JoinSet;

/// The number of proofs that wait for a signing thread.
async fn queued_proofs(signer: &Signer) -> usize {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let line = "midslot_queue_depth{class=\"selection_proof\"} ";
    let depth = page.text().lines().find_map(|have| have.strip_prefix(line));
    depth.expect("the depth of the queue").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_overtake_five_thousand_queued_proofs() {
    let keys = 1_000;
    let signer = SignerOptions::with_interop_keys(keys)
        .root("--signing-threads=1")
        .root("--metrics-enabled")
        .start()
        .await
        .unwrap();
    let identifiers: Vec<_> = (0..keys).map(key_files::public_key).collect();
    let mut batches = JoinSet::new();
    for slot in 0..10_u64 {
        // Slots that come: their proofs may wait for up to a minute.
        let request = requests::aggregation_slot(requests::current_slot() + 64 + slot);
        let body = json!({ "identifiers": identifiers, "signing_request": request }).to_string();
        let client = signer.client.clone();
        batches.spawn(async move {
            client.send(Method::POST, "/api/v1/eth2/sign", &[], body).await.unwrap()
        });
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while queued_proofs(&signer).await < 5_000 {
        assert!(Instant::now() < patience, "the queue never held 5,000 proofs");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in 0..20_u64 {
        let body = requests::block(7_000 + number, 1);
        signer.client.sign(&key_files::public_key(0), &body).await.unwrap().signature();
    }
    // First come, first served would have answered no block before the last proof.
    let waiting = queued_proofs(&signer).await;
    assert!(waiting > 500, "the blocks waited for the proofs, of which {waiting} are left");
    while let Some(answer) = batches.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        let items = answer.json();
        let items = items.as_array().unwrap();
        assert_eq!(items.len(), identifiers.len());
        assert!(items.iter().all(|item| item.get("signature").is_some()), "every proof is signed");
    }
}

#[tokio::test]
async fn a_client_may_shorten_its_deadline_and_is_told_when_it_can_not_be_met() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
    let body = requests::block(7_000, 1).to_string();
    let send = async |deadline: &str| {
        let headers = [("accept", "application/json"), ("x-signing-deadline-ms", deadline)];
        signer.client.send(Method::POST, &path, &headers, body.clone()).await.unwrap()
    };
    let late = send("0").await;
    assert_eq!(late.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(late.headers.contains_key("retry-after"));
    assert!(late.text().contains("deadline"), "{}", late.text());
    assert_eq!(send("soon").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send("5000").await.status, StatusCode::OK);
    // What was refused for its deadline was not recorded.
    let other = requests::block(7_001, 1);
    let answer = signer.client.sign(&key_files::public_key(0), &other).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}
