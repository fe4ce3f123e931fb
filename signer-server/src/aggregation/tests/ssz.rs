//! The SSZ form: the same job, with the same result, as the JSON form.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signer_client::wire::{
    Fork,
    aggregation::{SignRefusal, SigningOutcome},
};

use super::{
    super::{
        snapshot::{SnapshotError, Submission, Surroundings, read},
        tables::Tables,
    },
    encode::body,
    groups::{
        ROOT, attestation, job_in, public_key, public_keys, raw, signature, singles,
        sync_contribution,
    },
    *,
};

/// Answers with the wishes as it got them.
struct Echo;

impl GroupSigner for Echo {
    fn sign<'a>(&'a self, _: &'a Client, group: &'a GroupToSign) -> BoxFuture<'a, SigningOutcome> {
        let message = format!("{:?}", group.wish);
        let outcome = SigningOutcome::Refused { reason: SignRefusal::Other, message };
        Box::pin(std::future::ready(outcome))
    }
}

fn signing_service() -> AggregationService {
    let signer = Some(Arc::new(Echo) as Arc<dyn GroupSigner>);
    AggregationService::start(network(), metrics(), options(1), signer, Background::default())
        .unwrap()
}

async fn run_as(service: &AggregationService, body: Vec<u8>, format: Format) -> (JobId, Value) {
    let id = service.submit(body, format, Client::default()).await.unwrap().id;
    let view = service.ended_job(id, PATIENCE).await.unwrap();
    (id, without_times(serde_json::to_value(view).unwrap()))
}

fn read_as(body: &[u8], format: Format) -> Result<Submission, SnapshotError> {
    let (network, tables) = (network(), Tables::default());
    let surroundings =
        Surroundings { network: &network, window: None, tables: &tables, can_sign: true };
    read(body, format, &surroundings)
}

fn wish(selection_proof: Option<String>, resign: bool) -> Value {
    let mut wish = json!({
        "aggregator_pubkey": public_key(1), "aggregator_index": "70000000000", "resign": resign,
    });
    if let Some(proof) = selection_proof {
        wish["selection_proof"] = proof.into();
    }
    wish
}

