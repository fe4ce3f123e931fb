//! What a caller builds on: overlaps that are repaired, points that only look like signatures, and
//! verdicts that can be applied to the caller's own pool.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    groups::{
        ROOT, child, negative, of_small_order, point, public_key, public_keys, root, signature,
        singles, sum, text,
    },
    *,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_children_share_is_taken_away_where_its_single_signature_is_known() {
    let service = service(1, &metrics());
    let overlapping = |known: &[u64]| {
        json!({
            "kind": "raw", "signing_root": root(ROOT), "bits_len": 5, "pubkeys": public_keys(5),
            "singles": singles(known, &ROOT),
            "children": [child("0x23", &[0, 1], &ROOT), child("0x3e", &[1, 2, 3, 4], &ROOT)],
        })
    };
    let of = async |overlap: &str, known: &[u64]| {
        let mut job = job(9, &[overlapping(known)]);
        job["options"] = json!({ "overlap": overlap });
        run(&service, &job).await["groups"][0].clone()
    };
    let repaired = of("subtract", &[1]).await;
    let all: Vec<_> = (0..5).map(|signer| signature(signer, &ROOT)).collect();
    assert_eq!(repaired["aggregate"]["bits"], "0x3f", "{repaired}");
    assert_eq!(repaired["aggregate"]["signature"], sum(&all));
    assert_eq!(
        (&repaired["aggregate"]["verified"], &repaired["aggregate"]["gained"]),
        (&json!(true), &json!(1))
    );
    assert_eq!((&repaired["used"]["count"], &repaired["covered"]["count"]), (&json!(2), &json!(1)));
    for (overlap, known) in [("disjoint", &[1][..]), ("subtract", &[])] {
        let apart = of(overlap, known).await;
        assert_eq!(apart["aggregate"]["bits"], "0x3e", "{apart}");
        let left = &apart["unprocessed"]["entries"][0];
        assert_eq!((&left["kind"], &left["reason"]), (&json!("child"), &json!("overlap")));
    }
    service.close();
}

/// A multiple of 13 as a blinding factor would hide such a part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_small_order_is_found_however_it_is_blinded() {
    let service = service(1, &metrics());
    for verify in ["aggregate", "each"] {
        for attempt in 0..20 {
            let mut tainted = group(1, 4);
            let good = tainted["singles"][2]["signature"].as_str().unwrap().to_owned();
            tainted["singles"][2]["signature"] = sum(&[good, text(&of_small_order())]).into();
            let mut job = job(9, &[tainted]);
            (job["attempt"], job["options"]) = (json!(attempt), json!({ "verify": verify }));
            let done = run(&service, &job).await;
            let result = &done["groups"][0];
            let rejected = &result["rejected"]["entries"][0];
            assert_eq!(
                (&rejected["index"], &rejected["reason"]),
                (&json!(2), &json!("not_in_group")),
                "{verify}: {done}"
            );
            assert_eq!(result["aggregate"]["bits"], "0x1b");
            assert_eq!(result["aggregate"]["verified"], true);
        }
    }
    service.close();
}

/// Elsewhere: an aggregator published what every other node refused. Here each signature is good and
/// their sum is not, because the keys cancel out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unverifiable_aggregate_is_never_published() {
    let metrics = metrics();
    let service = service(1, &metrics);
    let mut opposite = const_hex::decode(public_key(0)).unwrap();
    opposite[0] ^= 0x20;
    let mut cancelling = group(1, 2);
    let good = cancelling["singles"][0]["signature"].as_str().unwrap().to_owned();
    cancelling["pubkeys"][1] = const_hex::encode_prefixed(opposite).into();
    cancelling["singles"][1]["signature"] = text(&negative(&point(&good))).into();
    let done = run(&service, &job(9, &[cancelling, group(2, 2)])).await;
    let result = &done["groups"][0];
    assert_eq!(result["status"], "self_check_failed", "{done}");
    assert!(result.get("aggregate").is_none(), "{result}");
    assert_eq!(result["unprocessed"]["count"], 2, "and nothing is lost");
    assert_eq!((&done["status"], &done["reason"]), (&json!("done"), &json!("internal")));
    assert_eq!(done["groups"][1]["aggregate"]["verified"], true);
    let failed = "midslot_aggregation_groups_total{status=\"self_check_failed\"}";
    assert_eq!(count(&metrics, failed), 1);
    service.close();
}

/// What a caller still has of one message: its singles by position, and its aggregates by bits.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pool {
    singles: BTreeMap<u64, Value>,
    children: BTreeMap<String, Value>,
}

