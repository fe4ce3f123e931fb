//! A job from its submission to its result.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

#[tokio::test]
async fn a_job_is_taken_followed_and_asked_for_again() {
    let signer = signer().await;
    for attempt in 0..ATTEMPTS {
        let mut snapshot = job(&[group(1), group(2)]);
        snapshot["attempt"] = attempt.into();
        let taken = submit(&signer, &snapshot).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
        let body = taken.json();
        let path = path(&body);
        assert_eq!(taken.headers["location"], path);
        assert_eq!((&body["position"], &body["accepted_entries"]), (&json!(0), &json!(6)));
        let done = until(&signer, &path, "done").await;
        if done.json()["reason"] == "complete" {
            return assert_is_kept(&signer, &snapshot, &path, &done).await;
        }
    }
    panic!("the machine is too busy");
}

async fn assert_is_kept(signer: &Signer, snapshot: &Value, path: &str, done: &Answer) {
    let job = done.json();
    assert!(path.ends_with(job["job_id"].as_str().unwrap()));
    assert_eq!((&job["status"], &job["complete"]), (&json!("done"), &json!(true)));
    assert_eq!(job["groups"][1]["aggregate"]["bits"], "0x17");
    let timing = done.headers["server-timing"].to_str().unwrap();
    let names: Vec<_> = timing.split(", ").map(|part| part.split(';').next().unwrap()).collect();
    let phases = ["queue", "decode", "select", "sum", "verify", "bisect", "self_check", "total"];
    assert_eq!(names, phases, "{timing}");

    // The same snapshot is the same job, however it is written.
    let spaced = serde_json::to_string_pretty(snapshot).unwrap().replace("0xa", "0xA");
    for again in [snapshot.to_string(), spaced] {
        let again = post(signer, JOBS, again).await;
        assert_eq!(again.status, StatusCode::OK, "{}", again.text());
        assert_eq!(again.json(), job);
    }
    assert_eq!(delete(signer, path).await.status, StatusCode::OK);
    assert_eq!(get(signer, path).await.json(), job, "what is over stays as it is");
}

