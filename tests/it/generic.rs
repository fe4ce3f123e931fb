//! `GENERIC` requests are no way around slashing protection.

use http::{Method, StatusCode};
use midslot_tests::{Answer, Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The end of every domain of Fulu on mainnet: consensus-specs, `compute_fork_data_root`, made by
/// other software (`tests/fixtures`).
const FULU_ON_MAINNET: &str = "82fae541f8a3db43adb5e7997ac5f562cf682ce6bc41b8ec28ba1a07";

/// A hash tree root from the roots of a container's members.
fn merkle(members: &[[u8; 32]]) -> [u8; 32] {
    let mut level = members.to_vec();
    level.resize(members.len().next_power_of_two(), [0; 32]);
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| Sha256::digest(pair.concat()).into()).collect();
    }
    level[0]
}

/// The root of a member: a 32-byte root, or a 64-bit integer.
fn member(value: &Value) -> [u8; 32] {
    let text = value.as_str().unwrap();
    let mut root = [0; 32];
    match text.parse::<u64>() {
        Ok(number) => root[..8].copy_from_slice(&number.to_le_bytes()),
        Err(_) => const_hex::decode_to_slice(text, &mut root).unwrap(),
    }
    root
}

fn root_of(object: &Value) -> String {
    let root = if object.get("source").is_some() {
        let checkpoint = |value: &Value| merkle(&[member(&value["epoch"]), member(&value["root"])]);
        merkle(&[
            member(&object["slot"]),
            member(&object["index"]),
            member(&object["beacon_block_root"]),
            checkpoint(&object["source"]),
            checkpoint(&object["target"]),
        ])
    } else {
        let names = ["slot", "proposer_index", "parent_root", "state_root", "body_root"];
        merkle(&names.map(|name| member(&object[name])))
    };
    const_hex::encode_prefixed(root)
}

/// A typed request of Fulu as `GENERIC`, with its object beside the root.
fn as_generic(typed: &Value) -> Value {
    let (domain_type, key, object) = if typed["type"] == "BLOCK_V2" {
        ("0x00000000", "block_header", &typed["beacon_block"]["block_header"])
    } else {
        ("0x01000000", "attestation", &typed["attestation"])
    };
    json!({
        "type": "GENERIC",
        "signing_data": {
            "object_root": root_of(object),
            "domain": format!("{domain_type}{FULU_ON_MAINNET}"),
        },
        key: object,
    })
}

fn block(body_byte: u8) -> Value {
    requests::block(requests::SLOT, body_byte)
}

fn vote(block_byte: u8) -> Value {
    requests::attestation(requests::EPOCH - 1, requests::EPOCH, block_byte)
}

async fn permissive(keys: u64) -> Signer {
    SignerOptions::with_interop_keys(keys)
        .eth2("--allow-generic-slashable-domains=true")
        .start()
        .await
        .unwrap()
}

async fn sign(signer: &Signer, request: &Value) -> Answer {
    signer.client.sign(&key_files::public_key(0), request).await.unwrap()
}

#[tokio::test]
async fn slashable_domains_are_refused_unless_the_operator_allows_them() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    for typed in [block(1), vote(1)] {
        let answer = sign(&signer, &as_generic(&typed)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains("--allow-generic-slashable-domains"), "{}", answer.text());
    }
    assert_eq!(sign(&signer, &requests::generic(1)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_generic_block_or_vote_and_its_typed_twin_share_one_record() {
    let signer = permissive(1).await;
    for [first, conflict] in [[block(1), block(2)], [vote(1), vote(2)]] {
        let signature = sign(&signer, &as_generic(&first)).await.signature();
        assert_eq!(sign(&signer, &first).await.signature(), signature, "the same message");
        for request in [&conflict, &as_generic(&conflict)] {
            let answer = sign(&signer, request).await;
            assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_a_typed_request_signed_protects_against_a_generic_one() {
    let signer = permissive(1).await;
    for [first, conflict] in [[block(1), block(2)], [vote(1), vote(2)]] {
        sign(&signer, &first).await.signature();
        let answer = sign(&signer, &as_generic(&conflict)).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", answer.text());
    }
}

#[tokio::test]
async fn an_object_that_is_not_the_one_to_sign_is_refused_and_leaves_no_record() {
    let signer = permissive(1).await;
    for [shown, signed] in [[block(1), block(2)], [vote(1), vote(2)]] {
        let mut request = as_generic(&shown);
        request["signing_data"] = as_generic(&signed)["signing_data"].clone();
        let answer = sign(&signer, &request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        // Neither of the two was recorded.
        sign(&signer, &signed).await.signature();
    }
}

#[tokio::test]
async fn a_batch_may_share_a_generic_vote_but_no_generic_block() {
    let signer = permissive(3).await;
    let keys: Vec<_> = (0..3).map(key_files::public_key).collect();
    let batch = async |request: &Value| {
        let body = json!({ "identifiers": keys, "signing_request": request }).to_string();
        let headers = [("accept", "application/json")];
        signer.client.send(Method::POST, "/api/v1/eth2/sign", &headers, body).await.unwrap()
    };
    signer.client.sign(&keys[1], &vote(2)).await.unwrap().signature();
    let answer = batch(&as_generic(&vote(1))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let items = answer.json();
    assert!(items[0]["signature"].is_string() && items[2]["signature"].is_string(), "{items}");
    assert_eq!(items[1]["error"]["code"], 412);
    assert_eq!(batch(&as_generic(&block(1))).await.status, StatusCode::BAD_REQUEST);
    // The refused block is not recorded for anybody.
    sign(&signer, &block(2)).await.signature();
}
