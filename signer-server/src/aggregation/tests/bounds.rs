//! What is too much, too long or too late is refused with its name, or costs its own entry alone.

use serde_json::{Value, json};

use super::{
    groups::{ROOT, child, public_key, signature},
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
