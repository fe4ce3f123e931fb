//! `openapi/signer.yaml` against the running signer: every path exists, every example is answered
//! as documented.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::Value;

fn contract() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/signer.yaml");
    let text = std::fs::read_to_string(path).expect("the contract is there");
    serde_saphyr::from_str(&text).expect("the contract is YAML")
}

/// A signer with every optional endpoint on.
async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1)
        .root("--metrics-enabled")
        .eth2("--Xsigning-ext-enabled=true")
        .root("--audit-api-enabled=true")
        .root("--aggregation-enabled")
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn every_documented_path_and_method_exists_and_no_other_method() {
    let signer = signer().await;
    let contract = contract();
    // Without a job each of its methods would be answered as an unknown path is.
    let job = aggregation_example(&signer, &contract, 0).await;
    let job = job["job_id"].as_str().expect("a name");
    for (path, item) in contract["paths"].as_object().expect("paths") {
        if path == "/metrics" {
            continue;
        }
        let concrete = path
            .replace("{id}", job)
            .replace("{identifier}", &key_files::public_key(0))
            .replace("{sha256}", &"00".repeat(32));
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let documented = item.get(method.as_str().to_lowercase()).is_some();
            let answer =
                signer.client.send(method.clone(), &concrete, &[], Bytes::new()).await.unwrap();
            assert_ne!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
            let allowed = answer.status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(allowed, documented, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_example_of_a_signing_request_is_signed() {
    // The examples are not one validator's life.
    let signer = SignerOptions::with_interop_keys(1)
        .eth2("--slashing-protection-enabled=false")
        .start()
        .await
        .unwrap();
    let contract = contract();
    let mut types = std::collections::BTreeSet::new();
    let operation = &contract["paths"]["/api/v1/eth2/sign/{identifier}"]["post"];
    let examples = operation["requestBody"]["content"]["application/json"]["examples"]
        .as_object()
        .expect("examples");
    for (name, example) in examples {
        let pointer = example["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let target = contract.pointer(pointer.expect("a reference")).expect("its target");
        let request = &target["value"];
        let answer = signer.client.sign(&key_files::public_key(0), request).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
        types.insert(request["type"].as_str().expect("a type").to_owned());
    }
    for duty_type in signer_server::duty::DutyType::ALL {
        assert!(types.contains(duty_type.name()), "no example of {duty_type:?}");
    }
}

#[tokio::test]
async fn every_example_of_a_pre_request_is_answered_as_documented() {
    let signer = signer().await;
    let contract = contract();
    let path = "/midslot/v1/selection-proofs";
    for (name, status) in [("PreRequestWait", 200), ("PreRequestBackground", 202)] {
        let body = &contract["components"]["examples"][name]["value"];
        assert!(body.is_object(), "{name}");
        let answer = signer
            .client
            .send(Method::POST, path, &[("accept", "application/json")], body.to_string())
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
        let documented = &contract["paths"][path]["post"]["responses"][status.to_string()];
        let schema = &documented["content"]["application/json"]["schema"]["properties"];
        let found: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
        let expected: Vec<_> = schema.as_object().expect("properties").keys().cloned().collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// Posts the example of an aggregation job, with the present slot.
async fn aggregation_example(signer: &Signer, contract: &Value, attempt: u32) -> Value {
    let path = "/midslot/v1/aggregation/jobs";
    let content = &contract["paths"][path]["post"]["requestBody"]["content"];
    let mut body = content["application/json"]["example"].clone();
    assert!(body["slot"].is_string(), "{body}");
    body["slot"] = requests::current_slot().to_string().into();
    body["attempt"] = attempt.into();
    let headers = [("content-type", "application/json")];
    let answer = signer.client.send(Method::POST, path, &headers, body.to_string()).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

fn assert_documented(found: &Value, schema: &Value) {
    let documented = schema["properties"].as_object().expect("properties");
    for name in found.as_object().expect("an object").keys() {
        assert!(documented.contains_key(name), "{name} is not documented");
    }
    for name in schema["required"].as_array().expect("a list") {
        assert!(found.get(name.as_str().expect("a name")).is_some(), "no {name}");
    }
    let statuses = documented["status"]["enum"].as_array().expect("a list");
    assert!(statuses.contains(&found["status"]), "{}", found["status"]);
}

#[tokio::test]
async fn the_example_of_an_aggregation_job_is_answered_as_documented() {
    let signer = signer().await;
    let contract = contract();
    let responses = &contract["paths"]["/midslot/v1/aggregation/jobs"]["post"]["responses"];
    let mut job = Value::Null;
    // On a busy machine the worker may run out of time.
    for attempt in 0..20 {
        let taken = aggregation_example(&signer, &contract, attempt).await;
        assert_documented(&taken, &responses["202"]["content"]["application/json"]["schema"]);
        let path = format!("/midslot/v1/aggregation/jobs/{}", taken["job_id"].as_str().unwrap());
        let following = signer.client.get(&format!("{path}/events")).await.unwrap();
        assert!(following.text().contains("event: done"), "{}", following.text());
        job = signer.client.get(&path).await.unwrap().json();
        assert_documented(&job, &contract["components"]["schemas"]["AggregationJob"]);
        if job["status"] == "done" {
            break;
        }
    }
    // Without a good entry there is nothing to add up.
    let group = &job["groups"][0];
    assert_eq!(group["status"], "empty", "{job}");
    let rejected = &group["rejected"]["entries"][0];
    assert_eq!(rejected["reason"], "bad_length");
    assert_eq!(rejected["tag"], "a bad one is only a bad one");
}

#[tokio::test]
async fn audit_entries_have_exactly_the_documented_members() {
    let signer = signer().await;
    let request = requests::attestation(5, 6, 1);
    signer.client.sign(&key_files::public_key(0), &request).await.unwrap().signature();
    let answer = signer.client.get("/midslot/v1/audit").await.unwrap().json();
    let contract = contract();
    let schema = &contract["components"]["schemas"]["AuditEntry"];
    let mut documented: Vec<_> =
        schema["properties"].as_object().expect("properties").keys().cloned().collect();
    let mut found: Vec<_> =
        answer["entries"][0].as_object().expect("an entry").keys().cloned().collect();
    documented.sort();
    found.sort();
    assert_eq!(found, documented);
    assert!(answer.as_object().unwrap().contains_key("next"));
    let id = answer["entries"][0]["id"].as_str().expect("text");
    assert!(id.parse::<i64>().is_ok(), "{id}");
}
