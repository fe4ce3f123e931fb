//! Several endpoints, and asking twice.

use std::time::Duration;

use super::fake::{Fake, Reply, attestation, keys, nobody, proof_request, soon};
use crate::{
    client::{Deadline, HttpOptions, HttpSigner, RemoteSigner, SignError},
    wire::Signature,
};

fn shared() -> HttpOptions {
    HttpOptions { shared_slashing_protection: true, ..HttpOptions::default() }
}

#[tokio::test]
async fn another_endpoint_serves_when_the_first_is_away() {
    let second = Fake::start(|_| Reply::signature(2)).await;
    let endpoints = vec![nobody().await, second.endpoint()];
    let client = HttpSigner::new(endpoints, HttpOptions::default()).unwrap();
    for _ in 0..3 {
        let signature = client.sign(&keys(1)[0], &proof_request(), soon()).await.unwrap();
        assert_eq!(signature, Signature([2; 96]));
    }
    client.up(soon()).await.unwrap();
}

#[tokio::test]
async fn a_failing_endpoint_is_left_for_the_next_one_without_a_pause() {
    let first = Fake::start(|_| Reply::new(500, "broken")).await;
    let second = Fake::start(|_| Reply::signature(2)).await;
    let options = HttpOptions { retry_pause: Duration::from_hours(1), ..HttpOptions::default() };
    let client = HttpSigner::new(vec![first.endpoint(), second.endpoint()], options).unwrap();
    client.sign(&keys(1)[0], &proof_request(), soon()).await.unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
}

#[tokio::test]
async fn blocks_and_attestations_stay_with_the_signer_that_knows_them() {
    let second = Fake::start(|_| Reply::signature(2)).await;
    let endpoints = vec![nobody().await, second.endpoint()];
    let client = HttpSigner::new(endpoints.clone(), HttpOptions::default()).unwrap();
    let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::Transport(_)));
    let results = client.sign_batch(&keys(3), &attestation(), soon()).await;
    assert!(results.iter().all(|result| matches!(result, Err(SignError::Transport(_)))));
    assert_eq!(second.asked().len(), 0);

    let client = HttpSigner::new(endpoints, shared()).unwrap();
    client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    assert_eq!(second.asked().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_hangs_leaves_time_for_another_one() {
    let first = Fake::start(|_| Reply::signature(1).after(Duration::from_mins(1))).await;
    let second = Fake::start(|_| Reply::signature(2)).await;
    let client = HttpSigner::new(vec![first.endpoint(), second.endpoint()], shared()).unwrap();
    let deadline = Deadline::within(Duration::from_secs(2));
    let signature = client.sign(&keys(1)[0], &attestation(), deadline).await.unwrap();
    assert_eq!(signature, Signature([2; 96]));
    // It rests now, so that the next request does not wait for it again.
    let deadline = Deadline::within(Duration::from_secs(2));
    client.sign(&keys(1)[0], &attestation(), deadline).await.unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (1, 2));
}

#[tokio::test]
async fn an_endpoint_that_is_back_is_preferred_again() {
    let first = Fake::start(|_| Reply::signature(1)).await;
    let second = Fake::start(|_| Reply::signature(2)).await;
    let options = HttpOptions { rest_after_failure: Duration::from_millis(50), ..shared() };
    let client = HttpSigner::new(vec![first.endpoint(), second.endpoint()], options).unwrap();
    client.connections[0].rest_for(Duration::from_millis(50));
    client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (0, 1));
    tokio::time::sleep(Duration::from_millis(60)).await;
    client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_late_answer_is_asked_for_twice_only_when_nothing_slashable_can_come_of_it() {
    let slow = Fake::start(|_| Reply::signature(1).after(Duration::from_secs(1))).await;
    let quick = Fake::start(|_| Reply::signature(2)).await;
    let endpoints = || vec![slow.endpoint(), quick.endpoint()];
    let hedged = HttpOptions { hedge_after: Some(Duration::from_millis(20)), ..shared() };

    let client = HttpSigner::new(endpoints(), hedged).unwrap();
    let signature = client.sign(&keys(1)[0], &proof_request(), soon()).await.unwrap();
    assert_eq!(signature, Signature([2; 96]));
    let signature = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    assert_eq!(signature, Signature([1; 96]));

    let client = HttpSigner::new(endpoints(), HttpOptions::default()).unwrap();
    let signature = client.sign(&keys(1)[0], &proof_request(), soon()).await.unwrap();
    assert_eq!(signature, Signature([1; 96]), "off by default");
    assert_eq!(quick.asked().len(), 1);
}

#[tokio::test]
async fn a_hedge_that_fails_leaves_the_first_request_alone() {
    let slow = Fake::start(|_| Reply::signature(1).after(Duration::from_millis(300))).await;
    let options = HttpOptions {
        hedge_after: Some(Duration::from_millis(20)),
        max_retries: 0,
        ..HttpOptions::default()
    };
    let broken = Fake::start(|_| Reply::new(400, "no")).await;
    let client = HttpSigner::new(vec![slow.endpoint(), broken.endpoint()], options).unwrap();
    let signature = client.sign(&keys(1)[0], &proof_request(), soon()).await.unwrap();
    assert_eq!(signature, Signature([1; 96]));
    assert_eq!(broken.asked().len(), 1);
}