#[tokio::test]
async fn one_request_may_wait_for_its_result() {
    let signer = signer().await;
    let mut snapshot = job(&[group(1)]);
    snapshot["groups"][0]["singles"][1]["signature"] = "0xzz".into();
    let answer = complete(&signer, &mut snapshot).await;
    assert!(answer.headers.contains_key("server-timing"));
    let done = answer.json();
    assert_eq!(done["status"], "done");
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 2);
    assert_eq!(done["groups"][0]["rejected"]["entries"][0]["index"], 1);
    let plain = post(&signer, &format!("{JOBS}?wait=false"), job(&[group(2)]).to_string()).await;
    assert_eq!(plain.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_busy_lane_replaces_refuses_and_shows_what_it_does() {
    let signer = signer().await;
    for attempt in 0..ATTEMPTS {
        let running = path_of(&signer, &endless_job(&signer, attempt).await).await;
        until(&signer, &running, "running").await;
        let numbered = |message: u8| {
            let mut job = job(&[group(message)]);
            job["attempt"] = attempt.into();
            job
        };
        let running_slot = get(&signer, &running).await.json()["slot"].take();
        let displaced = path_of(&signer, &numbered(1)).await;
        let waiting = get(&signer, &displaced).await.json();
        let mut refusable = numbered(2);
        refusable["on_busy"] = "reject".into();
        let refused = submit(&signer, &refusable).await;
        let pending = path_of(&signer, &numbered(3)).await;
        let dropped = get(&signer, &displaced).await.json();
        // Whoever waits for one lane does not wait for another.
        let mut other = numbered(4);
        other["lane"] = "other".into();
        let other = submit(&signer, &other).await.json();
        let status = get(&signer, STATUS).await.json();
        let cancelled = delete(&signer, &running).await;
        if cancelled.status == StatusCode::OK {
            // It was over before all was asked.
            continue;
        }

        assert_eq!(cancelled.status, StatusCode::ACCEPTED, "{}", cancelled.text());
        assert_eq!(waiting["status"], "queued");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
        assert_eq!(refused.headers["retry-after"], "1");
        assert!(refused.text().contains("the lane is busy"), "{}", refused.text());
        assert_eq!(dropped["reason"], "superseded", "{dropped}");
        assert!(pending.ends_with(dropped["superseded_by"].as_str().unwrap()), "{dropped}");
        assert_eq!(other["position"], 0);
        let name = |path: &str| json!(path.rsplit('/').next());
        let lane = json!({
            "lane": "default",
            "running": name(&running),
            "running_slot": running_slot,
            "pending": name(&pending),
            "pending_slot": get(&signer, &pending).await.json()["slot"],
        });
        assert!(status["lanes"].as_array().unwrap().contains(&lane), "{status}");
        assert_eq!((&status["threads"], &status["tables"]), (&json!(1), &json!(1)));
        assert!(status["jobs"].as_u64().unwrap() >= 4, "{status}");
        let tries = u64::from(attempt) + 1;
        assert!(status["accepted"].as_u64().unwrap() >= 4 * tries, "{status}");
        for reason in ["superseded", "rejected"] {
            assert!(status["dropped"][reason].as_u64().unwrap() >= 1, "{status}");
        }
        assert_eq!(status["dropped"]["shutdown"], 0, "{status}");
        assert!(status["ended"]["dropped"].as_u64().unwrap() >= 1, "{status}");
        let over = until(&signer, &running, "cancelled").await.json();
        assert_eq!(over["reason"], "cancelled", "{over}");
        let next = until(&signer, &pending, "done").await.json();
        assert!(next["status"] == "done" || next["status"] == "expired", "it got its turn: {next}");
        assert_eq!(delete(&signer, &running).await.status, StatusCode::OK);
        return;
    }
    panic!("the machine is too busy");
}

#[tokio::test]
async fn a_table_stands_for_the_keys_of_a_group() {
    let signer = signer().await;
    let mut by_keys = job(&[group(1)]);
    let keys = by_keys["groups"][0]["pubkeys"].as_array().unwrap();
    let keys: Vec<_> =
        keys.iter().flat_map(|key| const_hex::decode(key.as_str().unwrap()).unwrap()).collect();
    let name = const_hex::encode(Sha256::digest(&keys));
    let mut by_table = by_keys.clone();
    by_table["groups"][0].as_object_mut().unwrap().remove("pubkeys");
    by_table["groups"][0]["pubkey_table"] = format!("0x{name}").into();

    let unknown = submit(&signer, &by_table).await;
    assert_eq!(unknown.status, StatusCode::CONFLICT, "{}", unknown.text());
    assert!(unknown.text().contains("table_unknown: groups[0]"), "{}", unknown.text());
    assert_eq!(put_table(&signer, &name, keys.clone()).await.status, StatusCode::CREATED);
    assert_eq!(put_table(&signer, &format!("0x{name}"), keys.clone()).await.status, StatusCode::OK);
    let done = complete(&signer, &mut by_table).await.json();
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 3);
    by_keys["attempt"] = by_table["attempt"].clone();
    let same = submit(&signer, &by_keys).await;
    assert_eq!((same.status, same.json()), (StatusCode::OK, done), "the same keys, the same job");

    for (name, body) in [
        ("00".repeat(32), keys.clone()),
        (name.clone(), keys[1..].to_vec()),
        (name.clone(), Vec::new()),
        ("12".to_owned(), keys.clone()),
        ("zz".repeat(32), keys.clone()),
    ] {
        let refused = put_table(&signer, &name, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{name}: {}", refused.text());
    }
    assert_eq!(get(&signer, STATUS).await.json()["tables"], 1);
}

#[tokio::test]
async fn there_is_no_worker_unless_it_is_asked_for() {
    let signer = SignerOptions::empty().start().await.unwrap();
    let id = format!("agg_{}", "0".repeat(32));
    let table = format!("/midslot/v1/aggregation/tables/{}", "0".repeat(64));
    for (method, path) in [
        (Method::POST, JOBS.to_owned()),
        (Method::GET, format!("{JOBS}/{id}")),
        (Method::DELETE, format!("{JOBS}/{id}")),
        (Method::GET, format!("{JOBS}/{id}/events")),
        (Method::GET, STATUS.to_owned()),
        (Method::PUT, table),
        (Method::POST, "/midslot/v1/aggregation/sign".to_owned()),
    ] {
        let body = job(&[group(1)]).to_string();
        let answer = signer.client.send(method.clone(), &path, &[], body).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        assert!(!answer.text().contains("job"), "no such path: {}", answer.text());
    }
    let names: Value = json!(
        std::fs::read_dir(format!("/proc/{}/task", signer.process_id().unwrap().as_raw_nonzero()))
            .unwrap()
            .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm"))
                .unwrap_or_default())
            .collect::<Vec<_>>()
    );
    assert!(!names.to_string().contains("aggregation"), "{names}");
}
