//! Selection proofs ahead of their slots: over real HTTP, by order and counts.

mod backlog;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use midslot_tests::{Answer, HttpClient, Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};
use signer_server::duty::{Network, classify};

const PATH: &str = "/midslot/v1/selection-proofs";

fn options(keys: u64) -> SignerOptions {
    SignerOptions::with_interop_keys(keys)
        .root("--metrics-enabled")
        .root("--audit-api-enabled=true")
}

fn keys(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(key_files::public_key).collect()
}

/// A slot that has not passed when the test ends, and is within the window.
fn slot(ahead: u64) -> u64 {
    requests::current_slot() + 30 + ahead
}

fn of_slot(slot: u64, identifiers: &[String]) -> Value {
    json!({ "slot": slot.to_string(), "identifiers": identifiers })
}

fn of_subcommittee(slot: u64, index: u64, identifiers: &[String]) -> Value {
    let mut slot = of_slot(slot, identifiers);
    slot["subcommittee_index"] = index.to_string().into();
    slot
}

fn body(wait: bool, slots: &[Value]) -> Value {
    json!({ "fork_info": requests::fulu_fork_info(), "wait": wait, "slots": slots })
}

async fn post(signer: &Signer, accept: &str, body: &Value) -> Answer {
    let headers = [("accept", accept), ("content-type", "application/json")];
    signer.client.send(Method::POST, PATH, &headers, body.to_string()).await.unwrap()
}

