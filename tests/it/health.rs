//! Health, metrics and the audit as an operator reads them.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{HttpClient, SignerOptions, key_files, requests};
use serde_json::{Value, json};

#[tokio::test]
async fn healthcheck_has_the_shape_that_vero_and_dashboards_read() {
    let signer = SignerOptions::with_interop_keys(4).start().await.unwrap();
    let answer = signer.client.get("/healthcheck").await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.content_type().starts_with("application/json"));
    assert_eq!(
        answer.json(),
        json!({
            "status": "UP",
            "checks": [
                { "id": "default-check", "status": "UP" },
                { "id": "slashing-protection-db-health-check", "status": "UP" },
                { "id": "keys-check", "status": "UP", "checks": [
                    {
                        "id": "config-files-loading",
                        "status": "UP",
                        "data": { "keys-loaded": 4, "error-count": 0 },
                    },
                ]},
            ],
            "outcome": "UP",
        })
    );
}

#[tokio::test]
async fn healthcheck_is_down_with_503_when_a_key_file_is_bad() {
    let options = SignerOptions::with_interop_keys(1);
    std::fs::write(options.key_folder().join("bad.yaml"), "type: file-raw\n").unwrap();
    let signer = options.start().await.unwrap();
    let answer = signer.client.get("/healthcheck").await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let health = answer.json();
    assert_eq!((&health["status"], &health["outcome"]), (&json!("DOWN"), &json!("DOWN")));
    let keys = &health["checks"][2];
    assert_eq!(keys["status"], "DOWN");
    assert_eq!(keys["checks"][0]["data"], json!({ "keys-loaded": 1, "error-count": 1 }));
    assert_eq!(signer.client.get("/upcheck").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_on_their_own_port_under_the_known_names() {
    let signer =
        SignerOptions::with_interop_keys(1).root("--metrics-enabled").start().await.unwrap();
    let key = key_files::public_key(0);
    signer.client.sign(&key, &requests::attestation(5, 6, 1)).await.unwrap().signature();
    let refused = signer.client.sign(&key, &requests::attestation(5, 6, 2)).await.unwrap();
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    signer.client.sign("0x12", &requests::randao_reveal(5)).await.unwrap();
    signer.client.sign_raw(&key, "{").await.unwrap();

    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    assert_eq!(page.status, StatusCode::OK);
    for line in [
        "signing_signers_loaded_count 1",
        "eth2_slashingprotection_permitted_signings_total 1",
        "eth2_slashingprotection_prevented_signings_total 1",
        "signing_bls_missing_identifier_count_total 1",
        "http_bls_malformed_request_count_total 1",
        "signing_bls_signing_duration_count 4",
    ] {
        assert!(page.text().lines().any(|have| have == line), "{line} in\n{}", page.text());
    }
    assert_eq!(metrics.get("/upcheck").await.unwrap().status, StatusCode::NOT_FOUND);
    assert_eq!(signer.client.get("/metrics").await.unwrap().status, StatusCode::NOT_FOUND);
}

/// The audit's entries, newest first.
async fn audit(client: &HttpClient, query: &str) -> Vec<Value> {
    // Rows of requests that can't be slashed are written in the background.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let answer = client.get(&format!("/midslot/v1/audit{query}")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_request_leaves_one_audit_row() {
    let signer =
        SignerOptions::with_interop_keys(1).root("--audit-api-enabled=true").start().await.unwrap();
    let key = key_files::public_key(0);
    let mut expected = Vec::new();
    for request in requests::one_of_every_type(&key) {
        signer.client.sign(&key, &request).await.unwrap().signature();
        expected.push((request["type"].as_str().unwrap().to_owned(), "signed"));
    }
    let vote = requests::attestation(requests::EPOCH - 1, requests::EPOCH, 0x53);
    signer.client.sign(&key, &vote).await.unwrap().signature();
    expected.push(("ATTESTATION".to_owned(), "repeated"));
    let conflict = requests::attestation(requests::EPOCH - 1, requests::EPOCH, 0x54);
    signer.client.sign(&key, &conflict).await.unwrap();
    expected.push(("ATTESTATION".to_owned(), "refused"));
    signer.client.sign("0x1234", &vote).await.unwrap();
    expected.push(("ATTESTATION".to_owned(), "unknown_key"));
    signer.client.sign(&key, &json!({ "type": "ATTESTATION" })).await.unwrap();
    expected.push(("ATTESTATION".to_owned(), "malformed"));

    let mut entries = audit(&signer.client, "?limit=100").await;
    entries.reverse();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry["type"].as_str().unwrap().to_owned(), entry["outcome"].as_str().unwrap())
        })
        .collect();
    let mut sorted = (found.clone(), expected.clone());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
    for entry in &entries {
        assert_eq!(entry["client"]["address"], "127.0.0.1", "{entry}");
    }
    let refused = entries.iter().find(|entry| entry["outcome"] == "refused").unwrap();
    assert!(!refused["reason"].as_str().unwrap().is_empty());

    let filtered = audit(&signer.client, "?outcome=refused&type=ATTESTATION").await;
    assert_eq!(filtered.len(), 1);
}

