//! `/reload`: keys come and go without a restart.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};

/// Posts a reload and waits until it has ended.
async fn reload(signer: &Signer) -> Value {
    let answer = signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    assert_eq!(answer.json()["status"], "accepted");
    loop {
        let status = signer.client.get("/reload").await.unwrap();
        assert_eq!(status.status, StatusCode::OK);
        if status.json()["status"] != "running" {
            return status.json();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn keys(signer: &Signer) -> Value {
    signer.client.get("/api/v1/eth2/publicKeys").await.unwrap().json()
}

#[tokio::test]
async fn reload_adds_and_removes_keys_and_new_ones_can_attest() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let status = signer.client.get("/reload").await.unwrap();
    assert_eq!(status.json(), json!({ "status": "idle" }));

    key_files::write_raw_key(&signer.options.key_folder(), 1);
    let status = reload(&signer).await;
    assert_eq!(status["status"], "completed");
    let time = status["lastOperationTime"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert!(status.get("lastError").is_none());
    assert_eq!(keys(&signer).await.as_array().unwrap().len(), 2);
    let vote = requests::attestation(5, 6, 1);
    signer.client.sign(&key_files::public_key(1), &vote).await.unwrap().signature();

    std::fs::remove_file(key_files::raw_key_path(&signer.options.key_folder(), 0)).unwrap();
    assert_eq!(reload(&signer).await["status"], "completed");
    assert_eq!(keys(&signer).await, json!([key_files::public_key(1)]));
    let answer = signer.client.sign(&key_files::public_key(0), &vote).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);

    // A key that went and came back is as protected and as usable as before.
    key_files::write_raw_key(&signer.options.key_folder(), 0);
    reload(&signer).await;
    signer.client.sign(&key_files::public_key(0), &vote).await.unwrap().signature();
}

#[tokio::test]
async fn a_file_that_went_bad_keeps_its_key_and_is_reported() {
    let signer = SignerOptions::with_interop_keys(2).start().await.unwrap();
    let path = key_files::raw_key_path(&signer.options.key_folder(), 0);
    std::fs::write(&path, "type: file-raw\nprivateKey: \"0x00\"\n").unwrap();
    let status = reload(&signer).await;
    assert_eq!(status["status"], "completed_with_errors");
    assert_eq!(status["lastError"], "Reload completed with 1 signer loading error(s)");
    assert_eq!(keys(&signer).await.as_array().unwrap().len(), 2, "an outage disables nothing");
    let health = signer.client.get("/healthcheck").await.unwrap();
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);

    key_files::write_raw_key(&signer.options.key_folder(), 0);
    let status = reload(&signer).await;
    assert_eq!(status["status"], "completed");
    assert!(status.get("lastError").is_none());
}

#[tokio::test]
async fn hangup_reloads_too() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    key_files::write_raw_key(&signer.options.key_folder(), 1);
    signer.signal(rustix::process::Signal::HUP).unwrap();
    for _ in 0..500 {
        if keys(&signer).await.as_array().unwrap().len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no reload after SIGHUP:\n{}", signer.options.log());
}

#[tokio::test]
async fn a_second_reload_meanwhile_is_409() {
    // Keystores that are slow to decrypt keep the first reload busy.
    let options = SignerOptions::empty();
    let folders = key_files::KeystoreFolders::in_folder(options.folder.path());
    for index in 0..3 {
        folders.write(index, key_files::Cost::Standard);
    }
    let signer = options.eth2(folders.keystores_option()).eth2(folders.passwords_option());
    let signer = signer.start().await.unwrap();
    for index in 3..6 {
        folders.write(index, key_files::Cost::Standard);
    }
    let send =
        async || signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    assert_eq!(send().await.status, StatusCode::ACCEPTED);
    let second = send().await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.json()["status"], "error");
    // Signing goes on meanwhile.
    let vote = requests::attestation(5, 6, 1);
    signer.client.sign(&key_files::public_key(0), &vote).await.unwrap().signature();
    assert_eq!(signer.client.get("/reload").await.unwrap().json()["status"], "running");
}
