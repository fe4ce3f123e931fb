//! Many keys, with every kind of signer.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{
    Asked, Fake, Reply, attestation, fork_info, keys, proof_request, signature_text, soon,
};
use crate::{
    client::{Deadline, HttpOptions, ProofBatch, RemoteSigner, Selection, SignError},
    wire::{
        Epoch, PublicKey, QuotedU64, RandaoReveal, SignPayload, SignRequest, Signature, Slot,
        VoluntaryExit,
    },
};

const BATCH: &str = "/api/v1/eth2/sign";
const PROOFS: &str = "/midslot/v1/selection-proofs";

/// The signature of key `[n; 48]` is `[n; 96]`; key 13 is unknown.
fn result(identifier: &Value) -> Value {
    let key: PublicKey = identifier.as_str().unwrap().parse().unwrap();
    match key.0[0] {
        13 => json!({"identifier": identifier, "error": {"code": 404, "message": "no such key"}}),
        byte => json!({"identifier": identifier, "signature": signature_text(byte)}),
    }
}

fn results(identifiers: &Value) -> Value {
    identifiers.as_array().unwrap().iter().map(result).collect()
}

fn batch(asked: &Asked) -> Reply {
    Reply::new(200, results(&asked.json()["identifiers"]).to_string())
}

fn single(asked: &Asked) -> Reply {
    let key: PublicKey = asked.path.rsplit('/').next().unwrap().parse().unwrap();
    if key.0[0] == 13 { Reply::new(404, "no such key") } else { Reply::signature(key.0[0]) }
}

fn proofs(asked: &Asked) -> Reply {
    let mut slot = asked.json()["slots"][0].clone();
    let made = results(&slot["identifiers"]);
    slot.as_object_mut().unwrap().remove("identifiers");
    slot["proofs"] = made;
    Reply::new(200, json!({ "slots": [slot] }).to_string())
}

/// Midslot: everything is there.
async fn midslot() -> Fake {
    Fake::start(|asked| match asked.path.as_str() {
        PROOFS => proofs(asked),
        BATCH => batch(asked),
        _ => single(asked),
    })
    .await
}

/// Web3Signer: single requests only.
async fn web3signer() -> Fake {
    Fake::start(|asked| match asked.path.as_str() {
        PROOFS | BATCH => Reply::new(404, "<html><body><h1>Resource not found</h1></body></html>"),
        _ => single(asked).after(Duration::from_millis(5)),
    })
    .await
}

fn assert_right(keys: &[PublicKey], results: &[Result<Signature, SignError>]) {
    assert_eq!(keys.len(), results.len());
    for (key, result) in keys.iter().zip(results) {
        match result {
            Err(SignError::UnknownKey) => assert_eq!(key.0[0], 13),
            Ok(signature) => assert_eq!(signature.0, [key.0[0]; 96]),
            Err(error) => panic!("{key}: {error}"),
        }
    }
}

fn proof_batch(keys: Vec<PublicKey>, selection: Selection) -> ProofBatch {
    ProofBatch { slot: Slot(77), selection, fork_info: fork_info(), keys }
}

