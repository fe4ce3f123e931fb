//! The job API of the aggregation worker over HTTP, against the real signer.

mod clock;
mod events;
mod faults;
mod jobs;
mod metrics;
mod refusals;
mod ssz;

use bytes::Bytes;
use http::Method;
use midslot_tests::{Answer, Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signer_server::{bls::SecretKey, keys::interop_secret_key};

const JOBS: &str = "/midslot/v1/aggregation/jobs";
const STATUS: &str = "/midslot/v1/aggregation/status";

/// How often a test begins anew whose job ran out of time: the worker gives way to a busy machine.
const ATTEMPTS: u32 = 20;

/// A signer with one thread that aggregates. Its jobs have as much time as there is to give.
fn options() -> SignerOptions {
    SignerOptions::empty()
        .root("--aggregation-enabled")
        .root("--aggregation-threads=1")
        .root("--aggregation-deadline-milliseconds=12000")
}

async fn signer() -> Signer {
    options().start().await.unwrap()
}

fn signature(key: u64, root: &[u8; 32]) -> String {
    SecretKey::from_bytes(&interop_secret_key(key)).unwrap().sign_bytes(root).to_string()
}

/// A raw group that the first three interop keys have signed.
fn group(message: u8) -> Value {
    let single = |key| json!({ "pos": key, "signature": signature(key, &[message; 32]) });
    json!({
        "kind": "raw",
        "signing_root": requests::root(message),
        "bits_len": 4,
        "pubkeys": (0..3).map(key_files::public_key).collect::<Vec<_>>(),
        "singles": (0..3).map(single).collect::<Vec<_>>(),
    })
}

fn job(groups: &[Value]) -> Value {
    json!({
        "fork_info": requests::fulu_fork_info(),
        "slot": requests::current_slot().to_string(),
        "groups": groups,
    })
}

/// 2048 times the key of the first interop key, as a table.
fn large_table() -> (String, Vec<u8>) {
    let key = const_hex::decode(key_files::public_key(0)).unwrap();
    let bytes = key.repeat(2048);
    (const_hex::encode(Sha256::digest(&bytes)), bytes)
}

/// A job that goes on until its deadline or until it is cancelled: of its 20,000 signatures none is
/// right, so that each has to be looked at alone. Its table has to be put first.
async fn endless_job(signer: &Signer, attempt: u32) -> Value {
    let (name, bytes) = large_table();
    put_table(signer, &name, bytes).await;
    let wrong = signature(0, &[0xee; 32]);
    let singles: Vec<_> = (0..2048).map(|pos| json!({ "pos": pos, "signature": wrong })).collect();
    let group = |message| {
        json!({
            "kind": "raw", "signing_root": requests::root(message), "bits_len": 2048,
            "pubkey_table": format!("0x{name}"), "singles": singles,
        })
    };
    let mut endless = job(&(0..10).map(group).collect::<Vec<_>>());
    endless["attempt"] = attempt.into();
    endless["options"] = json!({ "verify": "each", "report": "none" });
    endless
}

async fn put_table(signer: &Signer, name: &str, bytes: impl Into<Bytes>) -> Answer {
    let path = format!("/midslot/v1/aggregation/tables/{name}");
    let headers = [("content-type", "application/octet-stream")];
    signer.client.send(Method::PUT, &path, &headers, bytes).await.unwrap()
}

async fn post(signer: &Signer, path: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    signer.client.send(Method::POST, path, &headers, body).await.unwrap()
}

async fn submit(signer: &Signer, job: &Value) -> Answer {
    post(signer, JOBS, job.to_string()).await
}

/// Submits and gives the path of the job.
async fn path_of(signer: &Signer, job: &Value) -> String {
    let answer = submit(signer, job).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.headers["location"].to_str().unwrap().to_owned()
}

/// Submits a job, under another number where it ran out of time, until one is complete. The snapshot
/// is left as that one's.
async fn complete(signer: &Signer, snapshot: &mut Value) -> Answer {
    for attempt in 0..ATTEMPTS {
        snapshot["attempt"] = attempt.into();
        let answer = post(signer, &format!("{JOBS}?wait=true"), snapshot.to_string()).await;
        let job = answer.json();
        match job["reason"].as_str() {
            Some("complete") => {
                assert_eq!(answer.status, 200);
                return answer;
            }
            None => assert_eq!(answer.status, 202, "{job}"),
            Some(reason) => assert!(["deadline", "before_start"].contains(&reason), "{job}"),
        }
    }
    panic!("the machine is too busy");
}

fn path(job: &Value) -> String {
    format!("{JOBS}/{}", job["job_id"].as_str().expect("a name"))
}

async fn get(signer: &Signer, path: &str) -> Answer {
    signer.client.get(path).await.unwrap()
}

async fn delete(signer: &Signer, path: &str) -> Answer {
    signer.client.send(Method::DELETE, path, &[], Bytes::new()).await.unwrap()
}

/// Asks for a job, each time until it changes, until it is over or has this status.
async fn until(signer: &Signer, path: &str, status: &str) -> Answer {
    for wait_ms in std::iter::once(0).chain(std::iter::repeat_n(10_000, 10)) {
        let answer = get(signer, &format!("{path}?wait_ms={wait_ms}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let job = answer.json();
        if job["status"] == status || job.get("reason").is_some() {
            return answer;
        }
    }
    panic!("{path} is neither {status} nor over");
}
