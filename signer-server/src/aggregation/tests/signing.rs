//! What a job wants to be signed gets its answer and the job its end, whatever becomes of the signer.

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use signer_client::wire::{
    Fork,
    aggregation::{SignRefusal, SigningOutcome},
};
use tokio::sync::Semaphore;

use super::{
    groups::{attestation, job_in, public_key},
    *,
};

/// Answers each wish with its aggregator's number once it is let; panics at number 13.
struct Gated(Arc<Semaphore>);

impl GroupSigner for Gated {
    fn sign<'a>(&'a self, _: &'a Client, group: &'a GroupToSign) -> BoxFuture<'a, SigningOutcome> {
        async {
            self.0.acquire().await.unwrap().forget();
            let number = group.wish.aggregator_index;
            assert_ne!(number, 13, "to order");
            let message = number.to_string();
            SigningOutcome::Refused { reason: SignRefusal::NotAggregator, message }
        }
        .boxed()
    }
}

/// A service whose signer answers as often as the gate has permits.
fn gated(
    background: &Background,
    gate: &Arc<Semaphore>,
    before: impl Before,
) -> AggregationService {
    let signer: Arc<dyn GroupSigner> = Arc::new(Gated(gate.clone()));
    signing_service_after(1, &metrics(), Some(signer), background, before)
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
}

fn closed() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// A job with a group for each number, to be signed by the aggregator of that number.
fn wishing(numbers: &[u64]) -> Value {
    let group = |(committee, number): (u64, &u64)| {
        let mut group = attestation(Fork::Electra, 9, 0, committee);
        group["sign"] = json!({
            "aggregator_pubkey": public_key(1), "aggregator_index": number.to_string(),
        });
        group
    };
    job_in(Fork::Electra, 9, &(0..).zip(numbers).map(group).collect::<Vec<_>>())
}

async fn until_signing(service: &AggregationService, id: JobId) {
    until_event(service, id, Event::State(JobState::Signing)).await;
}

async fn ended(service: &AggregationService, id: JobId) -> Value {
    serde_json::to_value(service.ended_job(id, PATIENCE).await.unwrap()).unwrap()
}

/// Place, reason and message of each answer.
fn answers(job: &Value) -> Vec<(u64, &str, &str)> {
    fn answer(answer: &Value) -> (u64, &str, &str) {
        let result = &answer["result"];
        assert_eq!(result["status"], "refused");
        let text = |name: &str| result[name].as_str().unwrap();
        (answer["group"].as_u64().unwrap(), text("reason"), text("message"))
    }
    job["signed"].as_array().unwrap().iter().map(answer).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_signer_costs_its_own_group_and_the_job_ends() {
    let service = gated(&Background::default(), &open(), |_, _| {});
    let done = run(&service, &wishing(&[7, 13, 8])).await;
    assert_eq!((&done["status"], &done["complete"]), (&json!("done"), &json!(true)));
    let expected =
        [(0, "not_aggregator", "7"), (1, "failed", "internal error"), (2, "not_aggregator", "8")];
    assert_eq!(answers(&done), expected);
    let next = run(&service, &wishing(&[13])).await;
    assert_eq!(answers(&next), [(0, "failed", "internal error")]);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_what_is_being_signed() {
    let (background, gate) = (Background::default(), closed());
    let service = gated(&background, &gate, |_, _| {});
    let id = submit(&service, &wishing(&[7, 8])).await.unwrap().id;
    until_signing(&service, id).await;
    service.begin_stop();
    background.tasks.close();
    assert!(background.tasks.wait().now_or_never().is_none(), "it is not signed yet");
    gate.add_permits(2);
    background.tasks.wait().await;
    // Without waiting: whoever stops the signer takes the rest of it away now.
    let done = serde_json::to_value(service.job(id, Duration::ZERO).await.unwrap()).unwrap();
    assert_eq!(done["reason"], "complete", "{done}");
    assert_eq!(answers(&done), [(0, "not_aggregator", "7"), (1, "not_aggregator", "8")]);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_threads_that_prove() {
    let background = Background::default();
    let (proving, told) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel();
    let wait = Arc::new(parking_lot::Mutex::new(wait));
    let service = gated(&background, &open(), move |_, _| {
        proving.send(()).unwrap();
        wait.lock().recv().unwrap();
    });
    let id = submit(&service, &wishing(&[7])).await.unwrap().id;
    tokio::task::block_in_place(|| told.recv().unwrap());
    background.tasks.close();
    service.begin_stop();
    assert!(background.tasks.wait().now_or_never().is_none(), "a group is being proved");
    go_on.send(()).unwrap();
    background.tasks.wait().await;
    let view = service.job(id, Duration::ZERO).await.unwrap();
    assert_eq!((view.status, view.reason), ("cancelled", Some("cancelled")));
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stop_cuts_off_says_so_and_what_was_signed_stands() {
    let (background, gate) = (Background::default(), Arc::new(Semaphore::new(1)));
    let service = gated(&background, &gate, |_, _| {});
    let id = submit(&service, &wishing(&[7, 8])).await.unwrap().id;
    until_signing(&service, id).await;
    service.begin_stop();
    background.tasks.close();
    while gate.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    background.cut.cancel();
    background.tasks.wait().await;
    let done = ended(&service, id).await;
    assert_eq!(done["reason"], "complete", "its groups are proved: {done}");
    let cut = "the signer was stopped before it was signed";
    assert_eq!(answers(&done), [(0, "not_aggregator", "7"), (1, "failed", cut)]);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_says_that_nothing_of_it_is_signed() {
    let service = gated(&Background::default(), &open(), |group, checkpoint| {
        // Not the one that is to be signed.
        if group.message == [1; 32] {
            go_on_if_odd(group, checkpoint);
        }
    });
    let mut job = wishing(&[7]);
    job["groups"].as_array_mut().unwrap().push(group(1, 2));
    let id = submit(&service, &job).await.unwrap().id;
    until_event(&service, id, Event::Group(0)).await;
    service.cancel(id).unwrap();
    let done = ended(&service, id).await;
    assert_eq!(
        (&done["status"], &done["groups"][0]["status"]),
        (&json!("cancelled"), &json!("complete"))
    );
    let why = "the job was cancelled before anything was signed";
    assert_eq!(answers(&done), [(0, "failed", why)]);
    service.close();
}

#[test]
fn a_job_ends_though_the_runtime_that_signs_is_gone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let gate = closed();
    let (service, id) = runtime.block_on(async {
        let service = gated(&Background::default(), &gate, |_, _| {});
        let id = submit(&service, &wishing(&[7])).await.unwrap().id;
        until_signing(&service, id).await;
        (service, id)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    other.block_on(async {
        let done = ended(&service, id).await;
        assert_eq!(answers(&done), [(0, "failed", "signing was given up")]);
        // The runtime takes nothing any more when this one comes to be signed.
        let id = submit(&service, &wishing(&[8])).await.unwrap().id;
        assert_eq!(answers(&ended(&service, id).await), [(0, "failed", "signing was given up")]);
    });
    service.close();
}
