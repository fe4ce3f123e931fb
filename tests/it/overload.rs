//! More than the signer can do: every request is answered, memory stays bounded, and it recovers at
//! once.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use midslot_tests::{
    Answer, HttpClient, RawConnection, Signer, SignerOptions, key_files,
    process::peak_memory_bytes, requests,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;

/// Most memory that one connection's read buffers take, and what else a request does.
const BYTES_PER_REQUEST: u64 = 64 << 10;

/// Memory for what has nothing to do with the number of requests: threads, caches, the database.
const SLACK: u64 = 24 * MIB;

fn peak(signer: &Signer) -> u64 {
    peak_memory_bytes(signer.process_id().unwrap()).unwrap()
}

async fn proof(signer: &Signer, slot: u64) -> Answer {
    let body = requests::aggregation_slot(slot);
    signer.client.sign(&key_files::public_key(0), &body).await.unwrap()
}

/// A valid request whose body has about so many bytes.
fn padded(bytes: usize) -> String {
    let mut body = requests::randao_reveal(requests::EPOCH);
    body["padding"] = "x".repeat(bytes).into();
    body.to_string()
}

fn assert_shed(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text());
    assert!(answer.headers.contains_key("retry-after"), "{}", answer.text());
}

/// The number of jobs of class attestation that wait for a signing thread.
async fn queued_attestations(signer: &Signer) -> u64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let line = "midslot_queue_depth{class=\"attestation\"} ";
    let depth = page.text().lines().find_map(|have| have.strip_prefix(line));
    depth.expect("the depth of the queue").parse().unwrap()
}

