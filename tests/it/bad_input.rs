//! Hostile and broken requests: each a clear answer, no panic, and the next request is served.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

/// Sends bodies that must be 400 with a message that contains the word given beside each.
async fn refused(bodies: &[(&str, String, &str)]) {
    let signer = signer().await;
    let key = key_files::public_key(0);
    for (what, body, word) in bodies {
        let answer = signer.client.sign_raw(&key, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.text());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{what}: {word:?} in {message:?}");
        assert!(message.len() < 1000, "{what}: a message is short");
    }
    still_serves(&signer).await;
}

async fn still_serves(signer: &Signer) {
    let request = requests::randao_reveal(requests::EPOCH);
    signer.client.sign(&key_files::public_key(0), &request).await.unwrap().signature();
    assert!(!signer.options.log().contains("panicked"), "{}", signer.options.log());
}

fn attestation_with(find: &str, replace: &str) -> String {
    let text = requests::attestation(5, 6, 1).to_string();
    let changed = text.replacen(find, replace, 1);
    assert_ne!(text, changed, "{find} is in {text}");
    changed
}

#[tokio::test]
async fn truncated_json_at_every_length() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let whole = requests::attestation(5, 6, 1).to_string();
    for length in (0..whole.len()).step_by(7) {
        let answer = signer.client.sign_raw(&key, whole[..length].to_owned()).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{length} bytes");
    }
    still_serves(&signer).await;
}

#[tokio::test]
async fn wrong_hex_numbers_types_and_forks() {
    let block_root = requests::root(1);
    refused(&[
        ("short version", attestation_with("0x06000000", "0x060000"), "4 bytes"),
        ("long root", attestation_with(&block_root, &format!("{block_root}00")), "32 bytes"),
        ("no hex", attestation_with(&block_root, &block_root.replace("01", "zz")), "hexadecimal"),
        ("odd digits", attestation_with(&block_root, "0x123"), "32 bytes"),
        ("u64 overflow", attestation_with("\"6\"", "\"18446744073709551616\""), "64 bits"),
        ("negative", attestation_with("\"6\"", "-6"), "integer"),
        ("fraction", attestation_with("\"6\"", "6.5"), "integer"),
        ("unknown type", attestation_with("ATTESTATION", "BLS_TO_EXECUTION_CHANGE"), "type"),
        ("type is a number", attestation_with("\"ATTESTATION\"", "7"), "type"),
        ("unknown fork", requests::block(7, 1).to_string().replace("FULU", "OSAKA"), "version"),
        ("not an object", "[1,2,3]".to_owned(), "object"),
        ("empty", String::new(), "no body"),
        ("null", "null".to_owned(), "object"),
        ("only a type", "{\"type\":\"ATTESTATION\"}".to_owned(), "attestation"),
    ])
    .await;
}

#[tokio::test]
async fn contradictions_say_so() {
    let mut wrong_shape = requests::one_of_every_type("0x00")[5].clone();
    assert_eq!(wrong_shape["type"], "AGGREGATE_AND_PROOF_V2");
    wrong_shape["aggregate_and_proof"]["version"] = "DENEB".into();
    let mut wrong_block = requests::phase0_block(requests::SLOT);
    wrong_block["fork_info"] = requests::fulu_fork_info();
    refused(&[
        ("an Electra aggregate called DENEB", wrong_shape.to_string(), "DENEB"),
        ("a phase 0 block in Fulu", wrong_block.to_string(), "FULU"),
    ])
    .await;
}

#[tokio::test]
async fn a_mebibyte_of_nested_arrays() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    for body in [
        "[".repeat(1 << 20),
        format!("{{\"type\":\"ATTESTATION\",\"attestation\":{}", "[".repeat(1 << 20)),
        format!("{{\"x\":{}{}}}", "[".repeat(1 << 19), "]".repeat(1 << 19)),
        "{\"a\":".repeat(1 << 18),
    ] {
        let answer = signer.client.sign_raw(&key, body).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    still_serves(&signer).await;
}

#[tokio::test]
async fn a_twenty_mebibyte_body_is_413_but_a_big_envelope_is_read() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let answer = signer.client.sign_raw(&key, vec![b' '; 20 << 20]).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut attestation = requests::attestation(5, 6, 1);
    attestation["padding"] = "x".repeat(20 << 20).into();
    let answer = signer.client.sign(&key, &attestation).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    // Above the hard limit nothing is read to its end.
    let answer = signer.client.sign_raw(&key, vec![b' '; 40 << 20]).await;
    assert!(answer.is_err() || answer.unwrap().status == StatusCode::PAYLOAD_TOO_LARGE);

    let mut envelope = requests::one_of_every_type(&key)
        .into_iter()
        .find(|request| request["type"] == "EXECUTION_PAYLOAD_ENVELOPE")
        .unwrap();
    let transaction = format!("0x{}", "ab".repeat(128 << 10));
    envelope["execution_payload_envelope"]["data"]["payload"]["transactions"] =
        vec![transaction; 60].into();
    assert!(envelope.to_string().len() > 15 << 20);
    signer.client.sign(&key, &envelope).await.unwrap().signature();
    still_serves(&signer).await;
}

#[tokio::test]
async fn far_future_epochs_are_refused_by_protection_and_lose_nothing() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let mut vote = requests::attestation(5, 6, 1);
    vote["attestation"]["target"]["epoch"] = u64::MAX.to_string().into();
    let answer = signer.client.sign(&key, &vote).await.unwrap();
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.text());
    let mut block = requests::block(7, 1);
    block["beacon_block"]["block_header"]["slot"] = u64::MAX.to_string().into();
    let answer = signer.client.sign(&key, &block).await.unwrap();
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.text());
    signer.client.sign(&key, &requests::attestation(5, 6, 1)).await.unwrap().signature();
}

#[tokio::test]
async fn an_unknown_key_is_404_with_a_reason() {
    let signer = signer().await;
    let request = requests::randao_reveal(requests::EPOCH);
    let answer = signer.client.sign(&key_files::public_key(99), &request).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["code"], 404);
}

#[tokio::test]
async fn raw_nonsense_and_cut_connections_disturb_nobody() {
    let signer = signer().await;
    let address = signer.client.address();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"POST /api/v1/eth2/sign/0x12 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999\r\n\r\n{",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        drop(stream);
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"NONSENSE\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    still_serves(&signer).await;
}

#[tokio::test]
async fn bodies_with_a_wrong_or_no_content_type_are_read_all_the_same() {
    let signer = signer().await;
    let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
    let body = Bytes::from(requests::randao_reveal(requests::EPOCH).to_string());
    for headers in [&[][..], &[("content-type", "text/xml")], &[("content-type", "nonsense")]] {
        let answer = signer.client.send(Method::POST, &path, headers, body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{headers:?}");
    }
}
