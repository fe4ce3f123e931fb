//! Aggregation jobs: which form they are sent in, and how their events are followed.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use http::Method;
use serde_json::json;

use super::fake::{Asked, Fake, Reply, fork_info, soon};
use crate::{
    client::{AggregationError, HttpOptions, RemoteAggregator as _, SignError},
    wire::{
        QuotedU64, Root, Signature, Slot,
        aggregation::{
            AggregationDeadline, AggregationGroup, AggregationRequest, AggregationSingle,
            AggregationSubject, JobEvent, JobStatus,
        },
    },
};

const JOB: &str = "agg_0123456789abcdef0123456789abcdef";

fn request(singles: u16) -> AggregationRequest {
    let group = AggregationGroup {
        singles: (0..singles).map(|at| AggregationSingle::new(at, Signature([5; 96]))).collect(),
        ..AggregationGroup::new(AggregationSubject::Raw {
            signing_root: Root([9; 32]),
            bits_len: QuotedU64(singles.into()),
        })
    };
    AggregationRequest::new(fork_info(), Slot(130), vec![group])
}

fn quick() -> HttpOptions {
    HttpOptions { retry_pause: Duration::from_millis(1), ..HttpOptions::default() }
}

#[tokio::test]
async fn large_jobs_are_sent_in_ssz_if_it_can_say_what_they_say() {
    let taken = json!({ "job_id": JOB, "status": "queued", "accepted_entries": 3 });
    let fake = Fake::start(move |_| Reply::new(202, taken.to_string())).await;
    let client = fake.client(HttpOptions { ssz_from_entries: 3, ..HttpOptions::default() });
    let only_json = AggregationRequest {
        deadline: Some(AggregationDeadline::AfterMs(QuotedU64(0))),
        ..request(3)
    };
    for request in [&request(2), &request(3), &only_json] {
        client.submit(request, soon()).await.unwrap();
    }
    let asked = fake.asked();
    let types: Vec<_> = asked.iter().map(|asked| &asked.headers["content-type"]).collect();
    assert_eq!(types, ["application/json", "application/octet-stream", "application/json"]);
    assert_eq!(asked[0].json(), serde_json::to_value(request(2)).unwrap());
    assert_eq!(asked[1].body, request(3).to_ssz_bytes().unwrap());
    assert_eq!(asked[2].json(), serde_json::to_value(&only_json).unwrap());
}

fn event(number: u64, status: &str) -> String {
    format!("id: {number}\nevent: status\ndata: {{\"status\":\"{status}\"}}\n\n")
}

fn done(number: u64) -> String {
    let job = json!({
        "job_id": JOB, "status": "cancelled", "reason": "cancelled", "slot": "1", "lane": "default",
        "entries": 0, "accepted_entries": 0, "groups": [],
    });
    format!("id: {number}\nevent: done\ndata: {job}\n\n")
}

fn last_event(asked: &Asked) -> Option<u64> {
    Some(asked.headers.get("last-event-id")?.to_str().unwrap().parse().unwrap())
}

/// Numbers and events, and how it ended.
async fn followed(
    fake: &Fake,
    after: Option<u64>,
) -> (Vec<(u64, JobEvent)>, Option<AggregationError>) {
    let client = fake.client(quick());
    let mut events = client.events(JOB, after, soon());
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push((event.number, event.event)),
            Err(error) => {
                assert!(events.next().await.is_none(), "an error is the end");
                return (seen, Some(error));
            }
        }
    }
    (seen, None)
}

#[tokio::test]
async fn a_connection_that_ends_early_is_resumed_behind_the_last_event() {
    // One event at a time, once a part of the next one, and once what was told before. What it does
    // not know it passes over.
    let fake = Fake::start(|asked| {
        let text = match last_event(asked) {
            None => event(0, "queued"),
            Some(0) => event(1, "running") + "id: 2\nevent: status\ndata: {\"sta",
            Some(1) => event(0, "queued") + &event(1, "running") + &event(2, "running"),
            Some(2) => "id: 3\nevent: tomorrow\ndata: ?\n\n".to_owned(),
            Some(3) => return Reply::new(503, "busy").with("retry-after", "0"),
            Some(number) => panic!("{number}"),
        };
        Reply::new(200, text)
    })
    .await;
    let (seen, error) = followed(&fake, None).await;
    let status = JobEvent::Status;
    let expected = [JobStatus::Queued, JobStatus::Running, JobStatus::Running].map(status);
    assert_eq!(seen, (0..).zip(expected).collect::<Vec<_>>());
    let error = error.unwrap();
    assert!(matches!(error, AggregationError::Signer(SignError::Overloaded { .. })), "{error}");
    let asked = fake.asked();
    assert!(asked.iter().all(|asked| asked.method == Method::GET));
    assert!(asked.iter().all(|asked| asked.path.ends_with(&format!("{JOB}/events"))));
    let last: Vec<_> = asked.iter().map(last_event).collect();
    // Two retries without an event are borne, then no more.
    assert_eq!(last, [None, Some(0), Some(1), Some(2), Some(3), Some(3)]);
}

