//! Selection proofs by the real signer's own request, by the ways that other signers have, and over
//! what happens to signers and keys meanwhile.

use std::{sync::Arc, time::Duration};

use http::Method;
use midslot_tests::{HttpClient, Signer, SignerOptions, key_files};
use signer_client::{
    client::{HttpOptions, HttpSigner, KeyWatch, ProofBatch, RemoteSigner, Selection, SignError},
    selection::{SchedulerOptions, SelectionProofScheduler, TokioSlotClock},
    wire::{PublicKey, Slot},
};

use super::{
    PATIENCE, assert_signed, endpoint, fork_info,
    front::{Front, Manners, Seen},
    key, keys,
    scheduler::{chain, next_epoch, until},
    soon,
};

const OWN_PATH: &str = "/midslot/v1/selection-proofs";
const BATCH_PATH: &str = "/api/v1/eth2/sign";
const KEYS: u64 = 6;

/// Long enough that a signer is started again between a proof's first request and its slot.
const SLOT: Duration = Duration::from_secs(4);

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(KEYS).root("--metrics-enabled").start().await.unwrap()
}

/// The first slot of an epoch that lies ahead.
fn start() -> Slot {
    Slot(next_epoch().0 * 32)
}

async fn metric(signer: &Signer, series: &str) -> u64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let value = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

