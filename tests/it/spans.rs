//! The tracing spans of a request, as a subscriber in this process sees them.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use midslot_tests::{key_files, requests, spans::Seen};
use serde_json::{Value, json};
use signer_server::{
    audit,
    duty::Network,
    keys::{ConfigFiles, KeySources, Loader, Registry},
    scheduler::{Bounds, Scheduler},
    signing::{SigningService, Timings},
    slashing::{DatabaseUrl, OpenOptions, SlashingProtection},
    telemetry::metrics::{Metrics, MetricsOptions},
};
use tracing::{
    Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, filter::Targets, layer::Context, layer::SubscriberExt, registry::LookupSpan,
};

/// Collects spans as they are when they close.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let seen = Seen::new(attributes, id, &context);
        context.span(id).unwrap().extensions_mut().insert(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Seen>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let seen = span.extensions_mut().remove::<Seen>();
        self.0.lock().unwrap().extend(seen);
    }
}

async fn service(folder: &std::path::Path) -> SigningService {
    key_files::write_raw_key(folder, 0);
    key_files::write_raw_key(folder, 1);
    let config_files = ConfigFiles { directory: folder.to_owned(), max_file_size_bytes: 1 << 20 };
    let sources = KeySources { config_files, bulk_keystores: None, threads: Some(1) };
    let registry = Arc::new(Registry::default());
    let loaded = Loader::new(sources).load(&registry.snapshot());
    let database = DatabaseUrl::Sqlite(folder.join("database.sqlite"));
    let slashing = SlashingProtection::open(OpenOptions::new(database)).await.unwrap();
    slashing.register(&loaded.added).await.unwrap();
    registry.install(loaded.snapshot);
    let options = MetricsOptions { version: "0", slashing_protection_enabled: true };
    let metrics = Arc::new(Metrics::new(options));
    let bounds = Bounds([16; 5]);
    let scheduler = Scheduler::start(NonZeroUsize::MIN, bounds, metrics.clone()).unwrap();
    let network = Network::by_name_or_file("mainnet").unwrap();
    SigningService::new(network, registry, Arc::new(scheduler), slashing, metrics)
}

/// The spans of one request, by name. The last one closes when its job lets go of it.
async fn spans_of(collector: &Collector, expected: usize) -> BTreeMap<&'static str, Seen> {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while collector.0.lock().unwrap().len() < expected {
        assert!(std::time::Instant::now() < patience, "{:?}", collector.0.lock().unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    collector.0.lock().unwrap().drain(..).map(|seen| (seen.name, seen)).collect()
}

fn check(spans: &BTreeMap<&'static str, Seen>, children: &[&str], fields: &Value) {
    let names: Vec<_> = spans.keys().copied().filter(|name| *name != "sign").collect();
    assert_eq!(names, children);
    for child in children {
        assert_eq!(spans[child].parent, Some("sign"), "{child}");
        assert!(spans[child].fields.is_empty(), "{child} says nothing of the request");
    }
    assert_eq!(serde_json::to_value(&spans["sign"].fields).unwrap(), *fields);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_a_span_with_its_parts_and_without_its_body() {
    // For the whole process, because signing threads have no subscriber of their own. No other test
    // in it traces.
    let collector = Collector::default();
    let level = tracing::level_filters::LevelFilter::DEBUG;
    let own = Targets::new().with_target("signer_server", level);
    let subscriber = tracing_subscriber::registry().with(own).with(collector.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let keys = [key_files::public_key(0), key_files::public_key(1)];
    collector.0.lock().unwrap().clear();
    let sign = async |key: &str, body: &Value| {
        let body = body.to_string();
        let client = audit::Client::default();
        service.sign(client, key, body.as_bytes(), None, &mut Timings::default()).await
    };

    let vote = requests::attestation(5, 6, 1);
    sign(&keys[0], &vote).await.unwrap();
    let spans = spans_of(&collector, 4).await;
    let short = &keys[0][..10];
    let fields = json!({ "type": "ATTESTATION", "class": "attestation", "key": short });
    check(&spans, &["bls", "queue", "slashing"], &fields);

    sign(&keys[0], &requests::randao_reveal(9)).await.unwrap();
    let spans = spans_of(&collector, 3).await;
    let fields = json!({ "type": "RANDAO_REVEAL", "class": "block", "key": short });
    check(&spans, &["bls", "queue"], &fields);

    sign(&keys[0], &json!({ "type": "ATTESTATION", "secret": "do not tell" })).await.unwrap_err();
    check(&spans_of(&collector, 1).await, &[], &json!({}));

    let batch = json!({ "identifiers": keys, "signing_request": requests::attestation(6, 7, 1) });
    let body = batch.to_string();
    let client = audit::Client::default();
    let mut timings = Timings::default();
    service.sign_batch(client, body.as_bytes(), 9, None, &mut timings).await.unwrap();
    assert!(timings.bls_us.is_some() && timings.database_us.is_some());
    let spans = spans_of(&collector, 7).await;
    let fields = json!({ "type": "ATTESTATION", "class": "attestation", "keys": "2" });
    check(&spans, &["bls", "queue", "slashing"], &fields);
}
