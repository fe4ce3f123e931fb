//! Proofs that were asked for ahead and that nobody waits for.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{key_files, requests};

use super::*;

#[tokio::test]
async fn proofs_that_nobody_waits_for_are_made_once() {
    let signer = options(4).start().await.unwrap();
    let mut identifiers = keys(0..4);
    identifiers.push(key_files::public_key(99));
    let first = slot(0);
    let mut slots: Vec<_> = (0..3).map(|ahead| of_slot(first + ahead, &identifiers)).collect();
    // Nobody could use these.
    slots.push(of_slot(requests::SLOT, &identifiers));
    assert_eq!(order(&signer, &slots).await, (12, 0));
    until(&signer, "midslot_proofs_kept", 12).await;
    assert_eq!(metric(&signer, "midslot_proofs_made_total{origin=\"background\"}").await, 12);
    assert_eq!(order(&signer, &slots).await, (0, 12));
    let made = signatures(&signer).await;
    assert_eq!(made, 12);
    for ahead in 0..3 {
        for key in 0..4 {
            sign(&signer, key, &requests::aggregation_slot(first + ahead)).await;
        }
    }
    assert_eq!(signatures(&signer).await, made);
    assert_eq!(hits(&signer).await, 12);
    assert_eq!(metric(&signer, "midslot_proof_age_seconds_count").await, 12);
    // One for each proof and for each unknown key, twice; one for each request.
    let rows = rows(&signer, 12 + 2 * 3 + 12).await;
    let with = |reason: &str| rows.iter().filter(|row| row["reason"] == reason).count();
    assert_eq!(with("pre-request"), 12);
    assert_eq!(with("from the proof cache"), 12);
    assert_eq!(with("no such key is loaded"), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_and_needed_proofs_pass_what_nobody_waits_for() {
    const KEYS: u64 = 1_000;
    const SLOTS: u64 = 24;
    let signer = options(KEYS).root("--signing-threads=1").start().await.unwrap();
    let (first, identifiers) = (slot(0), keys(0..KEYS));
    let slots: Vec<_> = (0..SLOTS).map(|ahead| of_slot(first + ahead, &identifiers)).collect();
    assert_eq!(order(&signer, &slots).await, (KEYS * SLOTS, 0));
    for number in 0..5 {
        let block = requests::block(7_000 + number, 1);
        signer.client.sign(&key_files::public_key(0), &block).await.unwrap().signature();
    }
    // The last ones of the backlog, and the first, which may be before a thread just now.
    let mut needed = Vec::new();
    for (ahead, key) in [(SLOTS - 1, KEYS - 1), (SLOTS - 1, 0), (0, 900), (1, 5)] {
        needed.push(sign(&signer, key, &requests::aggregation_slot(first + ahead)).await);
    }
    // In order of arrival none of these would have been answered before all others.
    let waiting = metric(&signer, "midslot_proof_backlog").await;
    assert!(waiting > 1_000, "they waited for the backlog, of which {waiting} are left");
    assert_eq!(needed.iter().collect::<BTreeSet<_>>().len(), 4);
    // A stop in the middle is orderly.
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    assert!(!options.log().contains("ERROR"), "{}", options.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_key_takes_its_proofs_with_it() {
    const SLOTS: u64 = 20;
    let signer = options(2).start().await.unwrap();
    let first = slot(0);
    let slots: Vec<_> = (0..SLOTS).map(|ahead| of_slot(first + ahead, &keys(0..2))).collect();
    ask(&signer, &slots[..1]).await;
    assert_eq!(order(&signer, &slots).await, (2 * SLOTS - 2, 2));
    std::fs::remove_file(key_files::raw_key_path(&signer.options.key_folder(), 0)).unwrap();
    signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while signer.client.get("/reload").await.unwrap().json()["status"] == "running" {
        assert!(Instant::now() < patience, "the reload never ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until(&signer, "midslot_proof_backlog", 0).await;
    until(&signer, "midslot_proofs_kept", SLOTS).await;
    let gone = &requests::aggregation_slot(first);
    let answer = signer.client.sign(&key_files::public_key(0), gone).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(order(&signer, &slots).await, (0, SLOTS), "the other key's are there");
    sign(&signer, 1, gone).await;
    assert_eq!(hits(&signer).await, 1);
}

#[tokio::test]
async fn a_backlog_without_room_is_a_503_that_takes_nothing_in() {
    const KEYS: u64 = 500;
    let options = options(KEYS).root("--signing-threads=1");
    let signer = options.root(format!("--proof-cache-capacity={KEYS}")).start().await.unwrap();
    let identifiers = keys(0..KEYS);
    // Much faster than proofs are made.
    let mut accepted = 0;
    let mut slots = (0..30).flat_map(|ahead| {
        let identifiers = &identifiers;
        (0..4).map(move |index| [of_subcommittee(slot(ahead), index, identifiers)])
    });
    let (refused, answer) = loop {
        let slots = slots.next().expect("the backlog is never full");
        let answer = post(&signer, "application/json", &body(false, &slots)).await;
        if answer.status != StatusCode::ACCEPTED {
            break (slots, answer);
        }
        assert_eq!(answer.json()["accepted"], KEYS);
        accepted += KEYS;
    };
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert_eq!(answer.headers["retry-after"], "1");
    let answer = answer.json();
    assert_eq!(answer["code"], 503);
    let message = answer["message"].as_str().unwrap();
    assert!(message.ends_with("selection proofs wait to be made, and there is room for 500"));

    // What was accepted before is made, nothing else, and there is room again.
    let series = "midslot_proofs_made_total{origin=\"background\"}";
    until(&signer, series, accepted).await;
    assert_eq!(metric(&signer, "midslot_proof_backlog").await, 0);
    assert_eq!(order(&signer, &refused).await, (KEYS, 0));
    until(&signer, series, accepted + KEYS).await;
    let patience = Instant::now() + Duration::from_secs(20);
    let rows = loop {
        let page = signer.client.get("/midslot/v1/audit?outcome=shed").await.unwrap().json();
        let rows = page["entries"].as_array().unwrap().clone();
        if !rows.is_empty() {
            break rows;
        }
        assert!(Instant::now() < patience, "the refusal left no row");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((rows.len(), rows[0]["reason"].as_str()), (1, Some(message)));
}

#[tokio::test]
async fn a_short_queue_makes_the_backlog_in_small_pieces() {
    let signer = options(4).root("--queue-bound-background=1").start().await.unwrap();
    let slots: Vec<_> = (0..5).map(|ahead| of_slot(slot(ahead), &keys(0..4))).collect();
    assert_eq!(order(&signer, &slots).await, (20, 0));
    until(&signer, "midslot_proofs_kept", 20).await;
}
