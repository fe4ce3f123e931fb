//! `signer-client` against the real signer.

use std::{sync::Arc, time::Duration};

use midslot_tests::{Signer, SignerOptions, key_files, requests};
use signer_client::{
    client::{Deadline, Endpoint, HttpOptions, HttpSigner, KeyWatch, RemoteSigner, SignError},
    wire::{
        AttestationData, Checkpoint, Epoch, ForkInfo, PublicKey, QuotedU64, Root, SignPayload,
        SignRequest, Signature, Slot,
    },
};

mod aggregation;
mod front;
mod proofs;
mod scheduler;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

fn key(index: u64) -> PublicKey {
    key_files::public_key(index).parse().unwrap()
}

fn keys(count: u64) -> Vec<PublicKey> {
    (0..count).map(key).collect()
}

fn fork_info() -> ForkInfo {
    serde_json::from_value(requests::fulu_fork_info()).unwrap()
}

fn endpoint(signer: &Signer) -> Endpoint {
    Endpoint::new(&format!("http://{}", signer.client.address())).unwrap()
}

fn client(signer: &Signer) -> HttpSigner {
    HttpSigner::new(vec![endpoint(signer)], HttpOptions::default()).unwrap()
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(30))
}

fn attestation(block_byte: u8) -> SignRequest {
    let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([1; 32]) };
    SignRequest {
        fork_info: Some(fork_info()),
        signing_root: None,
        payload: SignPayload::Attestation(AttestationData {
            slot: Slot(101 * 32),
            index: QuotedU64(0),
            beacon_block_root: Root([block_byte; 32]),
            source: checkpoint(100),
            target: checkpoint(101),
        }),
    }
}

/// Demands the right signatures of the first interop keys for a request.
fn assert_signed(request: &SignRequest, results: &[Result<Signature, SignError>]) {
    let body = serde_json::to_vec(request).unwrap();
    let network = signer_server::duty::Network::by_name_or_file("mainnet").unwrap();
    let root = signer_server::duty::classify(&body, &network).unwrap().signing_root;
    for (index, result) in results.iter().enumerate() {
        let signature = result.as_ref().unwrap().to_string();
        key_files::assert_signed(index as u64, root.as_bytes(), &signature);
    }
}

#[tokio::test]
async fn one_and_many_signatures_are_right() {
    let signer = SignerOptions::with_interop_keys(5).start().await.unwrap();
    let client = client(&signer);
    client.up(soon()).await.unwrap();
    let single = client.sign(&key(0), &attestation(1), soon()).await;
    assert_signed(&attestation(1), &[single]);
    let batch = client.sign_batch(&keys(5), &attestation(1), soon()).await;
    assert_signed(&attestation(1), &batch);
}

#[tokio::test]
async fn refusals_have_their_types() {
    let signer = SignerOptions::with_interop_keys(2).start().await.unwrap();
    let client = client(&signer);
    client.sign(&key(0), &attestation(1), soon()).await.unwrap();
    let error = client.sign(&key(0), &attestation(2), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::SlashingRefused(_)), "{error}");
    let error = client.sign(&key(9), &attestation(1), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::UnknownKey), "{error}");
    let wrong_root = SignRequest { signing_root: Some(Root([7; 32])), ..attestation(1) };
    let error = client.sign(&key(0), &wrong_root, soon()).await.unwrap_err();
    assert!(matches!(error, SignError::Rejected { status: 400, .. }), "{error}");

    let results = client.sign_batch(&[key(0), key(9), key(1)], &attestation(2), soon()).await;
    assert!(matches!(results[0], Err(SignError::SlashingRefused(_))), "{results:?}");
    assert!(matches!(results[1], Err(SignError::UnknownKey)), "{results:?}");
    assert!(results[2].is_ok(), "{results:?}");
}

#[tokio::test]
async fn a_batch_larger_than_the_signer_takes_is_cut() {
    let options = SignerOptions::with_interop_keys(7).root("--batch-max-keys=2");
    let signer = options.start().await.unwrap();
    let results = client(&signer).sign_batch(&keys(7), &attestation(1), soon()).await;
    assert_signed(&attestation(1), &results);
}

#[tokio::test]
async fn keys_that_come_and_go_are_seen() {
    let signer = SignerOptions::with_interop_keys(2).start().await.unwrap();
    let mut watch = KeyWatch::new(Arc::new(client(&signer)), Duration::from_millis(50));
    assert_eq!(watch.next().await.unwrap().added.len(), 2);
    let folder = signer.options.key_folder();
    key_files::write_raw_key(&folder, 2);
    std::fs::remove_file(key_files::raw_key_path(&folder, 0)).unwrap();
    signer.client.send(http::Method::POST, "/reload", &[], "").await.unwrap();
    let patience = Duration::from_secs(30);
    let change = tokio::time::timeout(patience, watch.next()).await.unwrap().unwrap();
    assert_eq!((change.added, change.removed), (vec![key(2)], vec![key(0)]));
}
