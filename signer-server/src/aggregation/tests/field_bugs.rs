//! What went wrong in aggregators elsewhere, one test for each.

use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use serde_json::{Value, json};
use signer_client::wire::Fork;

use super::{
    groups::{attestation, job_in, raw, sync_contribution},
    *,
};

/// A body that says when it is gone.
struct Body(String, Arc<AtomicBool>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// Elsewhere: the worker read signatures that somebody else freed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_owns_its_bytes() {
    const fn is_owned<T: Send + Sync + 'static>() {}
    is_owned::<snapshot::Snapshot>();
    let service = service_after(1, &metrics(), go_on_if_odd);
    let is_gone = Arc::new(AtomicBool::new(false));
    let shared = group(2, 3);
    let body = Body(job(9, &[group(1, 2), shared.clone()]).to_string(), is_gone.clone());
    let first = service.submit(body, Format::Json, Client::default()).await.unwrap().id;
    until_running(&service, first).await;
    assert!(is_gone.load(Ordering::SeqCst), "the request's memory is given back");
    // Another job has the same entries and ends first.
    let mut other = job(9, &[shared]);
    other["lane"] = "other".into();
    let second = submit(&service, &other).await.unwrap().id;
    service.cancel(second).unwrap();
    service.cancel(first).unwrap();
    let first = service.ended_job(first, PATIENCE).await.unwrap();
    assert_eq!(first.status, "cancelled");
    assert_eq!(first.groups.len(), 2, "every group has its result");
    service.close();
}

/// Elsewhere: groups and entries were left out without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_out_without_a_word() {
    let metrics = metrics();
    let service = service(2, &metrics);
    let groups = [
        raw(),
        group(6, 3),
        attestation(Fork::Electra, 9, 0, 1),
        sync_contribution(Fork::Electra, 9),
    ];
    for (attempt, options) in (0..).zip([
        json!({ "verify": "aggregate" }),
        json!({ "verify": "each", "overlap": "subtract" }),
        json!({ "verify": "none" }),
        json!({ "min_coverage": 8 }),
    ]) {
        let mut job = job_in(Fork::Electra, 9, &groups);
        (job["attempt"], job["options"]) = (json!(attempt), options);
        let done = run(&service, &job).await;
        let results = done["groups"].as_array().unwrap();
        assert_eq!(results.len(), groups.len());
        for (result, group) in results.iter().zip(&groups) {
            assert!(result["status"].is_string());
            let mut told = Vec::new();
            for verdict in ["used", "covered", "rejected", "unprocessed"] {
                for entry in result[verdict]["entries"].as_array().unwrap() {
                    let has_reason = entry["reason"].is_string();
                    assert_eq!(has_reason, ["rejected", "unprocessed"].contains(&verdict));
                    told.push((entry["kind"].to_string(), entry["index"].as_u64().unwrap()));
                }
            }
            told.sort();
            let count = |name: &str| group[name].as_array().map_or(0, Vec::len) as u64;
            let of = |kind: &str, count| {
                (0..count).map(move |place| (json!(kind).to_string(), place)).collect::<Vec<_>>()
            };
            let mut expected = of("child", count("children"));
            expected.extend(of("single", count("singles")));
            assert_eq!(told, expected, "{result}");
        }
    }
    service.close();
}

/// Elsewhere: the order of a hash map spent the time on old slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_slot_is_next_and_its_groups_come_in_the_callers_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = told.clone();
    let service = service_after(1, &metrics(), move |group, checkpoint| {
        teller.lock().push(group.message[0]);
        go_on_if_odd(group, checkpoint);
    });
    let running = submit(&service, &job(5, &[group(1, 1)])).await.unwrap().id;
    until_running(&service, running).await;
    let order = [40, 8, 200, 2, 30, 100];
    let groups = order.map(|message| group(message, 1));
    submit(&service, &job(6, &[group(60, 1)])).await.unwrap();
    let newest = submit(&service, &job(8, &groups)).await.unwrap().id;
    submit(&service, &job(7, &[group(70, 1)])).await.unwrap();
    service.cancel(running).unwrap();
    let done = service.ended_job(newest, PATIENCE).await.unwrap();
    assert_eq!(done.reason, Some("complete"));
    assert_eq!(told.lock()[1..], order);
    service.close();
}

/// Elsewhere: an estimate that had once been too high kept every later job from being started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_ran_out_of_time_keep_none_after_them_from_running() {
    let service = service_after(1, &metrics(), go_on_if_odd);
    for attempt in 0..5 {
        let mut hopeless = job(9, &[group(1, 2)]);
        (hopeless["attempt"], hopeless["deadline_ms"]) = (json!(attempt), 5.into());
        assert_eq!(run(&service, &hopeless).await["status"], "expired");
    }
    let done = run(&service, &job(9, &[group(2, 2)])).await;
    assert_eq!((&done["status"], &done["complete"]), (&json!("done"), &json!(true)));
    service.close();
}

/// A result without times, its name and what the cache had.
fn verdicts(view: Value) -> Value {
    let mut view = without_times(view);
    view.as_object_mut().unwrap().remove("job_id");
    for group in view["groups"].as_array_mut().unwrap() {
        group.as_object_mut().unwrap().remove("counts");
    }
    view
}

/// Elsewhere: the same inputs came out in another order each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_does_not_depend_on_threads_cache_or_blinding() {
    for options in
        [json!({ "verify": "aggregate" }), json!({ "verify": "each", "overlap": "subtract" })]
    {
        let groups: Vec<_> = [raw(), sync_contribution(Fork::Electra, 9)]
            .into_iter()
            .chain((0..8).map(|message| group(message, 3)))
            .collect();
        let mut job = job_in(Fork::Electra, 9, &groups);
        job["options"] = options;
        let mut results = Vec::new();
        for threads in [1, 4] {
            let service = service(threads, &metrics());
            // Cold, then warm.
            for attempt in 0..3 {
                job["attempt"] = json!(attempt);
                results.push(verdicts(run(&service, &job).await));
            }
            assert!(service.status().cached_keys > 0);
            service.close();
        }
        for result in &results {
            assert_eq!(*result, results[0]);
        }
    }
}