/// Keeps the only signing thread busy with what comes before aggregates and proofs, until all is
/// answered.
pub(crate) async fn keep_busy(signer: &Signer, keys: u64) -> JoinSet<Answer> {
    let identifiers: Vec<_> = (0..keys).map(key_files::public_key).collect();
    let mut batches = JoinSet::new();
    for number in 0..8 {
        let request = json!({
            "type": "SYNC_COMMITTEE_MESSAGE",
            "fork_info": requests::fulu_fork_info(),
            "sync_committee_message": {
                "beacon_block_root": requests::root(number),
                "slot": requests::SLOT.to_string(),
            },
        });
        let body = json!({ "identifiers": identifiers, "signing_request": request }).to_string();
        let client = signer.client.clone();
        batches.spawn(async move {
            client.send(Method::POST, "/api/v1/eth2/sign", &[], body).await.unwrap()
        });
    }
    let patience = Instant::now() + Duration::from_mins(1);
    while queued_attestations(signer).await < 2 * keys {
        assert!(Instant::now() < patience, "the batches never waited");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    batches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_bound_is_answered_within_bounded_memory() {
    const BOUND: u64 = 100;
    const KEYS: u64 = 500;
    let signer = SignerOptions::with_interop_keys(KEYS)
        .root("--signing-threads=1")
        .root("--metrics-enabled")
        .root(format!("--queue-bound-selection-proof={BOUND}"))
        .start()
        .await
        .unwrap();
    let mut batches = keep_busy(&signer, KEYS).await;
    let before = peak(&signer);
    let mut burst = JoinSet::new();
    for number in 0..10 * BOUND {
        let client = signer.client.clone();
        burst.spawn(async move {
            let body = requests::aggregation_slot(requests::SLOT + number);
            client.sign(&key_files::public_key(0), &body).await.unwrap()
        });
    }
    let (mut made, mut shed) = (0, 0);
    while let Some(answer) = burst.join_next().await {
        let answer = answer.unwrap();
        if answer.status == StatusCode::OK {
            answer.signature();
            made += 1;
        } else {
            assert_shed(&answer);
            shed += 1;
        }
    }
    assert_eq!(made + shed, 10 * BOUND);
    assert!(made >= BOUND && shed > 0, "{made} signed, {shed} shed");
    let grown = peak(&signer) - before;
    // Each request has a connection of its own, and no more than the bound wait.
    let bound = (BOUND + 10 * BOUND) * BYTES_PER_REQUEST + SLACK;
    assert!(grown < bound, "{} of {} MiB", grown / MIB, bound / MIB);
    assert_eq!(proof(&signer, 1).await.status, StatusCode::OK, "recovers at once");
    while let Some(answer) = batches.join_next().await {
        assert_eq!(answer.unwrap().status, StatusCode::OK, "what comes first is never shed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_together_take_no_more_memory_than_their_budget() {
    const BUDGET: u64 = 8 * MIB;
    const LARGE: usize = 1 << 20;
    let signer = SignerOptions::with_interop_keys(1)
        .root("--http-max-body-size=2097152")
        .root(format!("--http-max-body-bytes-in-flight={BUDGET}"))
        .start()
        .await
        .unwrap();
    let key = key_files::public_key(0);
    let large = padded(LARGE);
    let before = peak(&signer);
    signer.client.sign_raw(&key, large.clone()).await.unwrap().signature();

    // Bodies that never end, until they have taken what large ones may have.
    let mut stalled = Vec::new();
    let head = format!(
        "POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        LARGE + 1
    );
    loop {
        let answer = signer.client.sign_raw(&key, large.clone()).await.unwrap();
        if answer.status != StatusCode::OK {
            assert_shed(&answer);
            assert!(answer.text().contains("bodies"), "{}", answer.text());
            break;
        }
        // One that comes while another is read may be refused, and does not count.
        assert!(stalled.len() < 40, "large bodies are read without a bound");
        let mut connection = RawConnection::open(signer.client.address()).await.unwrap();
        connection.send(&head).await.unwrap();
        connection.send(&large.as_bytes()[..LARGE]).await.unwrap();
        stalled.push(connection);
    }
    let mut wave = JoinSet::new();
    for _ in 0..80 {
        let (client, key, large) = (signer.client.clone(), key.clone(), large.clone());
        wave.spawn(async move { client.sign_raw(&key, large).await.unwrap() });
    }
    while let Some(answer) = wave.join_next().await {
        let answer = answer.unwrap();
        if answer.status != StatusCode::OK {
            assert_shed(&answer);
        }
    }
    assert_eq!(proof(&signer, 1).await.status, StatusCode::OK, "small bodies find room");
    let grown = peak(&signer) - before;
    let bound = 2 * BUDGET + (81 + stalled.len() as u64) * BYTES_PER_REQUEST + SLACK;
    assert!(grown < bound, "{} of {} MiB", grown / MIB, bound / MIB);

    drop(stalled);
    let patience = Instant::now() + Duration::from_secs(20);
    while signer.client.sign_raw(&key, large.clone()).await.unwrap().status != StatusCode::OK {
        assert!(Instant::now() < patience, "bodies that ended are still counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_one_to_end_or_to_be_idle() {
    const LIMIT: usize = 3;
    let signer = SignerOptions::with_interop_keys(1)
        .root(format!("--http-max-connections={LIMIT}"))
        .start()
        .await
        .unwrap();
    let key = key_files::public_key(0);
    let body = requests::aggregation_slot(3).to_string();
    // An answer to `expect` tells that the connection is served and carries a request.
    let head = format!(
        "POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut inside = Vec::new();
    for _ in 0..LIMIT {
        let mut connection = RawConnection::open(signer.client.address()).await.unwrap();
        connection.send(&head).await.unwrap();
        // The harness's own connection is idle and makes room.
        assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 100 "));
        inside.push(connection);
    }
    let mut outside = RawConnection::open(signer.client.address()).await.unwrap();
    outside.send(&head).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(2), outside.answer()).await;
    assert!(waited.is_err(), "it is served although all places carry requests");
    // An answered request leaves its connection idle, and that makes room.
    inside[0].send(&body).await.unwrap();
    assert!(inside[0].answer().await.unwrap().0.starts_with("http/1.1 200 "));
    assert!(outside.answer().await.unwrap().0.starts_with("http/1.1 100 "));
    for connection in inside.iter_mut().skip(1).chain([&mut outside]) {
        connection.send(&body).await.unwrap();
        assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 200 "));
    }
    let log = signer.options.log();
    assert!(log.contains("all 3 connections are in use"), "{log}");
    assert_eq!(proof(&signer, 4).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_with_a_full_queue_answers_what_was_admitted() {
    const KEYS: u64 = 300;
    let signer = SignerOptions::with_interop_keys(KEYS)
        .root("--signing-threads=1")
        .root(format!("--queue-bound-selection-proof={KEYS}"))
        .root("--http-server-timing-enabled")
        .start()
        .await
        .unwrap();
    let identifiers: Vec<_> = (0..KEYS).map(key_files::public_key).collect();
    let slot = requests::current_slot() + 64;
    let body = |slot: u64| {
        let request = requests::aggregation_slot(slot);
        json!({ "identifiers": identifiers, "signing_request": request }).to_string()
    };
    let mut batches = JoinSet::new();
    let mut connections = Vec::new();
    for number in 0..5 {
        let body = body(slot + number);
        let mut connection = RawConnection::open(signer.client.address()).await.unwrap();
        let head = format!(
            "POST /api/v1/eth2/sign HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.send(format!("{head}{body}")).await.unwrap();
        connections.push(connection);
    }
    for mut connection in connections {
        batches.spawn(async move { connection.answer().await.unwrap() });
    }
    // The first refusal says that the queue is full.
    let mut answered = 0;
    let mut is_stopped = false;
    while let Some(answer) = batches.join_next().await {
        let (head, body) = answer.unwrap();
        if head.starts_with("http/1.1 200 ") {
            let items: Value = serde_json::from_str(&body).unwrap();
            assert!(items.as_array().unwrap().iter().all(|item| item["signature"].is_string()));
            answered += 1;
        } else {
            assert!(
                head.starts_with("http/1.1 500 ") && head.contains("\r\nretry-after:"),
                "{head}"
            );
            if !is_stopped {
                signer.signal(rustix::process::Signal::TERM).unwrap();
                is_stopped = true;
            }
        }
    }
    assert!(is_stopped && answered >= 1, "{answered} of 5 signed");
    let (code, options) = signer.ended().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
}
