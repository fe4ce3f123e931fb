//! Jobs that are to be signed, and signers that fail them.

use futures_util::future::{self, BoxFuture};
use serde_json::{Value, json};
use signer_client::wire::{Fork, aggregation::SigningOutcome};

use super::{
    groups::{attestation, job_in, public_key},
    *,
};

type Answers = BoxFuture<'static, Vec<(usize, SigningOutcome)>>;

/// Panics when it is to sign.
struct Panics;

impl GroupSigner for Panics {
    fn sign(&self, _: SigningWork) -> Answers {
        Box::pin(async { panic!("to order") })
    }
}

/// Never answers.
struct NeverSigns;

impl GroupSigner for NeverSigns {
    fn sign(&self, _: SigningWork) -> Answers {
        Box::pin(future::pending())
    }
}

/// Two groups, the second of which is to be signed.
fn job_with_wish(attempt: u32) -> Value {
    let mut signed = attestation(Fork::Electra, 9, 0, 1);
    signed["sign"] = json!({ "aggregator_pubkey": public_key(1), "aggregator_index": "7" });
    let mut job = job_in(Fork::Electra, 9, &[attestation(Fork::Electra, 9, 0, 0), signed]);
    job["attempt"] = attempt.into();
    job
}

async fn assert_ends_unsigned(service: &AggregationService, id: JobId) {
    let done = service.ended_job(id, PATIENCE).await.unwrap();
    let done = serde_json::to_value(done).unwrap();
    assert_eq!((&done["status"], &done["reason"]), (&json!("done"), &json!("complete")), "{done}");
    assert_eq!(done["groups"][1]["aggregate"]["verified"], true, "it can be signed later");
    let failed = json!({ "status": "refused", "reason": "failed", "message": "internal error" });
    assert_eq!(done["signed"], json!([{ "group": 1, "result": failed }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signer_that_panics_leaves_no_job_without_an_end() {
    let metrics = metrics();
    let signer = Some(Arc::new(Panics) as Arc<dyn GroupSigner>);
    let service =
        AggregationService::start(network(), metrics.clone(), options(1), signer).unwrap();
    let id = submit(&service, &job_with_wish(0)).await.unwrap().id;
    assert_ends_unsigned(&service, id).await;
    assert_eq!(total(&metrics, "midslot_aggregation_jobs_total{"), 1);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends_before_the_signatures_leaves_no_job_without_an_end() {
    let signing = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let service = {
        let _inside = signing.enter();
        let signer = Some(Arc::new(NeverSigns) as Arc<dyn GroupSigner>);
        AggregationService::start(network(), metrics(), options(1), signer).unwrap()
    };
    let waiting = submit(&service, &job_with_wish(0)).await.unwrap().id;
    until_event(&service, waiting, Event::State(JobState::Signing)).await;
    signing.shutdown_background();
    assert_ends_unsigned(&service, waiting).await;
    let late = submit(&service, &job_with_wish(1)).await.unwrap().id;
    assert_ends_unsigned(&service, late).await;
    service.close();
}