#[tokio::test]
async fn the_audit_of_a_slashable_signature_survives_kill_9() {
    let options = SignerOptions::with_interop_keys(1).root("--audit-api-enabled=true");
    let signer = options.start().await.unwrap();
    let key = key_files::public_key(0);
    signer.client.sign(&key, &requests::block(900, 1)).await.unwrap().signature();
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    let entries = audit(&signer.client, "").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["type"], "BLOCK_V2");
    assert_eq!(entries[0]["outcome"], "signed");
    assert_eq!(entries[0]["key"], key);
}

#[tokio::test]
async fn the_audit_is_not_served_unless_asked_for() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let answer = signer.client.get("/midslot/v1/audit").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_extension_endpoint_signs_the_text_as_it_came_and_only_behind_its_flag() {
    let body = r#"{"type":"PROOF_OF_VALIDATION", "platform":"x","timestamp":"1700000000"}"#;
    let path = format!("/api/v1/eth2/ext/sign/{}", key_files::public_key(0));
    let off = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let answer = off.client.send(Method::POST, &path, &[], body).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);

    let on = SignerOptions::with_interop_keys(1)
        .eth2("--Xsigning-ext-enabled=true")
        .start()
        .await
        .unwrap();
    let answer = on.client.send(Method::POST, &path, &[], body).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let signature = answer.json()["signature"].as_str().unwrap().to_owned();
    key_files::assert_signed(0, body.as_bytes(), &signature);
    assert_eq!(
        answer.json()["payload"],
        "eyJ0eXBlIjoiUFJPT0ZfT0ZfVkFMSURBVElPTiIsICJwbGF0Zm9ybSI6IngiLCJ0aW1lc3RhbXAiOiIxNzAwMDAwMDAwIn0="
    );
    for bad in [
        "{}",
        r#"{"type":"PROOF_OF_VALIDATION","platform":"x"}"#,
        r#"{"type":"PROOF_OF_VALIDATION","platform":"x","timestamp":"1","more":1}"#,
        r#"{"type":"OTHER","platform":"x","timestamp":"1"}"#,
        r#"{"type":"PROOF_OF_VALIDATION","platform":"x","timestamp":"-1"}"#,
    ] {
        let answer = on.client.send(Method::POST, &path, &[], bad).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.json(), json!({ "error": "Bad Request" }));
    }
    let large = body.replace("\"x\"", &format!("\"{}\"", "x".repeat(64 << 10)));
    let answer = on.client.send(Method::POST, &path, &[], large).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let unknown = "/api/v1/eth2/ext/sign/0x1234";
    let answer = on.client.send(Method::POST, unknown, &[], body).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json(), json!({ "error": "Identifier not found." }));
}

#[tokio::test]
async fn hosts_and_origins_that_are_not_on_the_list_get_403() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let send = async |headers: &[(&str, &str)]| {
        signer.client.send(Method::GET, "/upcheck", headers, Bytes::new()).await.unwrap()
    };
    let answer = send(&[("host", "attacker.example")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json(), json!({ "message": "Host not authorized." }));
    let answer = send(&[("origin", "https://attacker.example")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.text(), "CORS Rejected - Invalid origin");
    assert_eq!(send(&[("host", "LOCALHOST:1")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_access_log_has_one_line_per_request_with_status_and_size() {
    let signer = SignerOptions::with_interop_keys(1)
        .root("--access-logs-enabled=true")
        .start()
        .await
        .unwrap();
    let agent = [("user-agent", "a \"test\""), ("host", "localhost")];
    signer.client.send(Method::GET, "/no?x=1", &agent, Bytes::new()).await.unwrap();
    let log = signer.options.log();
    let line = log.lines().find(|line| line.contains("/no?x=1")).unwrap();
    assert!(line.contains("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("\"GET /no?x=1 HTTP/1.1\" 404 53 \"-\" \"a 'test'\""), "{line}");
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn the_log_says_which_key_slashing_protection_refused_and_why() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let key = key_files::public_key(0);
    signer.client.sign(&key, &requests::attestation(5, 6, 1)).await.unwrap().signature();
    signer.client.sign(&key, &requests::attestation(5, 6, 2)).await.unwrap();
    let log = signer.options.log();
    let line = log.lines().find(|line| line.contains("refused a request")).unwrap();
    assert!(line.contains(&key) && line.contains("double vote"), "{line}");
}
