//! Duty-aware prefetch: a real signer, beacon nodes that misbehave, and a validator client that knows
//! nothing of it. Slots last one second; tests wait for what must come and never for how long.

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{
    BeaconNode, BeaconNodeBuilder, Fault, HttpClient, Signer, SignerOptions, key_files, requests,
};
use serde_json::{Value, json};
use signer_server::duty::{Network, classify};

const SLOT_MS: u64 = 1_000;
const SLOTS_PER_EPOCH: u64 = 32;
/// One validator for each slot of an epoch.
const KEYS: u64 = 32;
/// Long enough for a slow machine to ask for a proof before its slot has passed.
const LOOK_AHEAD: u64 = 30;
const PATIENCE: Duration = Duration::from_mins(2);
/// The fork from this epoch on, which the chain has long entered.
const FORK_EPOCH: u64 = 50;

/// A chain that is in epoch 100 now, with mainnet's forks and other times.
struct Chain {
    genesis_time: u64,
    file: String,
}

impl Chain {
    /// Writes the network's file into the signer's folder.
    fn write(options: &SignerOptions) -> Self {
        const MAINNET: &str = include_str!("../../signer-server/networks/mainnet.yaml");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let genesis_time = now - 100 * SLOTS_PER_EPOCH * SLOT_MS / 1000;
        let mut text = String::new();
        for line in MAINNET.lines() {
            let line = match line.split_once(':').map(|(name, _)| name) {
                Some("MIDSLOT_GENESIS_TIME") => format!("MIDSLOT_GENESIS_TIME: {genesis_time}"),
                Some("SLOT_DURATION_MS") => format!("SLOT_DURATION_MS: {SLOT_MS}"),
                _ => line.to_owned(),
            };
            text += &line;
            text.push('\n');
        }
        let file = options.folder.path().join("network.yaml");
        fs::write(&file, text).unwrap();
        Self { genesis_time, file: file.display().to_string() }
    }

    /// A beacon node with all validators; the one at position 5 is in the sync committee.
    async fn node(&self) -> BeaconNode {
        BeaconNodeBuilder::new(self.genesis_time, requests::GENESIS_VALIDATORS_ROOT, SLOT_MS)
            .fork(0, "0x05000000")
            .fork(FORK_EPOCH, "0x06000000")
            .validators((0..KEYS).map(key_files::public_key))
            .sync_committee(0, &[(140, 5)])
            .start()
            .await
            .unwrap()
    }
}

fn fork_info() -> Value {
    requests::fork_info("0x05000000", "0x06000000", FORK_EPOCH)
}

fn options(keys: u64) -> (SignerOptions, Chain) {
    let options = SignerOptions::with_interop_keys(keys)
        .root("--metrics-enabled")
        .root("--audit-api-enabled=true")
        .root(format!("--prefetch-look-ahead-slots={LOOK_AHEAD}"));
    let chain = Chain::write(&options);
    let network = format!("--network={}", chain.file);
    (options.eth2(network), chain)
}

fn with_nodes(options: SignerOptions, urls: &[String]) -> SignerOptions {
    options.root(format!("--prefetch-beacon-nodes={}", urls.join(",")))
}

async fn metric(signer: &Signer, series: &str) -> u64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let value = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn made(signer: &Signer) -> u64 {
    metric(signer, "midslot_proofs_made_total{origin=\"background\"}").await
}

/// Waits until so many more proofs were made.
async fn until_made(signer: &Signer, more: u64) {
    let before = made(signer).await;
    until("proofs are made", async || made(signer).await >= before + more).await;
}

async fn prefetch_check(signer: &Signer) -> Value {
    let answer = signer.client.get("/healthcheck").await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "prefetch never makes the signer unhealthy");
    let health = answer.json();
    assert_eq!(health["status"], "UP");
    let checks = health["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == "prefetch-check").unwrap();
    assert_eq!(found["status"], "UP");
    found["data"].clone()
}

async fn until_state(signer: &Signer, state: &str) {
    until(state, async || prefetch_check(signer).await["state"] == state).await;
}

/// The newest rows of the audit that fulfil a condition, newest first.
async fn rows(signer: &Signer, condition: &str) -> Vec<Value> {
    let page = signer.client.get(&format!("/midslot/v1/audit?{condition}")).await.unwrap().json();
    page["entries"].as_array().unwrap().clone()
}

