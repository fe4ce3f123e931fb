//! What survives `kill -9`.

use http::StatusCode;
use midslot_tests::{SignerOptions, key_files, requests};

#[tokio::test]
async fn kill_right_after_a_signature_then_conflict_and_repeat() {
    let mut options = SignerOptions::with_interop_keys(1);
    let key = key_files::public_key(0);
    // Several lives, each killed right after its 200: the record must have been durable by then.
    for life in 0..5_u64 {
        let signer = options.start().await.unwrap();
        let vote = requests::attestation(100 + life, 101 + life, 1);
        let block = requests::block(5000 + life, 1);
        let vote_signature = signer.client.sign(&key, &vote).await.unwrap().signature();
        let block_signature = signer.client.sign(&key, &block).await.unwrap().signature();
        let signer = signer.kill().await.unwrap().start().await.unwrap();

        let other_vote = requests::attestation(100 + life, 101 + life, 2);
        let other_block = requests::block(5000 + life, 2);
        for conflict in [other_vote, other_block] {
            let answer = signer.client.sign(&key, &conflict).await.unwrap();
            assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.text());
        }
        assert_eq!(signer.client.sign(&key, &vote).await.unwrap().signature(), vote_signature);
        assert_eq!(signer.client.sign(&key, &block).await.unwrap().signature(), block_signature);
        options = signer.kill().await.unwrap();
    }
}

#[tokio::test]
async fn kill_in_a_burst_loses_no_released_vote() {
    let options = SignerOptions::with_interop_keys(8);
    let signer = options.start().await.unwrap();
    // Floors first, so that the burst may be signed in any order.
    for key in 0..8 {
        let body = requests::attestation(199, 200, 1);
        signer.client.sign(&key_files::public_key(key), &body).await.unwrap().signature();
    }
    let mut requests_in_flight = Vec::new();
    for target in 201..240_u64 {
        for key in 0..8 {
            let client = signer.client.clone();
            requests_in_flight.push(tokio::spawn(async move {
                let body = requests::attestation(target - 1, target, 1);
                let answer = client.sign(&key_files::public_key(key), &body).await.ok()?;
                (answer.status == StatusCode::OK).then(|| (key, target, answer.signature()))
            }));
        }
    }
    // Some answers have come, many have not.
    let first = requests_in_flight.remove(0).await.unwrap().expect("the first vote is signed");
    let options = signer.kill().await.unwrap();
    let mut released = vec![first];
    for request in requests_in_flight {
        released.extend(request.await.unwrap());
    }
    let signer = options.start().await.unwrap();
    for (key, target, signature) in released {
        let key = key_files::public_key(key);
        let conflict = requests::attestation(target - 1, target, 2);
        let answer = signer.client.sign(&key, &conflict).await.unwrap();
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "target {target}");
        let repeat = requests::attestation(target - 1, target, 1);
        assert_eq!(signer.client.sign(&key, &repeat).await.unwrap().signature(), signature);
    }
}

#[tokio::test]
async fn an_orderly_stop_ends_with_zero_and_removes_the_ports_file() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let ports = signer.options.data_folder().join("web3signer.ports");
    assert!(ports.exists());
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    assert!(!ports.exists());
}
