//! The `Server-Timing` header.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use midslot_tests::{Answer, SignerOptions, key_files, requests};
use serde_json::json;

/// The parts of the header, in milliseconds.
fn parts(answer: &Answer) -> BTreeMap<String, f64> {
    let header = answer.headers.get("server-timing").expect("the header").to_str().unwrap();
    header
        .split(", ")
        .map(|part| {
            let (name, milliseconds) = part.split_once(";dur=").expect(header);
            let decimals = milliseconds.split_once('.').expect(header).1;
            assert_eq!(decimals.len(), 3, "{header}");
            (name.to_owned(), milliseconds.parse().expect(header))
        })
        .collect()
}

fn names(answer: &Answer) -> Vec<String> {
    let parts = parts(answer);
    let total = parts["total"];
    assert!(parts.values().all(|part| *part <= total), "{parts:?}");
    parts.into_keys().collect()
}

#[tokio::test]
async fn every_answer_to_a_signing_request_says_where_its_time_went() {
    let signer = SignerOptions::with_interop_keys(3)
        .root("--http-server-timing-enabled")
        .start()
        .await
        .unwrap();
    let keys: Vec<_> = (0..3).map(key_files::public_key).collect();
    let sign = async |key: &str, body| signer.client.sign(key, &body).await.unwrap();

    let vote = requests::attestation(5, 6, 1);
    let answer = sign(&keys[0], vote).await;
    assert_eq!(names(&answer), ["bls", "db", "queue", "total"]);
    let parts = parts(&answer);
    assert!(parts["bls"] > 0.0 && parts["db"] > 0.0, "{parts:?}");
    let answer = sign(&keys[0], requests::randao_reveal(7)).await;
    assert_eq!(names(&answer), ["bls", "queue", "total"], "nothing to record");

    let refused = sign(&keys[0], requests::attestation(5, 6, 2)).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(names(&refused), ["db", "total"]);
    let unknown = sign(&key_files::public_key(9), requests::randao_reveal(7)).await;
    assert_eq!(
        (unknown.status, names(&unknown)),
        (StatusCode::NOT_FOUND, vec!["total".to_owned()])
    );
    let malformed = sign(&keys[0], json!({})).await;
    assert_eq!(names(&malformed), ["total"]);

    let batch = |request| json!({ "identifiers": keys, "signing_request": request }).to_string();
    let send = async |body: String| {
        signer.client.send(Method::POST, "/api/v1/eth2/sign", &[], body).await.unwrap()
    };
    let answer = send(batch(requests::attestation(6, 7, 1))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(names(&answer), ["bls", "db", "queue", "total"]);
    assert_eq!(names(&send("{}".to_owned()).await), ["total"]);
    let other = signer.client.get("/upcheck").await.unwrap();
    assert!(!other.headers.contains_key("server-timing"));
}

#[tokio::test]
async fn nothing_is_said_unless_it_was_asked_for() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let body = requests::randao_reveal(7);
    let answer = signer.client.sign(&key_files::public_key(0), &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.headers.contains_key("server-timing"));
}