/// Makes proofs of both kinds through a front that lacks these paths.
async fn make_proofs(signer: &Signer, lacks: &[&'static str]) -> Front {
    let front = Front::of(signer, lacks).await;
    let client = HttpSigner::new(vec![front.endpoint()], HttpOptions::default()).unwrap();
    for selection in [Selection::Attestation, Selection::SyncCommittee { subcommittee_index: 2 }] {
        let mut keys = keys(KEYS);
        keys.push(key(99));
        let proofs = ProofBatch { slot: start(), selection, fork_info: fork_info(), keys };
        let mut made = client.selection_proofs(&proofs, soon()).await;
        let unknown = made.pop().unwrap();
        assert!(matches!(unknown, Err(SignError::UnknownKey)), "{unknown:?}");
        assert_signed(&selection.request(start(), fork_info()), &made);
    }
    front
}

#[tokio::test]
async fn midslots_own_request_is_used_where_it_is() {
    let signer = signer().await;
    let front = make_proofs(&signer, &[]).await;
    assert_eq!(front.paths().into_iter().collect::<Vec<_>>(), [OWN_PATH]);
    assert_eq!(front.seen().len(), 2);
    let ahead = metric(&signer, "midslot_proofs_made_total{origin=\"ahead\"}").await;
    assert_eq!(ahead, 2 * KEYS);
    // Ordinary requests find what was made.
    let client = HttpSigner::new(vec![endpoint(&signer)], HttpOptions::default()).unwrap();
    let request = Selection::Attestation.request(start(), fork_info());
    assert_signed(&request, &[client.sign(&key(0), &request, soon()).await]);
    assert_eq!(metric(&signer, "midslot_proof_lookups_total{result=\"hit\"}").await, 1);
}

#[tokio::test]
async fn a_signer_without_it_gets_batches() {
    let signer = signer().await;
    let front = make_proofs(&signer, &[OWN_PATH]).await;
    assert_eq!(front.paths().into_iter().collect::<Vec<_>>(), [BATCH_PATH]);
    assert_eq!(front.seen().len(), 2);
    let ordinary = metric(&signer, "midslot_proofs_made_total{origin=\"request\"}").await;
    assert_eq!(ordinary, 2 * KEYS);
}

#[tokio::test]
async fn a_signer_without_batches_gets_single_requests() {
    let signer = signer().await;
    let front = make_proofs(&signer, &[OWN_PATH, BATCH_PATH]).await;
    let expected: Vec<_> = (0..KEYS).map(key).chain([key(99)]).collect();
    let mut found: Vec<PublicKey> = front
        .paths()
        .iter()
        .map(|path| path.strip_prefix("/api/v1/eth2/sign/").expect("a single request"))
        .map(|key| key.parse().unwrap())
        .collect();
    found.sort_by_key(|found| expected.iter().position(|key| key == found));
    assert_eq!(found, expected);
}

/// A scheduler with duties of all keys in the slot eight ahead, two keys in a request.
fn scheduler(front: &Front) -> SelectionProofScheduler {
    let signer = HttpSigner::new(vec![front.endpoint()], HttpOptions::default()).unwrap();
    let clock = TokioSlotClock::starting_at(start(), SLOT).unwrap();
    let options =
        SchedulerOptions { chunk_keys: 2, max_in_flight: 1, ..SchedulerOptions::default() };
    let scheduler =
        SelectionProofScheduler::start(Arc::new(signer), Arc::new(clock), chain(), options);
    let scheduler = scheduler.unwrap();
    let duties = keys(KEYS).into_iter().map(|key| (key, duty_slot()));
    scheduler.set_attester_duties(next_epoch(), duties).unwrap();
    scheduler
}

fn duty_slot() -> Slot {
    Slot(start().0 + 8)
}

#[tokio::test]
async fn a_signer_that_is_killed_in_the_middle_of_a_batch_makes_the_rest_after_its_restart() {
    let signer = signer().await;
    let front = Front::of(&signer, &[]).await;
    front.manners.send_modify(|manners| manners.loses_after = Some(1));
    let scheduler = scheduler(&front);
    // The first two keys have their proofs. Those of the others are made, and the answer is lost.
    front.has_seen(2).await;
    front.manners.send_modify(|manners| manners.signer = None);
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    let address = Some(signer.client.address());
    front.manners.send_replace(Manners { signer: address, ..Manners::default() });

    until("the rest is made", || scheduler.stats().kept == keys(KEYS).len()).await;
    let mut proofs = Vec::new();
    for key in keys(KEYS) {
        proofs.push(scheduler.proof(&key, duty_slot()).await);
    }
    assert_signed(&Selection::Attestation.request(duty_slot(), fork_info()), &proofs);
    let stats = scheduler.stats();
    assert_eq!((stats.made, stats.hits, stats.immediate), (KEYS, KEYS, 0), "{stats:?}");
    // The restarted signer made only what was missing.
    assert_eq!(metric(&signer, "midslot_proofs_kept").await, KEYS - 2);
    let seen = front.seen();
    let names = |body: &str, key: &PublicKey| body.contains(&key.to_string());
    let kept: Vec<_> = keys(KEYS).into_iter().filter(|key| names(&seen[0].body, key)).collect();
    assert_eq!(kept.len(), 2);
    let again = |seen: &Seen| kept.iter().any(|key| names(&seen.body, key));
    assert!(!seen[1..].iter().any(again), "what was made is not asked for again");
}

#[tokio::test]
async fn a_key_that_leaves_the_signer_takes_its_queued_proofs_with_it() {
    let signer = signer().await;
    let front = Front::of(&signer, &[]).await;
    let client = HttpSigner::new(vec![endpoint(&signer)], HttpOptions::default()).unwrap();
    let mut watch = KeyWatch::new(Arc::new(client), Duration::from_millis(50));
    watch.next().await.unwrap();
    // As long as requests fail, all proofs are queued.
    front.manners.send_modify(|manners| manners.signer = None);
    let scheduler = scheduler(&front);
    assert_eq!(scheduler.stats().pending, keys(KEYS).len());

    let folder = signer.options.key_folder();
    std::fs::remove_file(key_files::raw_key_path(&folder, 0)).unwrap();
    signer.client.send(Method::POST, "/reload", &[], "").await.unwrap();
    let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!(change.removed, [key(0)]);
    for key in &change.removed {
        scheduler.remove_key(key);
    }
    front.manners.send_modify(|manners| manners.signer = Some(signer.client.address()));
    until("the other proofs are made", || scheduler.stats().made == KEYS - 1).await;
    let stats = scheduler.stats();
    assert_eq!((stats.pending, stats.kept), (0, keys(KEYS).len() - 1));
    assert_eq!(metric(&signer, "midslot_proofs_kept").await, KEYS - 1);
    let error = scheduler.proof(&key(0), duty_slot()).await.unwrap_err();
    assert!(matches!(error, SignError::UnknownKey), "{error}");
}
