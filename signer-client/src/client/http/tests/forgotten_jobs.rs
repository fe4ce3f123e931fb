//! Jobs of a signer that does not stay the same.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::json;

use super::fake::{Asked, Fake, Reply, fork_info, soon};
use crate::{
    client::{AggregationError, HttpOptions, RemoteAggregator as _},
    wire::{
        Slot,
        aggregation::{AggregationRequest, JobStatus},
    },
};

fn job(status: &str) -> Reply {
    let job = json!({
        "job_id": "agg_1", "status": status, "slot": "9", "lane": "default", "entries": 0,
        "accepted_entries": 0, "groups": [],
    });
    Reply::new(200, job.to_string())
}

fn request() -> AggregationRequest {
    AggregationRequest::new(fork_info(), Slot(9), Vec::new())
}

#[tokio::test]
async fn a_job_that_the_signer_forgot_when_it_started_anew_is_submitted_again() {
    let submitted = AtomicUsize::new(0);
    let fake = Fake::start(move |asked: &Asked| match asked.method {
        Method::POST => match submitted.fetch_add(1, Ordering::Relaxed) {
            0 => job("running"),
            _ => job("done"),
        },
        _ => Reply::new(404, "job_unknown: no such job"),
    })
    .await;
    let client = fake.client(HttpOptions::default());
    let done = client.aggregate(&request(), soon()).await.unwrap();
    assert_eq!(done.status, JobStatus::Done);
    let asked = fake.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!((&asked[0].path, &asked[0].body), (&asked[2].path, &asked[2].body));
}

#[tokio::test]
async fn a_signer_that_forgets_every_job_or_has_no_worker_is_not_asked_for_ever() {
    let fake = Fake::start(|asked: &Asked| match asked.method {
        Method::POST => job("running"),
        _ => Reply::new(404, ""),
    })
    .await;
    let client = fake.client(HttpOptions::default());
    let error = client.aggregate(&request(), soon()).await.unwrap_err();
    assert!(matches!(error, AggregationError::NoJob), "{error}");
    assert_eq!(fake.asked().len(), 6, "three times submitted and looked at");

    let fake = Fake::start(|_| Reply::new(404, "")).await;
    let error = fake.client(HttpOptions::default()).aggregate(&request(), soon()).await;
    assert!(matches!(error, Err(AggregationError::NoJob)));
    assert_eq!(fake.asked().len(), 1);
}
