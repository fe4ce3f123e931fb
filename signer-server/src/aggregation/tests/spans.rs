//! The spans of a job, as a subscriber sees them that listens on the thread that proves.

use std::time::Instant;

use midslot_aggregation::{Group, Options};
use midslot_tests::spans::Seen;
use parking_lot::Mutex;
use signer_client::wire::{Fork, aggregation::SigningOutcome};
use tokio_util::sync::CancellationToken;
use tracing::{
    Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, filter::Targets, layer::Context, layer::SubscriberExt, registry::LookupSpan,
};

use super::{
    super::{
        jobs::{Jobs, NewJob},
        point_cache::Points,
        prover::{BlsProver, JobCheckpoint, Prover},
        signing::sign,
        snapshot::{Surroundings, read},
        store::Retention,
        tables::Tables,
        worker,
    },
    groups::{attestation, job_in, public_key},
    *,
};

/// Name, parent and fields of each span, in the order in which they began.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.lock().push(Seen::new(attributes, id, &context));
    }
}

struct Refusing;

impl GroupSigner for Refusing {
    fn sign<'a>(
        &'a self,
        _: &'a Client,
        _: &'a GroupToSign,
    ) -> futures_util::future::BoxFuture<'a, SigningOutcome> {
        let reason = signer_client::wire::aggregation::SignRefusal::NotAggregator;
        Box::pin(std::future::ready(SigningOutcome::Refused { reason, message: String::new() }))
    }
}

/// Proves and signs a job on this thread. Gives back its name.
fn prove_here(snapshot: &Value) -> JobId {
    let (network, tables, metrics) = (network(), Tables::default(), metrics());
    let surroundings =
        Surroundings { network: &network, window: None, tables: &tables, can_sign: true };
    let submission = read(snapshot.to_string().as_bytes(), Format::Json, &surroundings).unwrap();
    let retention = Retention { jobs: 1, time: PATIENCE };
    let jobs = Arc::new(Jobs::new(1, retention, metrics.clone(), Box::new(Instant::now)));
    let groups = submission.snapshot.groups.len();
    let submitted = jobs.submit(NewJob {
        id: submission.id,
        snapshot: Arc::new(submission.snapshot),
        lane: submission.delivery.lane,
        client: Client::default(),
        arrived: Instant::now(),
        deadline: Instant::now() + PATIENCE,
        on_busy: submission.delivery.on_busy,
    });
    let proved = AtomicUsize::new(0);
    let new_prover = || {
        let (mut bls, jobs, proved) = (BlsProver::default(), &jobs, &proved);
        move |group: &Group,
              options: Options,
              points: &Points,
              checkpoint: &mut JobCheckpoint<'_>| {
            let outcome = bls.prove(group, options, points, checkpoint);
            if proved.fetch_add(1, Ordering::Relaxed) + 1 == groups {
                // So that this thread goes on when it is done.
                jobs.begin_stop();
            }
            outcome
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    worker::run(&jobs, &Points::new(), &metrics, new_prover, |signing| {
        runtime.block_on(sign(&Refusing, signing, &CancellationToken::new()));
    });
    let id = submitted.unwrap().id;
    assert_eq!(jobs.look(id, |job| job.state), Ok(JobState::Final(Ending::Complete)));
    id
}

#[test]
fn each_phase_of_a_group_is_a_span_in_that_of_its_group_and_job() {
    let mut wished = attestation(Fork::Electra, 9, 0, 1);
    wished["sign"] = json!({ "aggregator_pubkey": public_key(1), "aggregator_index": "5" });
    // Position 1 has the signature of position 0: it has to be looked for.
    let mut false_one = group(2, 4);
    false_one["singles"][1]["signature"] = false_one["singles"][0]["signature"].clone();
    let snapshot = job_in(Fork::Electra, 9, &[wished, false_one]);

    let collector = Collector::default();
    let own = Targets::new().with_target("signer_server", LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry().with(own).with(collector.clone());
    let id = tracing::subscriber::with_default(subscriber, || prove_here(&snapshot));

    let seen = collector.0.lock().clone();
    let places: Vec<_> = (0..seen.len()).filter(|at| seen[*at].name.ends_with("_group")).collect();
    let names: Vec<_> = places.iter().map(|at| seen[*at].name).collect();
    assert_eq!(names, ["aggregate_group", "aggregate_group", "sign_group"]);
    for (place, group) in places.iter().zip(["0", "1", "0"]) {
        let fields = BTreeMap::from([("group", group.to_owned()), ("job", id.to_string())]);
        assert_eq!((seen[*place].parent, &seen[*place].fields), (None, &fields));
    }
    let phases = |from: usize, to: usize| {
        let mut names: Vec<_> = seen[from + 1..to].iter().map(|span| span.name).collect();
        for span in &seen[from + 1..to] {
            assert_eq!(span.parent, Some("aggregate_group"), "{}", span.name);
            assert!(span.fields.is_empty());
        }
        names.sort_unstable();
        names.dedup();
        names
    };
    let good = phases(places[0], places[1]);
    assert_eq!(good, ["decode", "select", "self_check", "sum"], "one check is enough");
    let bad = phases(places[1], places[2]);
    assert_eq!(bad, ["bisect", "decode", "select", "self_check", "sum", "verify"]);
    let in_answers = job::Phases::ALL.map(job::phase_name);
    assert!(bad.iter().all(|name| in_answers.contains(name)));
}
