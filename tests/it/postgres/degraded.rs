//! A server that is away while the signer runs: nothing slashable is signed, everything else is, and
//! the signer goes on by itself when the server is back.

use ::http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions,
    postgres::{CutProxy, PostgresCluster, TestDatabase},
    requests,
};
use serde_json::Value;

use super::Duration;
use crate::database_faults::{
    assert_only_unprotected_duties_go_on, audit, signature, status, until_health,
};

const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// How long an answer may take in which a client would have given up: the faults stay until the
/// answers are there, so that one that waits for the server would never come.
const GIVES_UP: Duration = Duration::from_secs(5);

/// Requests of one fault, sent by [`assert_only_unprotected_duties_go_on`] and here.
const PER_FAULT: usize = 8 + ASKED_AT_ONCE;

/// Requests that are asked one after the other while the server is known to be away.
const ASKED_AT_ONCE: usize = 200;

/// Two keys, the audit, metrics, and a health check five times a second.
pub(super) fn options(database: &TestDatabase, jdbc_url: &str) -> SignerOptions {
    SignerOptions::with_interop_keys(2)
        .root("--audit-api-enabled=true")
        .root("--metrics-enabled")
        .eth2("--slashing-protection-db-health-check-interval-milliseconds=200")
        .eth2(format!("--slashing-protection-db-url={jdbc_url}"))
        .eth2(format!("--slashing-protection-db-username={}", database.role()))
        .eth2(format!("--slashing-protection-db-password={}", database.password()))
}

/// The first requests after a fault, which nobody knows of yet.
async fn assert_answers_in_time(signer: &Signer, target: u64) {
    let answers = assert_only_unprotected_duties_go_on(signer, target);
    // Four of the eight wait, one after the other.
    tokio::time::timeout(GIVES_UP * 4, answers).await.expect("a request hangs");
}

/// Requests while the server is known to be away cost it no connection and the client no wait.
async fn assert_answered_at_once(signer: &Signer, proxy: &CutProxy, target: u64) {
    let before = proxy.connections();
    let asking = async {
        for place in 0..ASKED_AT_ONCE {
            let vote = requests::attestation(target - 1, target, 1);
            let key = u64::try_from(place).unwrap() % 2;
            assert_eq!(status(signer, key, &vote).await, FAILED);
        }
    };
    // Waiting for a bounded time each, they would take minutes.
    tokio::time::timeout(GIVES_UP * 12, asking).await.expect("requests wait for the server");
    let attempts = proxy.connections() - before;
    assert!(attempts < u64::try_from(ASKED_AT_ONCE).unwrap() / 2, "{attempts} attempts");
}

struct Rig {
    cluster: PostgresCluster,
    proxy: CutProxy,
}

/// Faults, each with the way back.
const FAULTS: [(&str, Fault, Fault); 5] = [
    ("stopped", Fault::Stop, Fault::Start),
    ("killed", Fault::Kill, Fault::Start),
    ("paused", Fault::Pause, Fault::Resume),
    ("silent link", Fault::Stall, Fault::Open),
    ("cut link", Fault::Cut, Fault::Open),
];

#[derive(Clone, Copy)]
enum Fault {
    Stop,
    Kill,
    Start,
    Pause,
    Resume,
    Stall,
    Cut,
    Open,
}

impl Rig {
    async fn happens(&mut self, fault: Fault) {
        match fault {
            Fault::Stop => self.cluster.stop().await.unwrap(),
            Fault::Kill => self.cluster.kill().await.unwrap(),
            Fault::Start => self.cluster.restart().await.unwrap(),
            Fault::Pause => self.cluster.pause().unwrap(),
            Fault::Resume => self.cluster.resume().unwrap(),
            Fault::Stall => self.proxy.stall(),
            Fault::Cut => self.proxy.cut(),
            Fault::Open => self.proxy.open(),
        }
    }
}

#[tokio::test]
async fn only_slashable_duties_stop_while_the_server_is_away() {
    let cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let proxy = CutProxy::start(cluster.address()).await.unwrap();
    let signer = options(&database, &database.jdbc_url_at(proxy.address())).start().await.unwrap();
    let mut rig = Rig { cluster, proxy };
    let mut released = Vec::<(Value, String)>::new();
    let mut rows = 0;
    for (number, (name, fault, remedy)) in FAULTS.into_iter().enumerate() {
        let target = 100 + 10 * u64::try_from(number).unwrap();
        let vote = requests::attestation(target - 1, target, 1);
        released.push((vote.clone(), signature(&signer, 0, &vote).await));

        rig.happens(fault).await;
        assert_answers_in_time(&signer, target + 1).await;
        until_health(&signer.client, "DOWN").await;
        let health = signer.client.get("/healthcheck").await.unwrap().json();
        assert_eq!(health["checks"][1]["data"]["state"], "unavailable", "{name}");
        assert_answered_at_once(&signer, &rig.proxy, target + 2).await;

        rig.happens(remedy).await;
        until_health(&signer.client, "UP").await;
        // What was signed before is the same again, and nothing else in its place.
        for (vote, signed) in &released {
            assert_eq!(signature(&signer, 0, vote).await, *signed, "{name}");
        }
        assert_eq!(
            status(&signer, 0, &requests::attestation(target - 1, target, 2)).await,
            REFUSED
        );
        rows += 1 + PER_FAULT + released.len() + 1;
    }
    let outcomes = audit(&signer.client, rows.min(1_000)).await;
    assert!(outcomes["signed"] > 0 && outcomes["repeated"] > 0, "{outcomes:?}");
    assert!(!signer.options.log().contains("HALTED"), "{}", signer.options.log());
    assert!(!signer.options.log().contains("panicked"), "{}", signer.options.log());
    let target = 100 + 10 * u64::try_from(FAULTS.len()).unwrap();
    for key in 0..2 {
        signature(&signer, key, &requests::attestation(target - 1, target, 3)).await;
    }
}
