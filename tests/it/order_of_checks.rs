//! Which of several faults in one request decides the status. Clients single out 404 and 412, so
//! the order is part of the contract: the body first, then the key, then slashing protection.

use http::StatusCode;
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};

const UNKNOWN_KEY: &str = "0xa8d4c7c27795a725961317ef5953a7032ed6d83739db8b0e8a72353d1b8b4439427f7efa2c89caa03cc9f28f8cbab8ac";

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

async fn status(signer: &Signer, key: &str, body: &Value) -> StatusCode {
    signer.client.sign(key, body).await.unwrap().status
}

#[tokio::test]
async fn a_bad_body_beats_an_unknown_key() {
    let signer = signer().await;
    let answer = signer.client.sign_raw(UNKNOWN_KEY, "{").await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let missing_wrapper = json!({ "type": "ATTESTATION", "fork_info": requests::fulu_fork_info() });
    assert_eq!(status(&signer, UNKNOWN_KEY, &missing_wrapper).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_wrong_root_beats_an_unknown_key() {
    let signer = signer().await;
    let mut request = requests::randao_reveal(requests::EPOCH);
    request["signingRoot"] = requests::root(1).into();
    assert_eq!(status(&signer, UNKNOWN_KEY, &request).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_unknown_key_beats_slashing_protection() {
    let signer = signer().await;
    let vote = requests::attestation(10, 11, 1);
    let conflict = requests::attestation(10, 11, 2);
    assert_eq!(status(&signer, &key_files::public_key(0), &vote).await, StatusCode::OK);
    assert_eq!(status(&signer, UNKNOWN_KEY, &conflict).await, StatusCode::NOT_FOUND);
    assert_eq!(
        status(&signer, &key_files::public_key(0), &conflict).await,
        StatusCode::PRECONDITION_FAILED
    );
}

#[tokio::test]
async fn an_identifier_that_is_no_key_is_simply_unknown() {
    let signer = signer().await;
    let request = requests::randao_reveal(requests::EPOCH);
    for identifier in ["12345", "0x12", "nonsense", "%20", "0xzz"] {
        assert_eq!(
            status(&signer, identifier, &request).await,
            StatusCode::NOT_FOUND,
            "{identifier}"
        );
    }
}

#[tokio::test]
async fn a_differing_root_is_400_and_names_roots_domain_and_fork_version() {
    let signer = signer().await;
    let mut request = requests::randao_reveal(requests::EPOCH);
    request["signingRoot"] = requests::root(0xab).into();
    let answer = signer.client.sign(&key_files::public_key(0), &request).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&requests::root(0xab)), "{message}");
    assert!(message.contains("0x06000000"), "the fork version: {message}");
    assert!(message.contains("0x02000000"), "the domain: {message}");
    assert!(message.matches("0x").count() >= 4, "both roots: {message}");
}

#[tokio::test]
async fn a_missing_wrapper_or_fork_info_is_400_and_says_which() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    for request in requests::one_of_every_type(&key) {
        let duty_type = request["type"].as_str().unwrap().to_owned();
        let wrapper = request
            .as_object()
            .unwrap()
            .keys()
            .find(|member| !["type", "fork_info"].contains(&member.as_str()))
            .unwrap()
            .clone();
        let mut without = request.clone();
        without.as_object_mut().unwrap().remove(&wrapper);
        let answer = signer.client.sign(&key, &without).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{duty_type}");
        assert!(answer.text().contains(&wrapper), "{duty_type}: {}", answer.text());

        let mut null = request.clone();
        null[&wrapper] = Value::Null;
        assert_eq!(status(&signer, &key, &null).await, StatusCode::BAD_REQUEST, "{duty_type}");

        if request.get("fork_info").is_some() {
            let mut without = request.clone();
            without.as_object_mut().unwrap().remove("fork_info");
            let answer = signer.client.sign(&key, &without).await.unwrap();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{duty_type}");
            assert!(answer.text().contains("fork_info"), "{duty_type}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_html_and_wrong_methods_are_empty() {
    let signer = signer().await;
    let answer = signer.client.get("/no/such/path").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.content_type(), "text/html; charset=utf-8");
    assert_eq!(answer.text(), "<html><body><h1>Resource not found</h1></body></html>");
    let answer = signer
        .client
        .send(http::Method::DELETE, "/upcheck", &[], bytes::Bytes::new())
        .await
        .unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::METHOD_NOT_ALLOWED, ""));
    assert!(answer.headers.contains_key("allow"));
}