#[tokio::test]
async fn a_batch_is_one_request() {
    let fake = midslot().await;
    let client = fake.client(HttpOptions::default());
    let keys = keys(20);
    assert_right(&keys, &client.sign_batch(&keys, &attestation(), soon()).await);
    assert_eq!(fake.paths(), [BATCH]);
    let body = fake.asked()[0].json();
    assert_eq!(body["signing_request"], serde_json::to_value(attestation()).unwrap());
    assert_eq!(body["identifiers"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_key_named_twice_is_asked_for_once() {
    let fake = midslot().await;
    let client = fake.client(HttpOptions::default());
    let mut keys = keys(3);
    keys.extend([keys[1], keys[0]]);
    assert_right(&keys, &client.sign_batch(&keys, &attestation(), soon()).await);
    assert_eq!(fake.asked()[0].json()["identifiers"].as_array().unwrap().len(), 3);
    assert!(client.sign_batch(&[], &attestation(), soon()).await.is_empty());
}

#[tokio::test]
async fn large_batches_are_cut_and_cut_again_when_they_are_too_large_for_the_signer() {
    let fake = Fake::start(|asked| {
        let too_many = asked.json()["identifiers"].as_array().unwrap().len() > 5;
        if too_many { Reply::new(413, "too many keys") } else { batch(asked) }
    })
    .await;
    let client = fake.client(HttpOptions { batch_keys: 16, ..HttpOptions::default() });
    let keys = keys(40);
    assert_right(&keys, &client.sign_batch(&keys, &proof_request(), soon()).await);
    let sizes: Vec<usize> = fake
        .asked()
        .iter()
        .map(|asked| asked.json()["identifiers"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [16, 8, 4, 4, 8, 4, 4, 16, 8, 4, 4, 8, 4, 4, 8, 4, 4]);
}

#[tokio::test]
async fn types_that_no_batch_has_are_sent_one_by_one() {
    let fake = midslot().await;
    let client = fake.client(HttpOptions::default());
    let exit = SignRequest {
        payload: SignPayload::VoluntaryExit(VoluntaryExit {
            epoch: Epoch(1),
            validator_index: QuotedU64(2),
        }),
        ..attestation()
    };
    let keys = keys(4);
    assert_right(&keys, &client.sign_batch(&keys, &exit, soon()).await);
    assert_eq!(fake.paths().iter().filter(|path| *path == BATCH).count(), 0);
    assert_eq!(fake.paths().len(), 4);
}

#[tokio::test]
async fn plain_web3signer_is_probed_once_and_then_gets_bounded_single_requests() {
    let fake = web3signer().await;
    let client = fake.client(HttpOptions { singles_in_flight: 3, ..HttpOptions::default() });
    let keys = keys(30);
    let randao = SignRequest {
        payload: SignPayload::RandaoReveal(RandaoReveal { epoch: Epoch(2) }),
        ..attestation()
    };
    for request in [attestation(), proof_request(), randao] {
        assert_right(&keys, &client.sign_batch(&keys, &request, soon()).await);
    }
    for selection in [Selection::Attestation, Selection::SyncCommittee { subcommittee_index: 2 }] {
        let batch = proof_batch(keys.clone(), selection);
        assert_right(&keys, &client.selection_proofs(&batch, soon()).await);
    }
    let probes = |path| fake.paths().iter().filter(|asked| *asked == path).count();
    assert_eq!((probes(BATCH), probes(PROOFS)), (1, 1));
    assert_eq!(fake.paths().len(), 2 + 5 * 30);
    assert_eq!(fake.most_at_once(), 3);
}

#[tokio::test]
async fn single_requests_that_are_done_by_the_deadline_are_not_lost() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        PROOFS | BATCH => Reply::new(404, ""),
        path if path.ends_with(&"03".repeat(4)) => {
            Reply::signature(3).after(Duration::from_mins(1))
        }
        _ => single(asked),
    })
    .await;
    let client = fake.client(HttpOptions::default());
    let deadline = Deadline::within(Duration::from_secs(1));
    let results = client.sign_batch(&keys(5), &attestation(), deadline).await;
    let made: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(made, [true, true, false, true, true]);
    assert!(matches!(results[2], Err(SignError::DeadlinePassed)));
}

#[tokio::test]
async fn proofs_are_asked_for_in_their_own_way_where_the_signer_has_it() {
    let fake = midslot().await;
    let client = fake.client(HttpOptions { batch_keys: 15, ..HttpOptions::default() });
    let keys = keys(20);
    for selection in [Selection::Attestation, Selection::SyncCommittee { subcommittee_index: 3 }] {
        let batch = proof_batch(keys.clone(), selection);
        assert_right(&keys, &client.selection_proofs(&batch, soon()).await);
    }
    assert_eq!(fake.paths(), [PROOFS; 4]);
    let bodies: Vec<Value> = fake.asked().iter().map(Asked::json).collect();
    assert_eq!(bodies[0]["wait"], true);
    assert_eq!(bodies[0]["fork_info"], serde_json::to_value(fork_info()).unwrap());
    assert_eq!(bodies[0]["slots"][0]["slot"], "77");
    assert!(bodies[0]["slots"][0].get("subcommittee_index").is_none());
    assert_eq!(bodies[2]["slots"][0]["subcommittee_index"], "3");
}

#[tokio::test]
async fn proofs_are_batched_where_the_signer_has_only_batches() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        PROOFS => Reply::new(404, "no such path"),
        BATCH => batch(asked),
        _ => single(asked),
    })
    .await;
    let client = fake.client(HttpOptions::default());
    let keys = keys(20);
    for _ in 0..2 {
        let batch = proof_batch(keys.clone(), Selection::Attestation);
        assert_right(&keys, &client.selection_proofs(&batch, soon()).await);
    }
    assert_eq!(fake.paths(), [PROOFS, BATCH, BATCH]);
}

#[tokio::test]
async fn the_failure_of_a_batch_is_the_failure_of_its_keys() {
    for (reply, is_expected) in [
        (r#"{"code":400,"message":"fork_info is missing"}"#, 400),
        ("[]", 200),
        ("{}", 200),
        (r#"[{"identifier":"0x12"}]"#, 200),
    ] {
        let fake = Fake::start(move |_| Reply::new(is_expected, reply)).await;
        let client = fake.client(HttpOptions::default());
        let results = client.sign_batch(&keys(3), &attestation(), soon()).await;
        assert_eq!(results.len(), 3);
        for result in results {
            match result.unwrap_err() {
                SignError::Rejected { message, .. } => assert_eq!(message, "fork_info is missing"),
                SignError::Malformed(_) => assert_eq!(is_expected, 200),
                other => panic!("{reply}: {other}"),
            }
        }
        assert_eq!(fake.asked().len(), 1);
    }
}
