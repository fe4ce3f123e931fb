//! More than the signer can do: every request is answered, memory stays bounded, and it recovers at
//! once.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use midslot_tests::{
    Answer, RawConnection, Signer, SignerOptions, key_files, process::peak_memory_bytes, requests,
};
use serde_json::json;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;

/// Most memory that one connection's read buffers take, and what else a request does.
const BYTES_PER_REQUEST: u64 = 128 << 10;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_bound_is_answered_within_bounded_memory() {
    const BOUND: u64 = 100;
    const CONNECTIONS: u64 = 200;
    let signer = SignerOptions::with_interop_keys(1)
        .root("--signing-threads=1")
        .root(format!("--queue-bound-selection-proof={BOUND}"))
        .root(format!("--http-max-connections={CONNECTIONS}"))
        .start()
        .await
        .unwrap();
    let before = peak(&signer);
    let mut burst = JoinSet::new();
    for number in 0..10 * BOUND {
        let client = signer.client.clone();
        burst.spawn(async move {
            let body = requests::aggregation_slot(requests::SLOT + number);
            client.sign(&key_files::public_key(0), &body).await.unwrap()
        });
    }
    let (mut signed, mut shed) = (0, 0);
    while let Some(answer) = burst.join_next().await {
        let answer = answer.unwrap();
        if answer.status == StatusCode::OK {
            answer.signature();
            signed += 1;
        } else {
            assert_shed(&answer);
            shed += 1;
        }
    }
    assert_eq!(signed + shed, 10 * BOUND);
    assert!(signed >= BOUND && shed > 0, "{signed} signed, {shed} shed");
    let grown = peak(&signer) - before;
    let bound = (BOUND + CONNECTIONS) * BYTES_PER_REQUEST + SLACK;
    assert!(grown < bound, "{} of {} MiB", grown / MIB, bound / MIB);
    assert_eq!(proof(&signer, 1).await.status, StatusCode::OK, "recovers at once");
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

    // Three quarters of the budget go to bodies that never end.
    let mut stalled = Vec::new();
    let head = format!(
        "POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        LARGE + 1
    );
    for _ in 0..6 {
        let mut connection = RawConnection::open(signer.client.address()).await.unwrap();
        connection.send(&head).await.unwrap();
        connection.send(&large.as_bytes()[..LARGE]).await.unwrap();
        stalled.push(connection);
    }
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = signer.client.sign_raw(&key, large.clone()).await.unwrap();
        if answer.status != StatusCode::OK {
            assert_shed(&answer);
            assert!(answer.text().contains("bodies"), "{}", answer.text());
            break;
        }
        assert!(Instant::now() < patience, "large bodies are read without a bound");
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
    let bound = 2 * BUDGET + 87 * BYTES_PER_REQUEST + SLACK;
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
    for number in 0..5 {
        let (client, body) = (signer.client.clone(), body(slot + number));
        batches.spawn(async move {
            client.send(Method::POST, "/api/v1/eth2/sign", &[], body).await.unwrap()
        });
    }
    // The first refusal says that the queue is full.
    let mut signed = 0;
    let mut is_stopped = false;
    while let Some(answer) = batches.join_next().await {
        let answer = answer.unwrap();
        if answer.status == StatusCode::OK {
            let items = answer.json();
            assert!(items.as_array().unwrap().iter().all(|item| item["signature"].is_string()));
            signed += 1;
        } else {
            assert_shed(&answer);
            if !is_stopped {
                signer.signal(rustix::process::Signal::TERM).unwrap();
                is_stopped = true;
            }
        }
    }
    assert!(is_stopped && signed >= 1, "{signed} of 5 signed");
    let (code, options) = signer.ended().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
}