fn attestation_proof(slot: u64) -> Value {
    json!({
        "type": "AGGREGATION_SLOT",
        "fork_info": fork_info(),
        "aggregation_slot": { "slot": slot.to_string() },
    })
}

fn sync_proof(slot: u64) -> Value {
    json!({
        "type": "SYNC_COMMITTEE_SELECTION_PROOF",
        "fork_info": fork_info(),
        // Subcommittees have 128 places, so place 140 is in the second one.
        "sync_aggregator_selection_data": { "slot": slot.to_string(), "subcommittee_index": "1" },
    })
}

/// The validator that attests in a slot, as the node tells it now.
fn attester(node: &BeaconNode, slot: u64) -> u64 {
    let epoch = slot / SLOTS_PER_EPOCH;
    let found =
        (0..KEYS).find(|key| node.attester_slot(epoch, usize::try_from(*key).unwrap()) == slot);
    found.expect("every slot has one")
}

/// Signs as a validator client does, checks the signature, and says whether the proof was ready.
async fn is_ready(signer: &Signer, chain: &Chain, key: u64, request: &Value) -> bool {
    let hits = "midslot_proof_lookups_total{result=\"hit\"}";
    let before = metric(signer, hits).await;
    let answer = signer.client.sign(&key_files::public_key(key), request).await.unwrap();
    let network = Network::by_name_or_file(&chain.file).unwrap();
    let duty = classify(request.to_string().as_bytes(), &network).unwrap();
    key_files::assert_signed(key, duty.signing_root.as_bytes(), &answer.signature());
    metric(signer, hits).await > before
}

/// Waits until a validator client that asks for the proof of a duty some slots ahead finds it ready.
async fn until_ready(signer: &Signer, chain: &Chain, node: &BeaconNode) {
    let mut asked = 0;
    until("a proof is ready", async || {
        let slot = node.current_slot() + LOOK_AHEAD / 2;
        if slot <= asked {
            return false;
        }
        asked = slot;
        is_ready(signer, chain, attester(node, slot), &attestation_proof(slot)).await
    })
    .await;
}

#[tokio::test]
async fn an_unmodified_client_finds_its_proofs_ready() {
    let (options, chain) = options(KEYS);
    let node = chain.node().await;
    let signer = with_nodes(options, &[node.url()]).start().await.unwrap();
    until_state(&signer, "working").await;
    assert_eq!(prefetch_check(&signer).await, json!({ "state": "working", "validators": KEYS }));
    until_made(&signer, LOOK_AHEAD).await;
    until_ready(&signer, &chain, &node).await;

    // The request left a row that says that nothing was signed for it.
    let mut found = Vec::new();
    until("its row is written", async || {
        found = rows(&signer, "type=AGGREGATION_SLOT&client=127.0.0.1").await;
        found.iter().any(|row| row["reason"] == "from the proof cache")
    })
    .await;
    let row = found.iter().find(|row| row["reason"] == "from the proof cache").unwrap();
    assert_eq!((&row["outcome"], &row["bls_us"]), (&json!("signed"), &Value::Null), "{row}");

    // So is the proof of a member of the sync committee, in every slot.
    let mut asked = 0;
    until("a sync proof is ready", async || {
        let slot = node.current_slot() + LOOK_AHEAD / 2;
        slot > std::mem::replace(&mut asked, slot)
            && is_ready(&signer, &chain, 5, &sync_proof(slot)).await
    })
    .await;

    // Other duties after a re-organisation.
    node.reorganise();
    until_made(&signer, LOOK_AHEAD).await;
    until_ready(&signer, &chain, &node).await;

    // Nothing but selection proofs ever came of it, each with its row.
    let found = rows(&signer, "client=prefetch&limit=1000").await;
    assert!(!found.is_empty());
    for row in found {
        let duty_type = row["type"].as_str().unwrap();
        assert!(["AGGREGATION_SLOT", "SYNC_COMMITTEE_SELECTION_PROOF"].contains(&duty_type));
        assert_eq!(row["reason"], "pre-request", "{row}");
    }
}

