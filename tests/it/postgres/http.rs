//! The real binary on PostgreSQL.

use ::http::StatusCode;
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::Value;

use super::database;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

async fn status(signer: &Signer, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(0), body).await.unwrap().status
}

#[tokio::test]
async fn two_signers_on_one_database_sign_repeat_and_refuse_together() {
    let database = database().await;
    let start = || async {
        SignerOptions::with_interop_keys(2)
            .eth2(format!("--slashing-protection-db-url={}", database.jdbc_url()))
            .eth2(format!("--slashing-protection-db-username={}", database.role()))
            .eth2(format!("--slashing-protection-db-password={}", database.password()))
            .root("--audit-api-enabled")
            .start()
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(start(), start());
    let vote = requests::attestation(20, 25, 1);
    let key = key_files::public_key(0);
    let first = one.client.sign(&key, &vote).await.unwrap().signature();
    let again = other.client.sign(&key, &vote).await.unwrap().signature();
    assert_eq!(first, again);
    assert_eq!(status(&other, &requests::attestation(20, 25, 2)).await, REFUSED);
    assert_eq!(status(&other, &requests::attestation(19, 26, 2)).await, REFUSED);
    assert_eq!(status(&other, &requests::block(500, 1)).await, OK);
    assert_eq!(status(&one, &requests::block(500, 2)).await, REFUSED);
    assert_eq!(one.client.get("/healthcheck").await.unwrap().status, OK);

    let (_, options) = one.stop().await.unwrap();
    assert!(!options.log().contains(database.password()), "{}", options.log());
    let one = options.start().await.unwrap();
    assert_eq!(status(&one, &vote).await, OK, "a repeat after a restart");
    assert_eq!(status(&one, &requests::attestation(20, 25, 3)).await, REFUSED);
    let audit = one.client.get("/midslot/v1/audit").await.unwrap();
    assert_eq!(audit.status, OK);
    let entries = audit.json()["entries"].as_array().unwrap().clone();
    assert!(entries.len() >= 6, "{}", audit.text());

    // What a client in JavaScript does: it hands back what it got.
    let mut ids = Vec::new();
    let mut path = "/midslot/v1/audit?limit=2".to_owned();
    loop {
        let page = one.client.get(&path).await.unwrap().json();
        let found = page["entries"].as_array().unwrap().clone();
        ids.extend(found.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/midslot/v1/audit?limit=2&before={next}");
    }
    for entry in &entries {
        let id = entry["id"].as_str().unwrap();
        assert!(id.parse::<i64>().unwrap() > 1 << 53, "{id} is exact as a number, too");
        assert_eq!(ids.iter().filter(|found| *found == id).count(), 1, "{id} in {ids:?}");
    }
}

#[tokio::test]
async fn start_without_a_server_ends_with_a_clear_error() {
    let options = SignerOptions::with_interop_keys(1)
        .eth2("--slashing-protection-db-url=postgres://me:hunter2@127.0.0.1:9/signer");
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("postgresql://127.0.0.1:9/signer"), "{}", ended.output);
    assert!(ended.output.contains("no connection to the database server"), "{}", ended.output);
    assert!(!ended.output.contains("hunter2"), "{}", ended.output);
}
