//! Jobs as bytes that another program wrote (see `tests/fixtures/README.md`), in each form of groups
//! that forks have.

use http::StatusCode;
use midslot_tests::fixtures;
use serde::Deserialize;
use serde_json::json;

use super::*;

/// Where `attempt` lies in the bytes: behind `version`, `fork_info`, `fork_name` and `slot`.
const ATTEMPT: usize = 8 + (4 + 4 + 8 + 32) + 1 + 8;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    json: Value,
    ssz: String,
    outcomes: Vec<Outcome>,
}

/// What a group comes to.
#[derive(Deserialize)]
struct Outcome {
    signing_root: String,
    bits: String,
    signature: String,
    coverage: u64,
    used: u64,
}

fn cases() -> Vec<Case> {
    let files: Vec<(String, File)> = fixtures::read_all("aggregation");
    files.into_iter().flat_map(|(_, file)| file.cases).collect()
}

/// A signer of the network without a genesis, where every slot is near.
async fn signer() -> Signer {
    SignerOptions::with_interop_keys(2)
        .eth2("--network=minimal")
        .root("--aggregation-enabled")
        .root("--aggregation-threads=1")
        .start()
        .await
        .unwrap()
}

async fn post_as(signer: &Signer, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
    let headers = [("content-type", media_type), ("accept", "application/json")];
    signer.client.send(Method::POST, path, &headers, body).await.unwrap()
}

/// The job once it is complete, and the JSON that is the same job.
async fn proved(signer: &Signer, case: &Case) -> (Value, Value) {
    let (mut json, mut ssz) = (case.json.clone(), const_hex::decode(&case.ssz).unwrap());
    let first = u32::from_le_bytes(ssz[ATTEMPT..][..4].try_into().unwrap());
    assert_eq!(json["attempt"], first);
    for attempt in first..first + ATTEMPTS {
        ssz[ATTEMPT..][..4].copy_from_slice(&attempt.to_le_bytes());
        json["attempt"] = attempt.into();
        let path = format!("{JOBS}?wait=true");
        let answer = post_as(signer, &path, "application/octet-stream", ssz.clone()).await;
        let done = answer.json();
        match done["reason"].as_str() {
            Some("complete") => return (done, json),
            None => assert_eq!(answer.status, StatusCode::ACCEPTED, "{}: {done}", case.name),
            Some(reason) => assert!(["deadline", "before_start"].contains(&reason), "{done}"),
        }
    }
    panic!("the machine is too busy");
}

#[tokio::test]
async fn groups_of_every_fork_in_known_bytes_come_to_known_aggregates() {
    let signer = signer().await;
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let (done, json) = proved(&signer, case).await;
        let groups = done["groups"].as_array().unwrap();
        assert_eq!(groups.len(), case.outcomes.len(), "{}", case.name);
        for (group, expected) in groups.iter().zip(&case.outcomes) {
            let found = &group["aggregate"];
            assert_eq!(group["signing_root"], expected.signing_root, "{}: {group}", case.name);
            assert_eq!(found["bits"], expected.bits, "{}: {group}", case.name);
            assert_eq!(found["signature"], expected.signature, "{}: {group}", case.name);
            assert_eq!(
                (&found["coverage"], &found["verified"], &group["used"]["count"]),
                (&json!(expected.coverage), &json!(true), &json!(expected.used)),
                "{}: {group}",
                case.name
            );
        }
        let wishes = case.json["groups"].as_array().unwrap();
        let wishes = wishes.iter().filter(|group| group.get("sign").is_some()).count();
        let results = done["signed"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(results.len(), wishes, "{}", case.name);
        for result in results {
            assert_eq!(result["result"]["status"], "signed", "{result}");
        }
        // The same as text is the same job.
        let again = post_as(&signer, JOBS, "application/json", json.to_string().into()).await;
        assert_eq!((again.status, again.json()), (StatusCode::OK, done), "{}", case.name);
    }
}

#[tokio::test]
async fn bytes_that_are_cut_are_refused() {
    let signer = signer().await;
    let ssz = const_hex::decode(&cases()[1].ssz).unwrap();
    for cut in [0, ATTEMPT, ssz.len() / 2, ssz.len() - 1] {
        let answer = post_as(&signer, JOBS, "application/octet-stream", ssz[..cut].to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{cut}: {}", answer.text());
        assert!(answer.text().contains("no snapshot in SSZ"), "{cut}: {}", answer.text());
    }
}
