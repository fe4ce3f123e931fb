//! Which form of answer each `Accept` header gets.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Answer, Signer, SignerOptions, key_files, requests};

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

async fn sign(signer: &Signer, accept: Option<&str>) -> Answer {
    let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
    let headers: Vec<_> = accept.map(|value| ("accept", value)).into_iter().collect();
    let body = requests::randao_reveal(requests::EPOCH).to_string();
    signer.client.send(Method::POST, &path, &headers, body).await.unwrap()
}

fn assert_bare_hex(answer: &Answer) {
    assert_eq!((answer.status, answer.content_type()), (StatusCode::OK, TEXT));
    let hex = answer.text().strip_prefix("0x").expect("a 0x prefix");
    assert_eq!(hex.len(), 192, "no newline and nothing else");
    assert!(hex.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
}

fn assert_json(answer: &Answer) {
    assert_eq!((answer.status, answer.content_type()), (StatusCode::OK, JSON));
    let object = answer.json();
    assert_eq!(object.as_object().unwrap().len(), 1);
    assert_eq!(object["signature"].as_str().unwrap().len(), 194);
}

#[tokio::test]
async fn sign_without_accept_answers_bare_hex() {
    assert_bare_hex(&sign(&signer().await, None).await);
}

#[tokio::test]
async fn sign_with_text_or_anything_else_answers_bare_hex() {
    let signer = signer().await;
    for accept in ["text/plain", "application/*", "image/png", "application/octet-stream"] {
        assert_bare_hex(&sign(&signer, Some(accept)).await);
    }
}

#[tokio::test]
async fn sign_with_json_at_any_position_answers_json() {
    let signer = signer().await;
    for accept in [
        "application/json",
        "*/*",
        "text/plain, */*",
        "text/plain, application/json;q=0.1",
        "application/json, text/plain",
    ] {
        assert_json(&sign(&signer, Some(accept)).await);
    }
}

#[tokio::test]
async fn errors_are_json_for_who_accepts_it_and_else_one_line() {
    let signer = signer().await;
    let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
    let send = async |headers: &[(&str, &str)]| {
        signer.client.send(Method::POST, &path, headers, "{\"type\":1.5").await.unwrap()
    };
    let text = send(&[]).await;
    assert_eq!((text.status, text.content_type()), (StatusCode::BAD_REQUEST, TEXT));
    assert!(!text.text().is_empty() && !text.text().contains('\n'), "{}", text.text());
    let json = send(&[("accept", "application/json")]).await;
    assert_eq!((json.status, json.content_type()), (StatusCode::BAD_REQUEST, JSON));
    assert_eq!(json.json()["code"], 400);
    assert_eq!(json.json()["message"], text.text());
}

#[tokio::test]
async fn upcheck_is_text_and_json_only_for_who_wants_nothing_else() {
    let signer = signer().await;
    for (accept, status, content_type, body) in [
        (None, StatusCode::OK, TEXT, "OK"),
        (Some("text/plain"), StatusCode::OK, TEXT, "OK"),
        (Some("*/*"), StatusCode::OK, TEXT, "OK"),
        (Some("application/json, text/plain"), StatusCode::OK, TEXT, "OK"),
        (Some("application/json"), StatusCode::OK, JSON, "{\"status\":\"OK\"}"),
        (Some("image/png"), StatusCode::NOT_ACCEPTABLE, "", ""),
    ] {
        let headers: Vec<_> = accept.map(|value| ("accept", value)).into_iter().collect();
        let answer =
            signer.client.send(Method::GET, "/upcheck", &headers, Bytes::new()).await.unwrap();
        assert_eq!(answer.status, status, "{accept:?}");
        assert_eq!(answer.content_type(), content_type, "{accept:?}");
        assert_eq!(answer.text(), body, "{accept:?}");
    }
}

#[tokio::test]
async fn public_keys_are_a_json_array_and_nothing_else() {
    let signer = signer().await;
    let path = "/api/v1/eth2/publicKeys";
    for accept in [None, Some("application/json"), Some("*/*")] {
        let headers: Vec<_> = accept.map(|value| ("accept", value)).into_iter().collect();
        let answer = signer.client.send(Method::GET, path, &headers, Bytes::new()).await.unwrap();
        assert_eq!((answer.status, answer.content_type()), (StatusCode::OK, JSON));
        assert_eq!(answer.json(), serde_json::json!([key_files::public_key(0)]));
    }
    let answer = signer
        .client
        .send(Method::GET, path, &[("accept", "text/plain")], Bytes::new())
        .await
        .unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::NOT_ACCEPTABLE, ""));
}
