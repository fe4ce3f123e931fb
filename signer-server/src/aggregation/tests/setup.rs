//! Services, jobs and what is read of them.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use midslot_aggregation::{Checkpoint, Control, Group, GroupOutcome, Options};
use serde_json::{Value, json};

use super::super::{
    point_cache::Points,
    prover::{BlsProver, JobCheckpoint, Prover},
    *,
};
use crate::{
    audit::Client,
    bls::SecretKey,
    duty::Network,
    keys::interop_secret_key,
    telemetry::metrics::{Category, Metrics, MetricsOptions},
};

pub(super) const PATIENCE: Duration = Duration::from_mins(5);

pub(super) fn network() -> Network {
    // Without a genesis time, so that every slot is near.
    Network::by_name_or_file("minimal").unwrap()
}

pub(super) fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(MetricsOptions { version: "1", slashing_protection_enabled: true }))
}

pub(super) fn options(threads: usize) -> AggregationOptions {
    AggregationOptions {
        threads: NonZeroUsize::new(threads).unwrap(),
        // No test depends on how fast the machine is, unless its job says until when.
        deadline: Duration::from_hours(1),
        max_jobs: 2000,
    }
}

/// What a prover does to order before it proves a group.
pub(super) trait Before:
    Fn(&Group, &mut JobCheckpoint<'_>) + Clone + Send + 'static
{
}

impl<F: Fn(&Group, &mut JobCheckpoint<'_>) + Clone + Send + 'static> Before for F {}

/// A prover made from a closure.
impl<F> Prover for F
where
    F: FnMut(&Group, Options, &Points, &mut JobCheckpoint<'_>) -> GroupOutcome + Send,
{
    fn prove(
        &mut self,
        group: &Group,
        options: Options,
        points: &Points,
        checkpoint: &mut JobCheckpoint<'_>,
    ) -> GroupOutcome {
        self(group, options, points, checkpoint)
    }
}

/// Goes on until it is told to stop where the first byte of the message is odd.
pub(super) fn go_on_if_odd(group: &Group, checkpoint: &mut JobCheckpoint<'_>) {
    while group.message[0] % 2 == 1 && checkpoint.check() == Control::Continue {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Panics where the first byte of the message is 13 or more.
pub(super) fn panic_from_13(group: &Group, _: &mut JobCheckpoint<'_>) {
    assert!(group.message[0] < 13, "to order");
}

pub(super) fn service_after(
    threads: usize,
    metrics: &Arc<Metrics>,
    before: impl Before,
) -> AggregationService {
    signing_service_after(threads, metrics, None, &Background::default(), before)
}

pub(super) fn signing_service_after(
    threads: usize,
    metrics: &Arc<Metrics>,
    signer: Option<Arc<dyn GroupSigner>>,
    background: &Background,
    before: impl Before,
) -> AggregationService {
    let new_prover = move || {
        let (before, mut bls) = (before.clone(), BlsProver::default());
        move |group: &Group,
              options: Options,
              points: &Points,
              checkpoint: &mut JobCheckpoint<'_>| {
            before(group, checkpoint);
            bls.prove(group, options, points, checkpoint)
        }
    };
    AggregationService::start_with(
        network(),
        metrics.clone(),
        options(threads),
        signer,
        background.clone(),
        new_prover,
    )
    .unwrap()
}

pub(super) fn service(threads: usize, metrics: &Arc<Metrics>) -> AggregationService {
    service_after(threads, metrics, |_, _| {})
}

/// A raw group with valid signatures of the first interop keys.
pub(super) fn group(message: u8, signers: u64) -> Value {
    let root = [message; 32];
    let keys: Vec<_> =
        (0..signers).map(|key| SecretKey::from_bytes(&interop_secret_key(key)).unwrap()).collect();
    let single = |(pos, key): (usize, &SecretKey)| {
        let signature = key.sign_bytes(&root).to_string();
        json!({ "pos": pos, "signature": signature, "tag": format!("v{pos}") })
    };
    json!({
        "kind": "raw",
        "signing_root": const_hex::encode_prefixed(root),
        "bits_len": signers,
        "pubkeys": keys.iter().map(|key| key.public_key().to_string()).collect::<Vec<_>>(),
        "singles": keys.iter().enumerate().map(single).collect::<Vec<_>>(),
    })
}

pub(super) fn job(slot: u64, groups: &[Value]) -> Value {
    let versions =
        json!({ "previous_version": "0x05000000", "current_version": "0x06000000", "epoch": "0" });
    json!({
        "fork_info": { "fork": versions, "genesis_validators_root": const_hex::encode_prefixed([7; 32]) },
        "slot": slot.to_string(),
        "groups": groups,
    })
}

pub(super) async fn submit(
    service: &AggregationService,
    job: &Value,
) -> Result<Accepted, SubmitError> {
    service.submit(job.to_string(), Format::Json, Client::default()).await
}

/// Waits until a thread has taken it.
pub(super) async fn until_running(service: &AggregationService, id: JobId) {
    until_event(service, id, Event::State(JobState::Running)).await;
}

pub(super) async fn until_event(service: &AggregationService, id: JobId, expected: Event) {
    let mut first = 0;
    loop {
        let events = service.events(id, first).await.unwrap();
        assert!(!events.is_empty(), "it ended without {expected:?}");
        if events.iter().any(|(_, event, _)| *event == expected) {
            return;
        }
        first += events.len();
    }
}

pub(super) async fn run(service: &AggregationService, job: &Value) -> Value {
    let id = submit(service, job).await.unwrap().id;
    serde_json::to_value(service.ended_job(id, PATIENCE).await.unwrap()).unwrap()
}

/// A job or a group without what differs from run to run.
pub(super) fn without_times(mut view: Value) -> Value {
    if let Some(members) = view.as_object_mut() {
        members.remove("phases_ms");
    }
    if let Some(groups) = view.get_mut("groups").and_then(Value::as_array_mut) {
        for group in groups {
            *group = without_times(group.take());
        }
    }
    view
}

pub(super) fn count(metrics: &Metrics, series: &str) -> u64 {
    let page = metrics.render(&[Category::Signing]);
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

/// Sum over all values of a label.
pub(super) fn total(metrics: &Metrics, family: &str) -> u64 {
    let page = metrics.render(&[Category::Signing]);
    let values = page.lines().filter_map(|line| line.strip_prefix(family)?.split_once("} "));
    values.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}