/// Jobs that between them have every member and every value of every choice.
fn jobs() -> Vec<Value> {
    let named = |name: &str, fork, groups: &[Value]| {
        let mut job = job_in(fork, 9, groups);
        job["fork_name"] = name.into();
        job
    };
    let electra = |committee| attestation(Fork::Electra, 9, 0, committee);
    let mut signed = electra(1);
    signed["sign"] = wish(Some(signature(5, &ROOT)), true);
    let by_root = json!({
        "kind": "attestation", "signing_root": groups::root(ROOT), "committee_index": "1",
        "committee_len": "4", "pubkeys": public_keys(4), "singles": singles(&[3, 1], &ROOT),
    });
    let mut contribution = sync_contribution(Fork::Heze, 9);
    contribution["sign"] = wish(None, false);
    let votes = [1, 0].map(|status| attestation(Fork::Gloas, 9, status, 1));
    let mut jobs = vec![
        named("deneb", Fork::Deneb, &[attestation(Fork::Deneb, 9, 1, 1)]),
        named("electra", Fork::Electra, &[electra(0), signed]),
        named("gloas", Fork::Gloas, &votes),
        named("heze", Fork::Heze, &[contribution, by_root]),
        job_in(Fork::Altair, 9, &[sync_contribution(Fork::Altair, 9)]),
        job(9, &[raw(), group(5, 3)]),
    ];
    let options = [
        json!({ "verify": "each", "overlap": "subtract", "min_coverage": 3, "report": "failed" }),
        json!({ "verify": "none", "overlap": "disjoint", "min_coverage": 2, "report": "none" }),
        json!({ "verify": "aggregate", "min_coverage": 100, "report": "all" }),
    ];
    for (attempt, options) in (1..).zip(options) {
        let mut job = job(u64::from(u32::MAX) + 1, &[raw()]);
        job["attempt"] = json!(u32::MAX - attempt);
        job["options"] = options;
        jobs.push(job);
    }
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_in_ssz_is_the_same_job_with_the_same_result_as_in_json() {
    for job in jobs() {
        // One service each: a second submission would only get the first one's result.
        let (json_service, ssz_service) = (signing_service(), signing_service());
        let (json_id, from_json) =
            run_as(&json_service, job.to_string().into(), Format::Json).await;
        let (ssz_id, from_ssz) = run_as(&ssz_service, body(&job), Format::Ssz).await;
        assert_eq!(json_id, ssz_id, "{job}");
        assert_eq!(from_json, from_ssz, "{job}");
        assert_eq!(from_json["status"], "done", "{from_json}");
        let again = json_service.submit(body(&job), Format::Ssz, Client::default()).await.unwrap();
        assert!(again.is_known);
        json_service.close();
        ssz_service.close();
    }
}

#[test]
fn deadline_lane_and_what_becomes_of_a_busy_lane_are_read_alike() {
    let plain = job(9, &[group(1, 2)]);
    let deliveries = [
        json!({}),
        json!({ "deadline_ms": "700", "lane": "a.b-c_9", "on_busy": "reject" }),
        json!({ "deadline_unix_ms": "1900000000000", "on_busy": "replace" }),
    ];
    let mut seen = Vec::new();
    for delivery in deliveries {
        let mut job = plain.clone();
        job.as_object_mut().unwrap().extend(delivery.as_object().unwrap().clone());
        let from_json = read_as(job.to_string().as_bytes(), Format::Json).unwrap();
        let from_ssz = read_as(&body(&job), Format::Ssz).unwrap();
        assert_eq!(from_json.delivery, from_ssz.delivery, "{delivery}");
        assert_eq!(from_json.id, from_ssz.id, "{delivery}");
        assert!(!seen.contains(&from_json.delivery), "{delivery}");
        seen.push(from_json.delivery);
    }
    assert_eq!(seen[1].lane, "a.b-c_9");
    assert_eq!(seen[1].deadline, Some(snapshot::Deadline::After(Duration::from_millis(700))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_named_in_ssz_too() {
    let service = service(1, &metrics());
    let keys = public_keys(3);
    let bytes: Vec<u8> =
        keys.iter().flat_map(|key| const_hex::decode(key.as_str().unwrap()).unwrap()).collect();
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let mut group = group(1, 3);
    let by_keys = job(9, &[group.clone()]);
    group.as_object_mut().unwrap().remove("pubkeys");
    group["pubkey_table"] = const_hex::encode_prefixed(hash).into();
    let by_table = job(9, &[group]);
    let unknown = service.submit(body(&by_table), Format::Ssz, Client::default()).await;
    let unknown = unknown.unwrap_err();
    assert!(
        matches!(unknown, SubmitError::Snapshot(SnapshotError::TableUnknown { group: 0 })),
        "{unknown}"
    );
    service.tables().put(hash, &bytes).unwrap();
    let (id, done) = run_as(&service, body(&by_table), Format::Ssz).await;
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 3, "{done}");
    assert_eq!(submit(&service, &by_keys).await.unwrap().id, id, "the keys are the same");
    service.close();
}

/// The body with the bytes of its only group put in place of the right ones.
fn with_group(job: &Value, group: Vec<u8>) -> Vec<u8> {
    let right = encode::group(&job["groups"][0]);
    let mut body = body(job);
    assert!(body.ends_with(&right));
    body.truncate(body.len() - right.len());
    body.extend(group);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_in_ssz_is_only_a_damaged_entry() {
    let service = service(1, &metrics());
    let job = job(9, &[group(1, 3)]);
    let right = encode::group(&job["groups"][0]);
    // The last single ends where the group does: its tag loses its bytes, then its offsets lie.
    let tag = right.len() - 2;
    assert_eq!(&right[tag..], b"v2");
    let mut no_text = right.clone();
    no_text[tag] = 0xff;
    let mut bad_offset = right.clone();
    let offset = tag - 2 - 4;
    bad_offset[offset] = 200;
    for (damaged, detail) in [(no_text, "UTF-8"), (bad_offset, "")] {
        let (_, done) = run_as(&service, with_group(&job, damaged), Format::Ssz).await;
        let group = &done["groups"][0];
        assert_eq!(group["aggregate"]["coverage"], 2, "{group}");
        assert_eq!(group["rejected"]["count"], 1);
        let rejected = &group["rejected"]["entries"][0];
        assert_eq!((&rejected["index"], &rejected["reason"]), (&json!(2), &json!("bad_encoding")));
        let found = rejected["detail"].as_str().unwrap();
        assert!(!found.is_empty() && found.contains(detail), "{found}");
    }
    service.close();
}

#[test]
fn what_is_no_snapshot_in_ssz_says_where() {
    let job = job(9, &[group(1, 2)]);
    let right = body(&job);
    read_as(&right, Format::Ssz).unwrap();
    let refused = |body: &[u8]| read_as(body, Format::Ssz).unwrap_err().to_string();
    // The fixed members by their offsets.
    for (offset, member) in
        [(56, "fork_name"), (85, "on_busy"), (86, "verify"), (87, "overlap"), (90, "report")]
    {
        let mut wrong = right.clone();
        wrong[offset] = 99;
        let found = if member == "fork_name" { 98 } else { 99 };
        assert!(
            refused(&wrong).ends_with(&format!(": {member} is {found}")),
            "{}",
            refused(&wrong)
        );
    }
    let mut version = right.clone();
    version[0] = 2;
    assert_eq!(refused(&version), "version is 2; only version 1 is known");
    let mut both = job.clone();
    (both["deadline_ms"], both["deadline_unix_ms"]) = (5.into(), 6.into());
    assert!(refused(&body(&both)).contains("deadline_unix_ms beside deadline_ms"));
    let mut both = job.clone();
    both["groups"][0]["pubkey_table"] = groups::root(ROOT);
    assert!(refused(&body(&both)).contains("groups[0].pubkeys beside pubkey_table"));
    let mut kind = encode::group(&job["groups"][0]);
    kind[0] = 4;
    assert!(refused(&with_group(&job, kind)).contains("groups[0].kind is 4"));
    assert!(refused(&with_group(&job, vec![3; 7])).contains("groups[0]: "));
    let mut many = job.clone();
    many["groups"] = vec![group(1, 1); 65].into();
    read_as(&body(&many), Format::Ssz).unwrap_err();
    let empty = super::job(9, &[]);
    assert_eq!(refused(&body(&empty)), "groups is empty");
    let singles = vec![json!({ "pos": 0, "signature": signature(0, &ROOT) }); 2049];
    let mut many = job.clone();
    many["groups"][0]["singles"] = singles.into();
    assert!(refused(&body(&many)).contains("groups[0]: "));
    assert!(refused(b"").contains("the body is no snapshot in SSZ"));
    assert!(refused(job.to_string().as_bytes()).contains("the body is no snapshot in SSZ"));
    let mut no_text = job.clone();
    no_text["lane"] = "x".into();
    let mut no_text = body(&no_text);
    no_text[99] = 0xff;
    assert!(refused(&no_text).starts_with("lane must be"), "{}", refused(&no_text));
}

/// Whatever is cut off or turned over: an answer, and never another job than what the bytes say.
#[test]
fn no_damage_to_ssz_makes_the_reader_panic() {
    let mut job = job_in(Fork::Electra, 9, &[sync_contribution(Fork::Electra, 9), group(1, 1)]);
    job["fork_name"] = "electra".into();
    let right = body(&job);
    let id = read_as(&right, Format::Ssz).unwrap().id;
    for length in 0..right.len() {
        if let Ok(cut) = read_as(&right[..length], Format::Ssz) {
            assert_ne!(cut.id, id, "{length}");
        }
    }
    for place in 0..right.len() {
        for turned in [0x01, 0x80, 0xff] {
            let mut damaged = right.clone();
            damaged[place] ^= turned;
            drop(read_as(&damaged, Format::Ssz));
        }
    }
}
