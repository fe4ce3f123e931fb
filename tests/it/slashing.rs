//! Slashing protection as a client meets it. The rules themselves are tested beside their code.

use http::StatusCode;
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::Value;

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(2).start().await.unwrap()
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

#[tokio::test]
async fn double_and_surround_votes_are_refused_and_repeats_are_signed_again() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let vote = requests::attestation(20, 25, 1);
    let first = signer.client.sign(&key, &vote).await.unwrap().signature();
    let again = signer.client.sign(&key, &vote).await.unwrap().signature();
    assert_eq!(first, again);
    for (source, target, what) in [
        (20, 25, "another root at the same target"),
        (19, 26, "surrounds"),
        (21, 24, "surrounded"),
        (26, 25, "source after target"),
        (19, 24, "below the floor"),
    ] {
        let conflict = requests::attestation(source, target, 2);
        assert_eq!(status(&signer, 0, &conflict).await, REFUSED, "{what}");
    }
    assert_eq!(status(&signer, 0, &requests::attestation(25, 26, 2)).await, OK);
    assert_eq!(status(&signer, 1, &requests::attestation(20, 25, 2)).await, OK, "another key");
}

#[tokio::test]
async fn double_blocks_are_refused_across_both_block_types() {
    let signer = signer().await;
    assert_eq!(status(&signer, 0, &requests::phase0_block(500)).await, OK);
    assert_eq!(status(&signer, 0, &requests::phase0_block(500)).await, OK, "a repeat");
    assert_eq!(status(&signer, 0, &requests::block(500, 1)).await, REFUSED);
    assert_eq!(status(&signer, 0, &requests::block(499, 1)).await, REFUSED, "below the floor");
    assert_eq!(status(&signer, 0, &requests::block(501, 1)).await, OK);
}

#[tokio::test]
async fn a_refusal_says_why_and_does_not_disturb_others() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    signer.client.sign(&key, &requests::attestation(20, 25, 1)).await.unwrap().signature();
    let answer = signer.client.sign(&key, &requests::attestation(20, 25, 2)).await.unwrap();
    assert_eq!(answer.status, REFUSED);
    assert_eq!(answer.json()["code"], 412);
    assert!(answer.json()["message"].as_str().unwrap().contains("25"), "{}", answer.text());
}

#[tokio::test]
async fn exactly_one_of_many_conflicting_votes_at_once_is_signed() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let votes = (0..64_u8).map(|number| {
        let (client, key) = (signer.client.clone(), key.clone());
        tokio::spawn(async move {
            let body = requests::attestation(30, 31, number);
            client.sign(&key, &body).await.unwrap().status
        })
    });
    let mut winners = 0;
    for vote in votes.collect::<Vec<_>>() {
        match vote.await.unwrap() {
            OK => winners += 1,
            other => assert_eq!(other, REFUSED),
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn another_chain_than_the_networks_is_refused() {
    let signer = signer().await;
    let mut vote = requests::attestation(20, 25, 1);
    vote["fork_info"]["genesis_validators_root"] = requests::root(0x99).into();
    assert_eq!(status(&signer, 0, &vote).await, REFUSED);
    assert_eq!(status(&signer, 0, &requests::attestation(20, 25, 1)).await, OK);
}

#[tokio::test]
async fn without_a_known_genesis_the_first_request_pins_it_for_good() {
    let network = midslot_tests::fixtures::network_option("devnet-gloas.yaml");
    let signer = SignerOptions::with_interop_keys(1)
        .eth2(format!("--network={network}"))
        .start()
        .await
        .unwrap();
    let mut vote = requests::attestation(20, 25, 1);
    vote["fork_info"]["genesis_validators_root"] = requests::root(0x77).into();
    assert_eq!(status(&signer, 0, &vote).await, OK);
    let other = requests::attestation(25, 26, 1);
    assert_eq!(status(&signer, 0, &other).await, REFUSED);
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    assert_eq!(status(&signer, 0, &other).await, REFUSED, "after a restart");
    assert_eq!(status(&signer, 0, &vote).await, OK);
}

#[tokio::test]
async fn the_high_watermark_is_an_empty_object_while_unset_and_absent_without_protection() {
    let signer = signer().await;
    let answer = signer.client.get("/api/v1/eth2/highWatermark").await.unwrap();
    assert_eq!(answer.status, OK);
    assert_eq!(answer.json(), serde_json::json!({}));

    let unprotected = SignerOptions::with_interop_keys(1)
        .eth2("--slashing-protection-enabled=false")
        .start()
        .await
        .unwrap();
    let answer = unprotected.client.get("/api/v1/eth2/highWatermark").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(status(&unprotected, 0, &requests::attestation(20, 25, 1)).await, OK);
    assert_eq!(status(&unprotected, 0, &requests::attestation(20, 25, 2)).await, OK);
}
