//! What clients write in different ways and the signer must read alike.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::json;

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

/// The signature of a request that must be signed.
async fn signature(signer: &Signer, body: impl Into<Bytes>) -> String {
    signer.client.sign_raw(&key_files::public_key(0), body).await.unwrap().signature()
}

#[tokio::test]
async fn identifiers_are_read_with_and_without_prefix_and_in_any_case() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let digits = key.strip_prefix("0x").unwrap();
    let body = requests::randao_reveal(requests::EPOCH);
    let expected = signer.client.sign(&key, &body).await.unwrap().signature();
    for identifier in [
        digits.to_owned(),
        digits.to_uppercase(),
        format!("0x{}", digits.to_uppercase()),
        format!("0X{digits}"),
    ] {
        let answer = signer.client.sign(&identifier, &body).await.unwrap();
        assert_eq!(answer.signature(), expected, "{identifier}");
    }
}

#[tokio::test]
async fn duplicate_slashes_collapse_and_one_at_the_end_is_allowed() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let body = requests::randao_reveal(requests::EPOCH).to_string();
    for path in [
        format!("//api/v1/eth2/sign/{key}"),
        format!("/api//v1/eth2///sign/{key}"),
        format!("/api/v1/eth2/sign/{key}/"),
    ] {
        let answer = signer.client.send(Method::POST, &path, &[], body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    assert_eq!(signer.client.get("/upcheck/").await.unwrap().text(), "OK");
}

#[tokio::test]
async fn both_spellings_of_the_signing_root_are_compared() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    for name in ["signingRoot", "signing_root"] {
        let mut request = requests::randao_reveal(requests::EPOCH);
        request[name] = requests::root(1).into();
        let answer = signer.client.sign(&key, &request).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        request[name] = serde_json::Value::Null;
        let answer = signer.client.sign(&key, &request).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{name} null counts as absent");
    }
}

#[tokio::test]
async fn the_type_is_read_in_any_case_but_a_block_version_only_in_capitals() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let mut request = requests::block(requests::SLOT, 1);
    request["type"] = "block_v2".into();
    assert_eq!(signer.client.sign(&key, &request).await.unwrap().status, StatusCode::OK);
    request["beacon_block"]["version"] = "fulu".into();
    assert_eq!(signer.client.sign(&key, &request).await.unwrap().status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn numbers_as_strings_or_integers_and_hex_with_or_without_prefix_are_the_same() {
    let signer = signer().await;
    let expected = signature(&signer, requests::aggregation_slot(77).to_string()).await;
    let gvr = requests::GENESIS_VALIDATORS_ROOT.strip_prefix("0x").unwrap().to_uppercase();
    let other = format!(
        r#"{{"aggregation_slot":{{"slot":77}},"fork_info":{{"genesis_validators_root":"{gvr}","fork":{{"epoch":411392,"current_version":"06000000","previous_version":"05000000"}}}},"type":"AGGREGATION_SLOT"}}"#
    );
    assert_eq!(signature(&signer, other).await, expected);
}

#[tokio::test]
async fn unknown_members_are_ignored_everywhere() {
    let signer = signer().await;
    let mut request = requests::block(requests::SLOT, 1);
    let expected = signature(&signer, request.to_string()).await;
    request["surprise"] = json!({ "nested": [1, 2, { "deep": null }] });
    request["fork_info"]["surprise"] = json!(true);
    request["beacon_block"]["block_header"]["surprise"] = json!("x");
    // Nimbus sends proofs of block properties.
    request["beacon_block"]["proofs"] = json!([{ "index": "12", "proof": [requests::root(9)] }]);
    assert_eq!(signature(&signer, request.to_string()).await, expected);
}

#[tokio::test]
async fn fork_info_is_ignored_where_it_does_not_matter() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    for duty_type in ["VALIDATOR_REGISTRATION", "DEPOSIT", "BUILDER_REQUEST_AUTH"] {
        let request = requests::one_of_every_type(&key)
            .into_iter()
            .find(|request| request["type"] == duty_type)
            .unwrap();
        let expected = signature(&signer, request.to_string()).await;
        let mut with_fork_info = request.clone();
        with_fork_info["fork_info"] = requests::fork_info("0x09000000", "0x09000001", 5);
        assert_eq!(signature(&signer, with_fork_info.to_string()).await, expected, "{duty_type}");
    }
}

#[tokio::test]
async fn the_fork_epoch_may_be_the_signing_epoch() {
    let signer = signer().await;
    let mut request = requests::attestation(requests::EPOCH - 1, requests::EPOCH, 1);
    let expected = signature(&signer, request.to_string()).await;
    // Lodestar writes the epoch of the signing slot there.
    request["fork_info"]["fork"]["epoch"] = requests::EPOCH.to_string().into();
    assert_eq!(signature(&signer, request.to_string()).await, expected);
}

#[tokio::test]
async fn every_answer_names_its_content_type() {
    let signer = signer().await;
    for path in ["/upcheck", "/healthcheck", "/reload", "/api/v1/eth2/publicKeys", "/nowhere"] {
        let answer = signer.client.get(path).await.unwrap();
        assert!(!answer.content_type().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn http2_in_clear_text_works_by_prior_knowledge() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};

    let signer = signer().await;
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let uri = format!("http://{}/upcheck", signer.client.address()).parse().unwrap();
    let response = client.get(uri).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "OK");
}
