//! The batch endpoint: many keys, one object (remote-signing-api, pull request 29).

use http::{Method, StatusCode};
use midslot_tests::{Answer, Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/eth2/sign";

async fn signer(keys: u64) -> Signer {
    SignerOptions::with_interop_keys(keys).root("--audit-api-enabled=true").start().await.unwrap()
}

fn keys(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(key_files::public_key).collect()
}

async fn post(signer: &Signer, body: impl ToString) -> Answer {
    let headers = [("accept", "application/json"), ("content-type", "application/json")];
    signer.client.send(Method::POST, PATH, &headers, body.to_string()).await.unwrap()
}

async fn batch(signer: &Signer, identifiers: &[String], request: &Value) -> Answer {
    post(signer, json!({ "identifiers": identifiers, "signing_request": request })).await
}

fn codes(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["error"]["code"].as_u64().unwrap_or(200))
        .collect()
}

#[tokio::test]
async fn signatures_are_those_of_single_requests_in_the_order_of_the_keys() {
    let signer = signer(4).await;
    let identifiers: Vec<_> = [2, 0, 3, 1].into_iter().map(key_files::public_key).collect();
    let all = requests::one_of_every_type(&identifiers[0]);
    let shared = [
        "ATTESTATION",
        "AGGREGATION_SLOT",
        "RANDAO_REVEAL",
        "SYNC_COMMITTEE_MESSAGE",
        "SYNC_COMMITTEE_SELECTION_PROOF",
        "GENERIC",
    ];
    for request in all {
        let duty_type = request["type"].as_str().unwrap();
        let answer = batch(&signer, &identifiers, &request).await;
        if !shared.contains(&duty_type) {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{duty_type}");
            assert!(answer.text().contains(duty_type), "{}", answer.text());
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK, "{duty_type}: {}", answer.text());
        let items = answer.json();
        assert_eq!(items.as_array().unwrap().len(), identifiers.len());
        for (identifier, item) in identifiers.iter().zip(items.as_array().unwrap()) {
            assert_eq!(item.as_object().unwrap().len(), 2, "{item}");
            assert_eq!(item["identifier"], *identifier);
            let single = signer.client.sign(identifier, &request).await.unwrap().signature();
            assert_eq!(item["signature"], single, "{duty_type}");
        }
    }
}

#[tokio::test]
async fn one_unknown_and_one_slashable_key_disturb_nobody() {
    let signer = signer(5).await;
    let vote = requests::attestation(20, 25, 1);
    let conflict = requests::attestation(20, 25, 2);
    signer.client.sign(&key_files::public_key(3), &conflict).await.unwrap().signature();
    let mut identifiers = keys(0..5);
    identifiers.insert(1, key_files::public_key(99));
    let answer = batch(&signer, &identifiers, &vote).await;
    assert_eq!(codes(&answer), [200, 404, 200, 200, 412, 200]);
    let refused = &answer.json()[4];
    assert_eq!(refused.as_object().unwrap().len(), 2, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("25"), "{refused}");
    // A repeat of the whole batch is signed again, with the same refusals.
    assert_eq!(codes(&batch(&signer, &identifiers, &vote).await), [200, 404, 200, 200, 412, 200]);
    // What was refused left nothing behind, and what was signed is protected.
    assert_eq!(codes(&batch(&signer, &keys(0..5), &conflict).await), [412, 412, 412, 200, 412]);
}

#[tokio::test]
async fn batches_that_are_no_batches_are_400_and_say_why() {
    let signer = signer(2).await;
    let request = requests::aggregation_slot(7);
    let key = key_files::public_key(0);
    let upper = format!("0x{}", key[2..].to_uppercase());
    for (body, word) in [
        (json!({ "identifiers": [], "signing_request": request }), "empty"),
        (json!({ "identifiers": [key, upper], "signing_request": request }), "again"),
        (json!({ "identifiers": [key, key], "signing_request": request }), "again"),
        (json!({ "identifiers": [key, "12345"], "signing_request": request }), "identifiers[1]"),
        (json!({ "identifiers": key, "signing_request": request }), "identifiers"),
        (json!({ "identifiers": [key] }), "signing_request"),
        (json!({ "signing_request": request }), "identifiers"),
        (json!({ "identifiers": [key], "signing_request": request, "more": 1 }), "more"),
        (json!({ "identifiers": [key], "signing_request": { "type": "X" } }), "type"),
        (json!({ "identifiers": [key], "signing_request": null }), "signing_request"),
        (json!([key]), "batch"),
    ] {
        let answer = post(&signer, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{word:?} in {message:?}");
    }
    let mut wrong_root = request.clone();
    wrong_root["signingRoot"] = requests::root(1).into();
    let answer = batch(&signer, &[key], &wrong_root).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains(&requests::root(1)), "{}", answer.text());
}