impl Pool {
    fn group(&self) -> Value {
        json!({
            "kind": "raw", "signing_root": root(ROOT), "bits_len": 8, "pubkeys": public_keys(8),
            "singles": self.singles.values().collect::<Vec<_>>(),
            "children": self.children.values().collect::<Vec<_>>(),
        })
    }

    /// Deletes what the result of `asked` says may be deleted, and keeps the aggregate.
    fn apply(&mut self, asked: &Value, result: &Value) {
        for verdict in ["used", "covered", "rejected"] {
            for entry in result[verdict]["entries"].as_array().unwrap() {
                let place = usize::try_from(entry["index"].as_u64().unwrap()).unwrap();
                if entry["kind"] == "single" {
                    self.singles.remove(&asked["singles"][place]["pos"].as_u64().unwrap());
                } else {
                    let bits = asked["children"][place]["bits"].as_str().unwrap();
                    self.children.remove(bits);
                }
            }
        }
        if let Some(aggregate) = result.get("aggregate") {
            let bits = aggregate["bits"].as_str().unwrap().to_owned();
            let child = json!({ "bits": bits, "signature": aggregate["signature"] });
            self.children.insert(bits, child);
        }
    }
}

/// Elsewhere: results went to the wrong pool, or entries were deleted that no aggregate had. Here the
/// caller applies; what it is told to delete is in the aggregate or no good, and twice is as once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_applied_to_the_callers_pool_loses_nothing_and_may_be_applied_twice() {
    let service = service(1, &metrics());
    let mut pool = Pool::default();
    for single in singles(&[0, 1, 5], &ROOT) {
        pool.singles.insert(single["pos"].as_u64().unwrap(), single);
    }
    let bad = json!({ "pos": 6, "signature": signature(7, &ROOT) });
    pool.singles.insert(6, bad);
    for (bits, signers) in [("0x0e01", &[1, 2, 3][..]), ("0x1801", &[3, 4]), ("0x2001", &[5])] {
        pool.children.insert(bits.to_owned(), child(bits, signers, &ROOT));
    }

    let asked = pool.group();
    let first = run(&service, &job(9, std::slice::from_ref(&asked))).await["groups"][0].clone();
    pool.apply(&asked, &first);
    let once = pool.clone();
    pool.apply(&asked, &first);
    assert_eq!(pool, once);
    // The overlapping child has position 4, which nothing else has: it is kept.
    assert_eq!(first["aggregate"]["bits"], "0x2f01", "{first}");
    assert_eq!(pool.children.keys().collect::<Vec<_>>(), ["0x1801", "0x2f01"]);
    assert!(pool.singles.is_empty(), "used, covered or no signature: {pool:?}");

    // With the shared single the two can be added up after all.
    pool.singles.insert(3, singles(&[3], &ROOT).remove(0));
    let asked = pool.group();
    let mut repairing = job(9, std::slice::from_ref(&asked));
    repairing["options"] = json!({ "overlap": "subtract" });
    let second = run(&service, &repairing).await["groups"][0].clone();
    pool.apply(&asked, &second);
    let all: Vec<_> = (0..6).map(|signer| signature(signer, &ROOT)).collect();
    assert_eq!(pool.children.keys().collect::<Vec<_>>(), ["0x3f01"], "{second}");
    assert_eq!(pool.children["0x3f01"]["signature"], sum(&all));
    assert!(pool.singles.is_empty());
    service.close();
}

/// Elsewhere: the job that ran deleted what the waiting one was about to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_jobs_that_share_entries_do_not_disturb_each_other() {
    let service = service_with(1, &metrics(), || Endless(BlsProver::default()));
    let running = submit(&service, &job(9, &[group(1, 2)])).await.unwrap().id;
    until_running(&service, running).await;
    let shared = group(2, 4);
    let in_lane = |lane: &str, group: Value| {
        let mut job = job(9, &[group]);
        job["lane"] = lane.into();
        job
    };
    let mut spoiled = shared.clone();
    spoiled["singles"][3]["signature"] = signature(0, &ROOT).into();
    let whole = in_lane("whole", shared);
    let partly = in_lane("partly", spoiled);
    let mut ids = Vec::new();
    for job in [&whole, &partly] {
        ids.push(submit(&service, job).await.unwrap().id);
    }
    service.cancel(running).unwrap();
    let mut coverage = Vec::new();
    for id in ids {
        let done = serde_json::to_value(service.ended_job(id, PATIENCE).await.unwrap()).unwrap();
        coverage.push(done["groups"][0]["aggregate"]["coverage"].clone());
        // Nor does the end of one change the other's result.
        assert_eq!(done["reason"], "complete", "{done}");
    }
    assert_eq!(coverage, [4, 3]);
    service.close();
}
