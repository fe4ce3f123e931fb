//! What is too much, too long or too late is refused with its name, or costs its own entry alone.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    super::{
        snapshot::Surroundings,
        store::{Found, Job, Retention, Store},
        tables::Tables,
    },
    groups::{self, ROOT, child, public_key, signature},
    *,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_limit_is_refused_with_its_place() {
    let service = service(1, &metrics());
    let plain = job(9, &[group(1, 2)]);
    let with = |pointer: &str, value: Value| {
        let mut job = plain.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = job.pointer_mut(parent).unwrap();
        parent[name] = value;
        job
    };
    let single = json!({ "pos": 0, "signature": signature(0, &ROOT) });
    let cases = [
        (with("/groups", vec![group(1, 1); 65].into()), "groups"),
        (with("/groups", json!([])), "groups is empty"),
        (with("/groups/0/singles", vec![single; 2049].into()), "groups[0].singles"),
        (
            with("/groups/0/children", vec![child("0x05", &[0], &ROOT); 17].into()),
            "groups[0].children",
        ),
        (with("/groups/0/pubkeys", vec![public_key(0); 2049].into()), "groups[0].pubkeys"),
        (
            with("/groups/0/pubkeys", vec![public_key(0); 3].into()),
            "groups[0].pubkeys has 3 keys for 2 positions",
        ),
        (with("/groups/0/bits_len", json!(2049)), "groups[0].bits_len is 2049"),
        (with("/groups/0/bits_len", json!(0)), "groups[0].bits_len is 0"),
        (with("/lane", "x".repeat(65).into()), "lane must be"),
        (with("/lane", "a b".into()), "lane must be"),
        (with("/lane", "".into()), "lane must be"),
        (with("/deadline_ms", json!(0)), "deadline_ms is 0"),
        (with("/deadline_ms", json!(12_001)), "deadline_ms is 12001"),
        (with("/version", json!(2)), "version is 2"),
        (with("/unknown", json!(2)), "unknown"),
    ];
    for (job, expected) in cases {
        let error = submit(&service, &job).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert_eq!(service.status().jobs, 0);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_limit_in_an_entry_costs_that_entry() {
    let service = service(1, &metrics());
    let mut group = group(1, 4);
    group["singles"][0]["tag"] = "t".repeat(65).into();
    group["singles"][1]["pos"] = json!([1, 1, 1, 1, 1]);
    group["singles"][2]["pos"] = json!(70_000);
    let done = run(&service, &job(9, &[group])).await;
    let rejected = done["groups"][0]["rejected"]["entries"].as_array().unwrap();
    let reasons: Vec<_> = rejected.iter().map(|entry| entry["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["bad_encoding", "position_out_of_range", "position_out_of_range"]);
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x18", "{done}");
    service.close();
}

/// Two thousand singles that claim two thousand positions each would be four million of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_has_at_most_the_positions_of_the_largest_committee_with_duplicates() {
    let service = service(1, &metrics());
    let several = |positions: u16, attempt: u32| {
        let pos: Vec<_> = (0..positions).collect();
        let mut job = job(
            9,
            &[json!({
                "kind": "raw", "signing_root": groups::root(ROOT), "bits_len": 2048,
                "pubkeys": vec![public_key(0); 2048],
                "singles": [{ "pos": pos, "signature": signature(0, &ROOT) }],
            })],
        );
        job["attempt"] = attempt.into();
        job
    };
    let done = run(&service, &several(512, 0)).await;
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 512, "{done}");
    for (attempt, positions) in [(1, 513), (2, 2048)] {
        let done = run(&service, &several(positions, attempt)).await;
        let rejected = &done["groups"][0]["rejected"]["entries"][0];
        assert_eq!(rejected["reason"], "position_out_of_range", "{done}");
        let detail = "pos names more positions than the 512 that a single can have";
        assert_eq!(rejected["detail"], detail);
    }
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_in_the_middle_keeps_what_is_finished() {
    let service = service_after(1, &metrics(), go_on_if_odd);
    let accepted = submit(&service, &job(9, &[group(2, 2), group(1, 3), group(4, 2)])).await;
    let id = accepted.unwrap().id;
    until_event(&service, id, Event::Group(0)).await;
    assert!(!service.cancel(id).unwrap().0);
    let view = service.ended_job(id, PATIENCE).await.unwrap();
    let done = serde_json::to_value(view).unwrap();
    assert_eq!((&done["status"], &done["reason"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 2);
    for place in [1, 2] {
        let group = &done["groups"][place];
        assert_eq!(group["status"], "cancelled", "{group}");
        assert!(group.get("aggregate").is_none());
        assert_eq!(group["unprocessed"]["entries"][0]["reason"], "cancelled");
    }
    assert!(service.cancel(id).unwrap().0, "it is over");
    service.close();
}

/// A body that cannot be read until it is told so.
struct Blocked(std::sync::mpsc::Receiver<()>);

impl AsRef<[u8]> for Blocked {
    fn as_ref(&self) -> &[u8] {
        let _ = self.0.recv();
        b"{}"
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_counts_from_the_arrival_and_not_from_the_reading() {
    let service = Arc::new(service(1, &metrics()));
    let (release, blocked) = std::sync::mpsc::channel();
    let first = tokio::spawn({
        let service = service.clone();
        async move { service.submit(Blocked(blocked), Format::Json, Client::default()).await }
    });
    let mut waiting = job(9, &[group(2, 2)]);
    waiting["deadline_ms"] = 500.into();
    let second = tokio::spawn({
        let service = service.clone();
        async move { submit(&service, &waiting).await.unwrap().id }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    release.send(()).unwrap();
    assert!(first.await.unwrap().is_err(), "it is no job");
    let view = service.ended_job(second.await.unwrap(), PATIENCE).await.unwrap();
    assert_eq!((view.status, view.reason), ("expired", Some("before_start")));
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_counted_by_its_reason() {
    let metrics = metrics();
    let service = service_after(1, &metrics, go_on_if_odd);
    let refused = |reason: &str| {
        let series = "midslot_aggregation_submissions_refused_total";
        count(&metrics, &format!("{series}{{reason=\"{reason}\"}}"))
    };
    let mut unknown_table = job(9, &[group(2, 2)]);
    unknown_table["groups"][0].as_object_mut().unwrap().remove("pubkeys");
    unknown_table["groups"][0]["pubkey_table"] = groups::root([5; 32]);
    for (body, reason) in
        [(json!({}), "malformed"), (job(9, &[]), "unprocessable"), (unknown_table, "table_unknown")]
    {
        submit(&service, &body).await.unwrap_err();
        assert_eq!(refused(reason), 1, "{reason}");
    }
    let running = submit(&service, &job(9, &[group(1, 1)])).await.unwrap().id;
    until_running(&service, running).await;
    submit(&service, &job(9, &[group(3, 1)])).await.unwrap();
    let mut refusable = job(9, &[group(5, 1)]);
    refusable["on_busy"] = "reject".into();
    submit(&service, &refusable).await.unwrap_err();
    assert_eq!(refused("busy"), 1);
    service.close();
    let error = submit(&service, &job(9, &[group(2, 1)])).await.unwrap_err();
    assert!(matches!(error, SubmitError::Stopping), "{error}");
    assert_eq!(refused("shutdown"), 1);
    assert_eq!(total(&metrics, "midslot_aggregation_submissions_refused_total{"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_body_is_said_in_one_line_however_long_the_body_is() {
    let service = service(1, &metrics());
    let mut unknown = job(9, &[group(1, 2)]);
    unknown["x\n".repeat(100_000)] = json!(1);
    let mut no_slot = job(9, &[group(1, 2)]);
    no_slot["slot"] = "9".repeat(200_000).into();
    let mut no_mode = job(9, &[group(1, 2)]);
    no_mode["options"] = json!({ "verify": "z".repeat(200_000) });
    for body in [unknown, no_slot, no_mode] {
        let message = submit(&service, &body).await.unwrap_err().to_string();
        assert!(message.len() < 600, "{} bytes", message.len());
        assert!(!message.contains('\n'), "{message}");
        assert!(message.contains(" at line 1 column "), "{message}");
    }
    service.close();
}

/// Two jobs that are over, the first with so many bytes of results.
fn over(bytes: usize) -> (Store, [JobId; 2], Instant) {
    let (network, tables, now) = (network(), Tables::default(), Instant::now());
    let surroundings =
        Surroundings { network: &network, window: None, tables: &tables, can_sign: true };
    let time = Duration::from_mins(1);
    let mut store = Store::new(Retention { jobs: 10, time });
    let ids = [(1, bytes), (2, 1)].map(|(message, bytes)| {
        let body = job(9, &[group(message, 1)]).to_string();
        let read = snapshot::read(body.as_bytes(), Format::Json, &surroundings).unwrap();
        let (lane, client) = (read.delivery.lane, Client::default());
        let mut job = Job::new(read.id, Arc::new(read.snapshot), lane, client, now, now);
        job.signed = vec![(0, view::Json::of(&"x".repeat(bytes)))];
        store.insert(job);
        read.id
    });
    (store, ids, now)
}

#[test]
fn the_result_that_is_too_large_to_be_kept_beside_others_can_be_fetched() {
    let (mut store, [large, small], now) = over(65 << 20);
    store.end(large, Ending::Complete, now).unwrap();
    assert!(matches!(store.find(large, now), Found::Here(_)), "nobody could have fetched it");
    store.end(small, Ending::Complete, now).unwrap();
    assert!(matches!(store.find(large, now), Found::Evicted(Ending::Complete)));
    assert!(matches!(store.find(small, now), Found::Here(_)));
    assert!(matches!(store.find(small, now + Duration::from_mins(2)), Found::Evicted(_)));
}

/// A thread takes a while to wake up. Both come before it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_jobs_that_come_at_once_to_an_idle_worker_none_is_dropped() {
    let service = service(1, &metrics());
    let (mut one, mut other) = (job(9, &[group(2, 1)]), job(9, &[group(4, 1)]));
    for attempt in 0..100 {
        (one["attempt"], other["attempt"]) = (attempt.into(), attempt.into());
        let (one, other) = tokio::join!(submit(&service, &one), submit(&service, &other));
        for accepted in [one.unwrap(), other.unwrap()] {
            let view = service.ended_job(accepted.id, PATIENCE).await.unwrap();
            assert_eq!((view.status, view.reason), ("done", Some("complete")), "{attempt}");
        }
    }
    service.close();
}