#[tokio::test]
async fn a_batch_of_a_type_that_is_not_allowed_records_nothing() {
    let signer = signer(2).await;
    let answer = batch(&signer, &keys(0..2), &requests::block(7_000, 1)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("BLOCK_V2"), "{}", answer.text());
    for (index, body_byte) in [(0, 2), (1, 3)] {
        let block = requests::block(7_000, body_byte);
        signer.client.sign(&key_files::public_key(index), &block).await.unwrap().signature();
    }
}

#[tokio::test]
async fn one_key_among_thousands_of_unknown_ones_is_signed() {
    let signer = signer(1).await;
    let mut identifiers: Vec<_> =
        (0..5_000_u32).map(|number| format!("0x{}{number:08x}", "ab".repeat(44))).collect();
    identifiers[4_321] = key_files::public_key(0);
    let answer = batch(&signer, &identifiers, &requests::attestation(5, 6, 1)).await;
    let codes = codes(&answer);
    assert_eq!(codes.iter().position(|code| *code == 200), Some(4_321));
    assert_eq!(codes.iter().filter(|code| **code == 404).count(), 4_999);
}

#[tokio::test]
async fn a_hundred_thousand_keys_are_413_and_the_limit_is_an_option() {
    let signer = signer(1).await;
    let many: Vec<_> =
        (0..100_000_u32).map(|number| format!("0x{}{number:08x}", "ab".repeat(44))).collect();
    let answer = batch(&signer, &many, &requests::aggregation_slot(7)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    let answer = batch(&signer, &keys(0..1), &requests::aggregation_slot(7)).await;
    assert_eq!(codes(&answer), [200], "the next one is served");
    let few = SignerOptions::with_interop_keys(3).root("--batch-max-keys=2").start().await.unwrap();
    let answer = batch(&few, &keys(0..3), &requests::aggregation_slot(7)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = batch(&few, &keys(0..2), &requests::aggregation_slot(7)).await;
    assert_eq!(codes(&answer), [200, 200]);
}

#[tokio::test]
async fn every_key_of_a_batch_leaves_its_audit_row() {
    let signer = signer(3).await;
    let mut identifiers = keys(0..3);
    identifiers.push(key_files::public_key(99));
    codes(&batch(&signer, &identifiers, &requests::aggregation_slot(7)).await);
    post(&signer, "{").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let audit = signer.client.get("/midslot/v1/audit").await.unwrap().json();
    let outcomes: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(outcomes, ["malformed", "unknown_key", "signed", "signed", "signed"]);
    for (entry, identifier) in audit["entries"].as_array().unwrap().iter().rev().zip(identifiers) {
        assert_eq!(entry["key"], identifier);
    }
}

#[tokio::test]
async fn a_thousand_keys_in_one_batch_are_all_signed_rightly() {
    let signer = signer(1000).await;
    let request = requests::attestation(30, 31, 1);
    let identifiers = keys(0..1000);
    let answer = batch(&signer, &identifiers, &request).await;
    assert!(codes(&answer).iter().all(|code| *code == 200));
    let duty = signer_server::duty::classify(
        request.to_string().as_bytes(),
        &signer_server::duty::Network::by_name_or_file("mainnet").unwrap(),
    )
    .unwrap();
    for (index, item) in answer.json().as_array().unwrap().iter().enumerate().step_by(97) {
        let signature = item["signature"].as_str().unwrap();
        key_files::assert_signed(index as u64, duty.signing_root.as_bytes(), signature);
    }
    let conflict = requests::attestation(30, 31, 2);
    assert!(codes(&batch(&signer, &identifiers, &conflict).await).iter().all(|code| *code == 412));
}