/// Whoever follows a job applies its groups one by one: one that is passed over is lost.
#[tokio::test]
async fn an_event_that_makes_no_sense_is_not_passed_over() {
    let fake = Fake::start(|asked| {
        let senseless = "id: 1\nevent: group\ndata: {}\n\n".to_owned();
        let all = [event(0, "queued"), senseless, event(2, "running"), done(3)];
        let behind = all
            .iter()
            .enumerate()
            .filter(|(number, _)| last_event(asked).is_none_or(|last| *number as u64 > last));
        Reply::new(200, behind.map(|(_, event)| event.as_str()).collect::<String>())
    })
    .await;
    let (seen, error) = followed(&fake, None).await;
    assert_eq!(seen, [(0, JobEvent::Status(JobStatus::Queued))]);
    let error = error.unwrap();
    assert!(matches!(error, AggregationError::Signer(SignError::Malformed(_))), "{error}");
    let last: Vec<_> = fake.asked().iter().map(last_event).collect();
    assert_eq!(last, [None, Some(0), Some(0)]);
}

#[tokio::test]
async fn a_signer_that_says_at_once_is_not_asked_again_at_once() {
    const PAUSE: Duration = Duration::from_millis(100);
    let fake = Fake::start(|_| Reply::new(503, "busy").with("retry-after", "0")).await;
    let client = fake.client(HttpOptions { retry_pause: PAUSE, ..HttpOptions::default() });
    let start = Instant::now();
    let error = client.events(JOB, None, soon()).next().await.unwrap().unwrap_err();
    assert!(matches!(error, AggregationError::Signer(SignError::Overloaded { .. })), "{error}");
    assert_eq!(fake.asked().len(), 3);
    // Half of each pause is random.
    assert!(start.elapsed() >= PAUSE / 2 + PAUSE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_last_event_is_the_end() {
    let fake = Fake::start(|asked| {
        assert_eq!(last_event(asked), Some(7));
        Reply::new(200, event(8, "running") + &done(9) + &event(10, "queued"))
    })
    .await;
    let (seen, error) = followed(&fake, Some(7)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen.len(), 2);
    let (9, JobEvent::Done(job)) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!((job.job_id.as_str(), job.status), (JOB, JobStatus::Cancelled));
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn what_will_not_get_better_is_not_asked_for_again() {
    for (reply, expected) in
        [(404, "no such job"), (410, "dropped the result"), (403, "does not serve this client")]
    {
        let fake = Fake::start(move |_| Reply::new(reply, "no")).await;
        let (seen, error) = followed(&fake, None).await;
        assert!(seen.is_empty());
        let error = error.unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fake.asked().len(), 1, "{reply}");
    }
    let fake = Fake::start(|_| Reply::new(200, "")).await;
    let client = fake.client(quick());
    let error = client.events("../status", None, soon()).next().await.unwrap().unwrap_err();
    assert!(matches!(error, AggregationError::NoJob), "{error}");
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn events_that_make_no_sense_are_an_error_and_the_deadline_ends_all() {
    for text in ["data: 1\n\n", "id: 1\nevent: done\ndata: {}\n\n", "id: x\ndata: 1\n\n", ""] {
        let fake = Fake::start(move |_| Reply::new(200, text)).await;
        let (seen, error) = followed(&fake, None).await;
        assert!(seen.is_empty());
        let error = error.unwrap();
        assert!(
            matches!(error, AggregationError::Signer(SignError::Malformed(_))),
            "{text}: {error}"
        );
    }
    let fake = Fake::start(|_| Reply::new(200, "").after(Duration::from_mins(1))).await;
    let client = fake.client(quick());
    let deadline = crate::client::Deadline::within(Duration::from_millis(20));
    let error = client.events(JOB, None, deadline).next().await.unwrap().unwrap_err();
    assert!(matches!(error, AggregationError::Signer(SignError::DeadlinePassed)), "{error}");
}
