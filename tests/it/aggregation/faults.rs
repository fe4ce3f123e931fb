//! What a caller can do wrong without a wrong word: bodies as large as they may be, the same job many
//! times at once, deadlines of another clock.

use http::StatusCode;
use midslot_tests::{HttpClient, RawConnection, process::peak_memory_bytes};
use serde_json::json;
use tokio::task::JoinSet;

use super::*;

const LARGEST_BODY: usize = 16 << 20;

async fn metric(signer: &Signer, series: &str) -> f64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let value = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

/// 25 groups of 2048 signatures, one of which has a digit that is none. The messages differ from
/// attempt to attempt only in the number of the attempt.
fn large_job(attempt: u32) -> String {
    let key = key_files::public_key(0);
    let group = |message: u8| {
        let signature = signature(0, &[message; 32]);
        let single = |pos| json!({ "pos": pos, "signature": signature });
        json!({
            "kind": "raw", "signing_root": requests::root(message), "bits_len": 2048,
            "pubkeys": vec![&key; 2048], "singles": (0..2048).map(single).collect::<Vec<_>>(),
        })
    };
    let mut job = job(&(0..25).map(group).collect::<Vec<_>>());
    let spoiled = &mut job["groups"][17]["singles"][1000]["signature"];
    let mut digits = spoiled.as_str().unwrap().to_owned();
    digits.replace_range(100..101, "g");
    *spoiled = digits.into();
    job["attempt"] = attempt.into();
    // Nobody needs to know whether they are right: it is about their number.
    job["options"] = json!({ "verify": "none", "report": "failed" });
    job.to_string()
}

#[tokio::test]
async fn one_bad_digit_in_the_largest_body_costs_one_entry() {
    let signer = signer().await;
    for attempt in 0..ATTEMPTS {
        let mut body = large_job(attempt);
        assert!(body.len() > 10 << 20, "most of it is no padding");
        body.push_str(&" ".repeat(LARGEST_BODY - body.len()));
        let answer = post(&signer, JOBS, body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        let taken = answer.json();
        assert_eq!(taken["accepted_entries"], 25 * 2048 - 1);
        let mut done = get(&signer, &path(&taken)).await.json();
        // Each of its groups is a change.
        while done.get("reason").is_none() {
            done = get(&signer, &format!("{}?wait_ms=10000", path(&taken))).await.json();
        }
        if done["reason"] != "complete" {
            continue;
        }
        for (place, group) in done["groups"].as_array().unwrap().iter().enumerate() {
            let bad = usize::from(place == 17);
            assert_eq!(group["aggregate"]["coverage"], 2048 - bad, "{place}");
            assert_eq!(group["rejected"]["count"], bad, "{place}");
        }
        let rejected = &done["groups"][17]["rejected"]["entries"][0];
        assert_eq!(rejected["index"], 1000);
        assert_eq!(rejected["reason"], "bad_encoding");

        return;
    }
    panic!("the machine is too busy");
}

/// It is refused by what it says of itself, before any of it is read.
#[tokio::test]
async fn a_body_of_one_byte_more_is_refused() {
    let signer = signer().await;
    let mut connection = RawConnection::open(signer.client.address()).await.unwrap();
    let length = LARGEST_BODY + 1;
    let head =
        format!("POST {JOBS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    connection.send(head).await.unwrap();
    let (head, body) = connection.answer().await.unwrap();
    assert!(head.starts_with("http/1.1 413"), "{head}{body}");
    assert!(body.contains(&LARGEST_BODY.to_string()), "{body}");
}

/// Small bodies with many entries, each of which has a verdict that nobody asks for.
#[tokio::test]
async fn what_is_kept_of_a_job_is_no_more_than_what_it_answers() {
    const JOBS_KEPT: u32 = 20;
    let signer = signer().await;
    let group = |message: u8| {
        json!({
            "kind": "raw", "signing_root": requests::root(message), "bits_len": 1,
            "singles": vec![5; 2048],
        })
    };
    let mut large = job(&(0..64).map(group).collect::<Vec<_>>());
    large["options"] = json!({ "report": "none" });
    let mut before = 0;
    for attempt in 0..JOBS_KEPT {
        large["attempt"] = attempt.into();
        let answer = post(&signer, &format!("{JOBS}?wait=true"), large.to_string()).await;
        let job = answer.json();
        assert_eq!((answer.status.as_u16(), &job["entries"]), (200, &json!(64 * 2048)), "{job}");
        if attempt == 4 {
            before = peak_memory_bytes(signer.process_id().unwrap()).unwrap();
        }
    }
    let kept = get(&signer, STATUS).await.json()["jobs"].as_u64().unwrap();
    let grown = peak_memory_bytes(signer.process_id().unwrap()).unwrap() - before;
    assert!(grown < kept << 20, "{grown} bytes for {kept} jobs");
}

#[tokio::test]
async fn many_who_submit_the_same_at_once_share_one_computation() {
    let signer = options().root("--metrics-enabled").start().await.unwrap();
    let body = job(&[group(1), group(2)]).to_string();
    let mut storm = JoinSet::new();
    for _ in 0..50 {
        let (client, body) = (signer.client.clone(), body.clone());
        storm.spawn(async move {
            let headers = [("content-type", "application/json")];
            client.send(Method::POST, &format!("{JOBS}?wait=true"), &headers, body).await.unwrap()
        });
    }
    let answers = storm.join_all().await;
    let first = answers[0].json();
    for answer in &answers {
        assert_eq!(answer.json()["job_id"], first["job_id"]);
    }
    let over = until(&signer, &path(&first), "done").await.json();
    assert!(over["reason"].is_string(), "{over}");
    let accepted = metric(&signer, "midslot_aggregation_jobs_accepted_total").await;
    assert!((0.5..1.5).contains(&accepted), "{accepted} were taken");
    let ended = metric(&signer, "midslot_aggregation_worker_total_time_seconds_count").await;
    assert!(ended <= 1.0, "it was worked on {ended} times");
}

/// The caller's clock may have jumped by years. The signer reads its own once, when the job comes; no
/// job runs longer than the longest deadline.
#[tokio::test]
async fn a_deadline_of_a_clock_that_is_wrong_is_the_past_or_the_longest_there_is() {
    let signer = options().root("--metrics-enabled").start().await.unwrap();
    let mut late = job(&[group(1)]);
    late["deadline_unix_ms"] = 1.into();
    let answer = post(&signer, &format!("{JOBS}?wait=true"), late.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let over = answer.json();
    assert_eq!((&over["status"], &over["reason"]), (&json!("expired"), &json!("before_start")));
    assert_eq!(over["groups"], json!([]), "nothing was proved");

    let mut endless = job(&[group(1)]);
    endless["deadline_unix_ms"] = u64::MAX.to_string().into();
    complete(&signer, &mut endless).await;
    let left = "midslot_aggregation_time_to_deadline_seconds";
    let jobs = metric(&signer, &format!("{left}_count")).await;
    let sum = metric(&signer, &format!("{left}_sum")).await;
    assert!(jobs >= 1.0);
    assert!(sum / jobs <= 12.0, "{sum} s left of {jobs} jobs");
}