#[tokio::test]
async fn the_next_node_takes_over_and_a_lying_one_alone_does_no_harm() {
    let (options, chain) = options(KEYS);
    let (first, second) = (chain.node().await, chain.node().await);
    let signer = with_nodes(options, &[first.url(), second.url()]).start().await.unwrap();
    until_state(&signer, "working").await;
    first.misbehave("", Fault::Status(500));
    until("the second one is asked", async || second.requests("duties/attester") > 0).await;
    until_ready(&signer, &chain, &second).await;
    assert_eq!(prefetch_check(&signer).await["state"], "working");

    // Both come back on another chain: they are not believed.
    second.misbehave("", Fault::Status(500));
    until_state(&signer, "failing").await;
    for node in [&first, &second] {
        node.heal();
        node.misbehave("genesis", Fault::other_chain());
    }
    until("the lie is noticed", async || {
        let reason = prefetch_check(&signer).await["reason"].to_string();
        reason.contains("genesis validators root")
    })
    .await;
    assert!(
        metric(&signer, "midslot_prefetch_node_failures_total{reason=\"wrong_chain\"}").await > 0
    );
    // What is not ready is signed as ever.
    let slot = second.current_slot() + 20 * SLOTS_PER_EPOCH;
    is_ready(&signer, &chain, 3, &attestation_proof(slot)).await;
    let vote = requests::attestation(5, 6, 1);
    signer.client.sign(&key_files::public_key(3), &vote).await.unwrap().signature();

    for node in [&first, &second] {
        node.heal();
    }
    until_state(&signer, "working").await;
    until_ready(&signer, &chain, &first).await;
    let log = signer.options.log();
    assert!(log.contains("a beacon node is of no use for prefetch"), "{log}");
}

#[tokio::test]
async fn keys_that_come_and_go_are_followed() {
    // Two of the validators' keys are not loaded at first.
    let (options, chain) = options(KEYS - 2);
    let node = chain.node().await;
    let signer = with_nodes(options, &[node.url()]).start().await.unwrap();
    until_made(&signer, LOOK_AHEAD / 2).await;
    let folder = signer.options.key_folder();
    let (added, removed) = (KEYS - 1, 5);
    key_files::write_raw_key(&folder, added);
    fs::remove_file(key_files::raw_key_path(&folder, removed)).unwrap();
    signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    until("the reload ends", async || {
        let status = signer.client.get("/reload").await.unwrap().json();
        status["status"] == "completed"
    })
    .await;

    let rows_of = async |key| rows(&signer, &format!("key={}", key_files::public_key(key))).await;
    until("proofs of the new key are made", async || !rows_of(added).await.is_empty()).await;
    // What was on its way when the key left has ended by now.
    until_made(&signer, 3).await;
    let id = |row: &Value| row["id"].as_str().unwrap().parse::<i64>().unwrap();
    let newest = id(&rows(&signer, "limit=1").await[0]);
    until_made(&signer, 5).await;
    assert!(rows_of(removed).await.iter().all(|row| id(row) <= newest), "a key that is gone");
    assert!(rows(&signer, "limit=1").await.iter().all(|row| id(row) > newest));
    assert_eq!(prefetch_check(&signer).await["validators"], KEYS - 2);
}

#[tokio::test]
async fn passwords_of_beacon_nodes_are_never_shown() {
    let (options, chain) = options(1);
    let node = chain.node().await;
    node.misbehave("", Fault::Status(401));
    let address = node.url().replace("http://", "http://somebody:hunter2@") + "/token-in-path";
    let signer = with_nodes(options, &[address]).start().await.unwrap();
    until_state(&signer, "failing").await;
    let check = prefetch_check(&signer).await.to_string();
    until("it is logged", async || signer.options.log().contains("of no use")).await;
    let log = signer.options.log();
    assert!(log.contains(&node.url()), "{log}");
    for secret in ["hunter2", "somebody", "token-in-path"] {
        assert!(!log.contains(secret) && !check.contains(secret), "{secret} in {log}\n{check}");
    }
}

#[tokio::test]
async fn a_network_whose_genesis_is_not_known_refuses_the_start() {
    let options = with_nodes(SignerOptions::with_interop_keys(1), &["http://localhost:1".into()])
        .eth2("--network=minimal");
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1));
    for part in ["--prefetch-beacon-nodes", "minimal", "MIDSLOT_GENESIS_VALIDATORS_ROOT"] {
        assert!(ended.output.contains(part), "{}", ended.output);
    }
}