/// Asks for proofs and waits for them.
async fn ask(signer: &Signer, slots: &[Value]) -> Value {
    let answer = post(signer, "application/json", &body(true, slots)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["slots"].clone()
}

/// Orders proofs without waiting for them. Gives how many were accepted and how many were there.
async fn order(signer: &Signer, slots: &[Value]) -> (u64, u64) {
    let answer = post(signer, "application/json", &body(false, slots)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    (answer["accepted"].as_u64().unwrap(), answer["cached"].as_u64().unwrap())
}

fn sync_request(slot: u64, index: u64) -> Value {
    json!({
        "type": "SYNC_COMMITTEE_SELECTION_PROOF",
        "fork_info": requests::fulu_fork_info(),
        "sync_aggregator_selection_data": {
            "slot": slot.to_string(),
            "subcommittee_index": index.to_string(),
        },
    })
}

/// Sends an ordinary request and checks the signature against the root that it has of itself.
async fn sign(signer: &Signer, key: u64, request: &Value) -> String {
    let answer = signer.client.sign(&key_files::public_key(key), request).await.unwrap();
    let signature = answer.signature();
    let network = Network::by_name_or_file("mainnet").unwrap();
    let duty = classify(request.to_string().as_bytes(), &network).unwrap();
    key_files::assert_signed(key, duty.signing_root.as_bytes(), &signature);
    signature
}

async fn metric(signer: &Signer, series: &str) -> u64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let value = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

/// Jobs that signing threads have done, once those that were queued are counted as done.
async fn signatures(signer: &Signer) -> u64 {
    let labels = "{poolType=\"worker\",poolName=\"vert.x-worker-thread\"}";
    let pool =
        async |what| metric(signer, &format!("http_vertx_worker_pool_{what}_total{labels}")).await;
    let queued = pool("submitted").await - pool("rejected").await;
    until(signer, "midslot_bls_duration_seconds_count", queued).await;
    queued
}

async fn hits(signer: &Signer) -> u64 {
    metric(signer, "midslot_proof_lookups_total{result=\"hit\"}").await
}

async fn until(signer: &Signer, series: &str, expected: u64) {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let found = metric(signer, series).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < patience, "{series} is {found}, not {expected}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The newest `count` rows of the audit, oldest first.
async fn rows(signer: &Signer, count: usize) -> Vec<Value> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let page = signer.client.get("/midslot/v1/audit").await.unwrap().json();
        let rows = page["entries"].as_array().unwrap();
        if rows.len() >= count {
            assert_eq!(rows.len(), count, "{rows:?}");
            return rows.iter().rev().cloned().collect();
        }
        assert!(Instant::now() < patience, "{} rows of {count}", rows.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn ordinary_requests_are_answered_with_what_was_made_ahead() {
    let signer = options(3).start().await.unwrap();
    let (first, second) = (slot(0), slot(1));
    let slots = [
        of_slot(second, &keys(0..3)),
        of_subcommittee(first, 2, &keys(1..3)),
        of_slot(first, &keys(0..1)),
    ];
    let answer = ask(&signer, &slots).await;
    let made = signatures(&signer).await;
    assert_eq!(made, 6);
    assert_eq!(metric(&signer, "midslot_proofs_made_total{origin=\"ahead\"}").await, 6);
    for (asked, answered) in slots.iter().zip(answer.as_array().unwrap()) {
        assert_eq!(answered["slot"], asked["slot"]);
        assert_eq!(answered.get("subcommittee_index"), asked.get("subcommittee_index"));
        let identifiers: Vec<_> = answered["proofs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|proof| proof["identifier"].clone())
            .collect();
        assert_eq!(json!(identifiers), asked["identifiers"]);
    }
    let proof = |place: usize, key: usize| &answer[place]["proofs"][key]["signature"];
    for key in 0..3 {
        let signature = sign(&signer, key, &requests::aggregation_slot(second)).await;
        assert_eq!(*proof(0, usize::try_from(key).unwrap()), signature);
    }
    assert_eq!(*proof(1, 0), sign(&signer, 1, &sync_request(first, 2)).await);
    assert_eq!(*proof(2, 0), sign(&signer, 0, &requests::aggregation_slot(first)).await);
    // The batch endpoint finds them as well, and so does whoever asks again.
    let batch = json!({
        "identifiers": keys(0..3),
        "signing_request": requests::aggregation_slot(second),
    });
    let headers = [("accept", "application/json")];
    let batch = signer
        .client
        .send(Method::POST, "/api/v1/eth2/sign", &headers, batch.to_string())
        .await
        .unwrap()
        .json();
    assert_eq!(batch[2]["signature"], *proof(0, 2));
    assert_eq!(ask(&signer, &slots).await, answer);
    assert_eq!(signatures(&signer).await, made, "nothing was signed again");
    assert_eq!(hits(&signer).await, 5 + 3);

    // What was not asked for ahead is signed, and kept, too.
    sign(&signer, 0, &sync_request(first, 2)).await;
    sign(&signer, 0, &sync_request(first, 2)).await;
    assert_eq!(signatures(&signer).await, made + 1);
    assert_eq!(metric(&signer, "midslot_proof_lookups_total{result=\"miss\"}").await, 1);
}

#[tokio::test]
async fn every_proof_leaves_a_row_that_says_how_it_came() {
    let signer = options(1).start().await.unwrap();
    let (slot, identifiers) = (slot(0), [key_files::public_key(0), key_files::public_key(9)]);
    let answer = ask(&signer, &[of_slot(slot, &identifiers)]).await;
    assert_eq!(answer[0]["proofs"][1]["error"]["code"], 404, "{answer}");
    sign(&signer, 0, &requests::aggregation_slot(slot)).await;
    post(&signer, "application/json", &json!({ "wait": true })).await;
    let rows = rows(&signer, 4).await;
    let found: Vec<_> =
        rows.iter().map(|row| (row["outcome"].as_str().unwrap(), row["reason"].as_str())).collect();
    assert_eq!(found[0], ("signed", Some("pre-request")));
    assert_eq!(found[1], ("unknown_key", Some("no such key is loaded")));
    assert_eq!(found[2], ("signed", Some("from the proof cache")));
    assert_eq!(found[3].0, "malformed");
    assert!(rows[0]["bls_us"].is_u64() && rows[2]["bls_us"].is_null(), "{rows:?}");
    for row in &rows[..3] {
        assert_eq!(row["type"], "AGGREGATION_SLOT");
        assert_eq!(row["slot"], slot.to_string());
    }
    let requests = "midslot_requests_total{type=\"AGGREGATION_SLOT\",outcome=\"signed\"}";
    assert_eq!(metric(&signer, requests).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_many_want_at_once_is_made_once() {
    let signer = options(1).root("--signing-threads=1").start().await.unwrap();
    let request = requests::aggregation_slot(slot(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (client, request) = (signer.client.clone(), request.clone());
        clients.spawn(async move {
            client.sign(&key_files::public_key(0), &request).await.unwrap().signature()
        });
    }
    let answers: BTreeSet<_> = clients.join_all().await.into_iter().collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(signatures(&signer).await, 1);
    assert_eq!(metric(&signer, "midslot_proof_lookups_total{result=\"miss\"}").await, 1);
    let waited = metric(&signer, "midslot_proof_lookups_total{result=\"wait\"}").await;
    assert_eq!(waited + hits(&signer).await, 39);
}

#[tokio::test]
async fn a_restart_forgets_the_proofs_and_makes_the_same_again() {
    let signer = options(1).start().await.unwrap();
    let slot = slot(0);
    let before = ask(&signer, &[of_slot(slot, &keys(0..1))]).await;
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    let after = sign(&signer, 0, &requests::aggregation_slot(slot)).await;
    assert_eq!(before[0]["proofs"][0]["signature"], after);
    assert_eq!((signatures(&signer).await, hits(&signer).await), (1, 0));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_place_and_nothing_is_signed() {
    let signer = options(3)
        .root("--batch-max-keys=2")
        .root("--proof-cache-capacity=3")
        .root("--proof-max-slots-ahead=40")
        .start()
        .await
        .unwrap();
    let good = of_slot(slot(0), &keys(0..1));
    let key = key_files::public_key(0);
    let upper = format!("0x{}", key[2..].to_uppercase());
    let far = requests::current_slot() + 60;
    for (slots, code, message) in [
        (json!([]), 400, "slots is empty"),
        (json!([good, of_slot(far, &keys(0..1))]), 400, "slots[1].slot: slot"),
        (json!([good, good]), 400, "slots[1] names slot"),
        (json!([of_slot(slot(1), &[key.clone(), upper])]), 400, "slots[0].identifiers[1] names"),
        (json!([good, of_slot(slot(1), &["0x12".into()])]), 400, "slots[1].identifiers[0] is no"),
        (json!([of_subcommittee(slot(1), 4, &keys(0..1))]), 400, "slots[0].subcommittee_index"),
        (json!([good, { "slot": "1" }]), 400, "the body is no pre-request: slots[1]: missing"),
        (json!(["x"]), 400, "the body is no pre-request: slots[0]: "),
        (json!([of_slot(slot(1), &keys(0..3))]), 413, "slots[0].identifiers names 3 keys"),
        (
            json!([of_slot(slot(1), &keys(0..2)), of_slot(slot(2), &keys(0..2))]),
            413,
            "4 proofs are asked for; one pre-request may have 3",
        ),
    ] {
        for wait in [true, false] {
            let body =
                json!({ "fork_info": requests::fulu_fork_info(), "wait": wait, "slots": slots });
            let answer = post(&signer, "application/json", &body).await;
            assert_eq!(answer.status.as_u16(), code, "{body}: {}", answer.text());
            let found = answer.json();
            assert_eq!(found["code"], code);
            let text = found["message"].as_str().unwrap();
            assert!(text.starts_with(message), "{message:?} in {text:?}");
        }
    }
    for body in ["", "{", "[]", "null", r#"{"wait":true,"slots":[]}"#] {
        let answer = signer.client.send(Method::POST, PATH, &[], body).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text().starts_with("the body is no pre-request"), "{}", answer.text());
    }
    assert_eq!(signatures(&signer).await, 0);
    assert_eq!(metric(&signer, "http_bls_malformed_request_count_total").await, 25);
    let found = rows(&signer, 25).await;
    assert!(found.iter().all(|row| row["outcome"] == "malformed"), "{found:?}");
}

#[tokio::test]
async fn overload_is_a_503_and_makes_nothing() {
    let signer = options(4).root("--queue-bound-selection-proof=3").start().await.unwrap();
    let slots = [of_slot(slot(0), &keys(0..2)), of_slot(slot(1), &keys(0..4))];
    for accept in ["application/json", "application/x-ndjson"] {
        let answer = post(&signer, accept, &body(true, &slots)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
        assert!(answer.headers.contains_key("retry-after"));
    }
    let headers = [("accept", "application/json"), ("x-signing-deadline-ms", "0")];
    let late = body(true, &slots[..1]).to_string();
    let late = signer.client.send(Method::POST, PATH, &headers, late).await.unwrap();
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE, "{}", late.text());
    // What was shed blocks nothing.
    ask(&signer, &slots[..1]).await;
    let shed = "midslot_requests_total{type=\"AGGREGATION_SLOT\",outcome=\"shed\"}";
    assert_eq!(metric(&signer, shed).await, 6 + 6 + 2);
}

#[tokio::test]
async fn slots_are_streamed_line_by_line_to_who_accepts_it() {
    let signer = options(30).start().await.unwrap();
    let first = slot(0);
    let mut slots: Vec<_> = (0..5).map(|ahead| of_slot(first + ahead, &keys(0..30))).collect();
    slots.push(of_subcommittee(first, 1, &[key_files::public_key(0), key_files::public_key(99)]));
    let answer = post(&signer, "application/x-ndjson", &body(true, &slots)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.content_type(), "application/x-ndjson");
    assert!(answer.text().ends_with('\n'));
    let mut lines: Vec<Value> =
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut whole: Vec<Value> = ask(&signer, &slots).await.as_array().unwrap().clone();
    let place = |slot: &Value| (slot["slot"].to_string(), slot.get("subcommittee_index").is_some());
    lines.sort_by_key(place);
    whole.sort_by_key(place);
    assert_eq!(lines, whole);
    assert_eq!(lines[1]["proofs"][1]["error"]["code"], 404, "{}", lines[1]);
}

#[tokio::test]
async fn cached_answers_are_fresh_signatures_for_every_fork_and_after_a_change() {
    let signer = options(1).start().await.unwrap();
    let network = Network::by_name_or_file("mainnet").unwrap();
    let versions: Vec<_> = network.forks().iter().map(|fork| fork.version.to_string()).collect();
    let start_of_epoch = |slot: u64| slot - slot % requests::SLOTS_PER_EPOCH;
    // Two slots on either side of an epoch's start, which is where a fork begins.
    let boundary = start_of_epoch(requests::current_slot() + 60);
    let epoch = boundary / requests::SLOTS_PER_EPOCH;
    let mut proofs = BTreeSet::new();
    let mut expected = BTreeSet::new();
    for pair in versions.windows(2) {
        let fork_info = requests::fork_info(&pair[0], &pair[1], epoch);
        let slots = [boundary - 1, boundary];
        let asked: Vec<_> = slots
            .iter()
            .flat_map(|slot| [of_slot(*slot, &keys(0..1)), of_subcommittee(*slot, 3, &keys(0..1))])
            .collect();
        let body = json!({ "fork_info": fork_info, "wait": true, "slots": asked });
        let answer = post(&signer, "application/json", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let before = (signatures(&signer).await, hits(&signer).await);
        for (place, slot) in slots.into_iter().enumerate() {
            for (offset, mut request) in
                [requests::aggregation_slot(slot), sync_request(slot, 3)].into_iter().enumerate()
            {
                request["fork_info"] = fork_info.clone();
                let signature = sign(&signer, 0, &request).await;
                let made = &answer.json()["slots"][2 * place + offset]["proofs"][0]["signature"];
                assert_eq!(*made, signature);
                proofs.insert(signature);
                expected.insert((slot, offset, pair[place].clone()));
            }
        }
        assert_eq!((signatures(&signer).await, hits(&signer).await), (before.0, before.1 + 4));
    }
    assert_eq!(proofs.len(), expected.len(), "each fork has its own");
}
