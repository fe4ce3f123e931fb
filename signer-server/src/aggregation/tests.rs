//! The service with real groups, and with provers that misbehave to order.

mod bounds;
mod callers;
mod encode;
mod entries;
mod field_bugs;
mod groups;
mod kinds;
mod setup;
mod signing;
mod spans;
mod ssz;
mod under_shuttle;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use self::setup::*;
use super::*;
use crate::audit::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_proved_and_a_bad_entry_spoils_nothing_else() {
    let metrics = metrics();
    let service = service(1, &metrics);
    let mut spoiled = group(1, 4);
    spoiled["singles"][1]["signature"] = "0xzz".into();
    spoiled["singles"][2] = json!(5);
    let done = run(&service, &job(9, &[spoiled, group(2, 3)])).await;
    assert_eq!((&done["status"], &done["complete"]), (&json!("done"), &json!(true)), "{done}");
    assert_eq!((&done["entries"], &done["accepted_entries"]), (&json!(7), &json!(5)));
    let first = &done["groups"][0];
    assert_eq!(first["status"], "complete", "{first}");
    assert_eq!(first["aggregate"]["coverage"], 2);
    assert_eq!(first["aggregate"]["verified"], true);
    let rejected = first["rejected"]["entries"].as_array().unwrap();
    let summary: Vec<_> =
        rejected.iter().map(|entry| (&entry["index"], &entry["reason"])).collect();
    assert_eq!(summary, [(&json!(1), &json!("bad_encoding")), (&json!(2), &json!("bad_encoding"))]);
    assert_eq!(rejected[0]["tag"], "v1");
    assert_eq!(done["groups"][1]["aggregate"]["coverage"], 3);
    assert_eq!(done["groups"][1]["used"]["count"], 3);
    let skipped = "midslot_aggregation_entries_skipped_total{reason=\"bad_encoding\"}";
    assert_eq!(count(&metrics, skipped), 2);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_signature_is_named_and_the_rest_is_aggregated() {
    let metrics = metrics();
    let service = service(1, &metrics);
    let mut group = group(1, 4);
    let other = group["singles"][0]["signature"].clone();
    group["singles"][3]["signature"] = other;
    let done = run(&service, &job(9, &[group])).await;
    let rejected = &done["groups"][0]["rejected"]["entries"];
    assert_eq!(rejected[0]["index"], 3, "{done}");
    assert_eq!(rejected[0]["reason"], "invalid_signature");
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 3);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_signers_release_nothing_and_keep_every_entry() {
    let metrics = metrics();
    let service = service(1, &metrics);
    let mut job = job(9, &[group(1, 3)]);
    job["options"] = json!({ "min_coverage": 4 });
    let done = run(&service, &job).await;
    let group = &done["groups"][0];
    assert_eq!(group["status"], "too_few_signers", "{group}");
    assert!(group.get("aggregate").is_none());
    assert_eq!((&group["used"]["count"], &group["unprocessed"]["count"]), (&json!(0), &json!(3)));
    assert_eq!(group["unprocessed"]["entries"][0]["reason"], "too_few_signers");
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_snapshot_many_times_is_one_job_and_one_computation() {
    let metrics = metrics();
    let proved = Arc::new(AtomicUsize::new(0));
    let counter = proved.clone();
    let service = Arc::new(service_after(2, &metrics, move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let body = job(9, &[group(1, 3)]).to_string();
    let spaced = serde_json::to_string_pretty(&job(9, &[group(1, 3)])).unwrap();
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..100 {
        let service = service.clone();
        let body = if number % 2 == 0 { body.clone() } else { spaced.clone() };
        storm.spawn(async move {
            service.submit(body, Format::Json, Client::default()).await.unwrap().id
        });
    }
    let ids: std::collections::BTreeSet<_> = storm.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    service.ended_job(*ids.first().unwrap(), PATIENCE).await.unwrap();
    assert_eq!(proved.load(Ordering::Relaxed), 1);
    assert_eq!(count(&metrics, "midslot_aggregation_jobs_accepted_total"), 1);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_each_end_once_and_the_counters_add_up() {
    let metrics = metrics();
    let service = Arc::new(service(2, &metrics));
    let template = job(0, &[group(1, 2)]);
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..1000_u64 {
        let (service, mut job) = (service.clone(), template.clone());
        job["slot"] = (number % 7).to_string().into();
        job["attempt"] = number.into();
        storm.spawn(async move {
            // The inbox is bounded; whoever is refused there was not taken.
            submit(&service, &job).await.unwrap().id
        });
    }
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    for id in storm.join_all().await {
        let view = service.ended_job(id, PATIENCE).await.unwrap();
        assert!(view.reason.is_some(), "{view:?}");
        *endings.entry(view.status.to_owned()).or_default() += 1;
    }
    assert_eq!(endings.values().sum::<usize>(), 1000, "{endings:?}");
    assert_eq!(count(&metrics, "midslot_aggregation_jobs_accepted_total"), 1000);
    assert_eq!(total(&metrics, "midslot_aggregation_jobs_total{"), 1000);
    let dropped = total(&metrics, "midslot_aggregation_dispatch_dropped_total{");
    assert_eq!(dropped, endings.get("dropped").copied().unwrap_or(0) as u64);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_its_own_group_and_nothing_else() {
    let metrics = metrics();
    let service = service_after(1, &metrics, panic_from_13);
    let done = run(&service, &job(9, &[group(1, 2), group(13, 3), group(2, 2)])).await;
    let status: Vec<_> =
        done["groups"].as_array().unwrap().iter().map(|group| &group["status"]).collect();
    assert_eq!(status, ["complete", "internal", "complete"]);
    assert_eq!((&done["status"], &done["complete"]), (&json!("done"), &json!(false)));
    assert_eq!(done["groups"][1]["unprocessed"]["count"], 3, "the caller keeps them");
    assert_eq!(run(&service, &job(9, &[group(4, 2)])).await["status"], "done", "the thread lives");
    service.close();
}

/// As if every thread were killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_groups_all_panic_fails_and_the_threads_go_on() {
    let metrics = metrics();
    let service = service_after(2, &metrics, panic_from_13);
    for attempt in 0..3 {
        let mut job = job(9, &[group(13, 2), group(14, 3), group(15, 4), group(16, 1)]);
        job["attempt"] = attempt.into();
        let failed = run(&service, &job).await;
        assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("internal")));
        for (result, entries) in failed["groups"].as_array().unwrap().iter().zip([2, 3, 4, 1]) {
            assert_eq!(result["status"], "internal", "{result}");
            assert!(result.get("aggregate").is_none());
            let kept = &result["unprocessed"];
            assert_eq!(
                (&kept["count"], &kept["entries"][0]["reason"]),
                (&json!(entries), &json!("internal"))
            );
        }
    }
    assert_eq!(count(&metrics, "midslot_aggregation_groups_total{status=\"internal\"}"), 12);
    let skipped = "midslot_aggregation_entries_skipped_total{reason=\"internal\"}";
    assert_eq!(count(&metrics, skipped), 30);
    assert_eq!(count(&metrics, "midslot_aggregation_jobs_total{status=\"failed\"}"), 3);
    let next = run(&service, &job(9, &[group(2, 2), group(4, 2)])).await;
    assert_eq!(next["reason"], "complete", "{next}");
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_in_the_middle_keeps_what_is_finished() {
    let metrics = metrics();
    let service = service_after(1, &metrics, go_on_if_odd);
    let mut partly = job(9, &[group(2, 2), group(1, 3), group(4, 2)]);
    partly["deadline_ms"] = 1500.into();
    let done = run(&service, &partly).await;
    assert_eq!(
        (&done["status"], &done["reason"], &done["complete"]),
        (&json!("done"), &json!("deadline"), &json!(false)),
        "{done}"
    );
    assert_eq!(done["groups"][0]["status"], "complete");
    assert_eq!(done["groups"][1]["status"], "deadline");
    assert_eq!(done["groups"][1]["unprocessed"]["entries"][2]["reason"], "deadline");
    let mut nothing = job(10, &[group(1, 2)]);
    nothing["deadline_ms"] = 1.into();
    assert_eq!(run(&service, &nothing).await["status"], "expired");
    let mut late = job(11, &[group(2, 2)]);
    late["deadline_unix_ms"] = 1.into();
    let late = run(&service, &late).await;
    assert_eq!((&late["status"], &late["reason"]), (&json!("expired"), &json!("before_start")));
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_displaced_stale_refused_and_stopped_jobs_say_so() {
    let metrics = metrics();
    let service = service_after(1, &metrics, go_on_if_odd);
    let running = submit(&service, &job(5, &[group(1, 2)])).await.unwrap().id;
    until_running(&service, running).await;
    let displaced = submit(&service, &job(6, &[group(3, 2)])).await.unwrap();
    assert_eq!((displaced.view.status, displaced.position), ("queued", Some(1)));
    let pending = submit(&service, &job(8, &[group(5, 2)])).await.unwrap().id;
    let view = service.job(displaced.id, Duration::ZERO).await.unwrap();
    assert_eq!((view.status, view.reason), ("dropped", Some("superseded")));
    assert_eq!(view.superseded_by, Some(pending.to_string()));
    let stale = submit(&service, &job(7, &[group(7, 2)])).await.unwrap();
    assert_eq!((stale.view.status, stale.view.reason), ("dropped", Some("stale")));
    let mut refusable = job(9, &[group(9, 2)]);
    refusable["on_busy"] = "reject".into();
    let refused = submit(&service, &refusable).await;
    assert!(matches!(refused, Err(SubmitError::Busy)), "{refused:?}");

    let (was_over, view) = service.cancel(pending).unwrap();
    assert!(!was_over);
    assert_eq!((view.status, view.reason), ("cancelled", Some("cancelled")));
    assert!(view.groups.is_empty(), "it was not started");
    let (was_over, view) = service.cancel(displaced.id).unwrap();
    assert!(was_over, "what it ended as stands");
    assert_eq!(view.reason, Some("superseded"));
    assert!(!service.cancel(running).unwrap().0);
    let view = service.ended_job(running, PATIENCE).await.unwrap();
    assert_eq!((view.status, view.reason), ("cancelled", Some("cancelled")));

    let running = submit(&service, &job(9, &[group(11, 2)])).await.unwrap().id;
    until_running(&service, running).await;
    let pending = submit(&service, &job(9, &[group(13, 2)])).await.unwrap().id;
    service.close();
    let view = service.job(pending, Duration::ZERO).await.unwrap();
    assert_eq!((view.status, view.reason), ("dropped", Some("shutdown")));
    let view = service.job(running, Duration::ZERO).await.unwrap();
    assert_eq!((view.status, view.reason), ("cancelled", Some("cancelled")));
    let late = submit(&service, &job(20, &[group(2, 2)])).await;
    assert!(late.is_err());
    let jobs = total(&metrics, "midslot_aggregation_jobs_total{");
    assert_eq!(jobs, count(&metrics, "midslot_aggregation_jobs_accepted_total"));
}
