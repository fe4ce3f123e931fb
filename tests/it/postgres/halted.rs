//! A database that lost records, or was exchanged, while the signer runs: the whole signer halts
//! for what is slashable, says so everywhere, and leaves the server alone.

use ::http::StatusCode;
use midslot_tests::{
    HttpClient, Signer, key_files,
    postgres::{Backup, CutProxy, PostgresCluster, TestDatabase},
    requests,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use super::{Duration, degraded::options};
use crate::database_faults::{
    assert_halted, assert_only_unprotected_duties_go_on, signature, until_health,
};

const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

const LOST: &str = "the database has lost records";
const EXCHANGED: &str = "another database has taken the place of the one in use";
const MOVED: &str = "the database server was restored or failed over";

/// How long it may take until it is noticed without any request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than the longest pause between two attempts to open a database again.
const WATCHED: Duration = Duration::from_secs(6);

struct Rig {
    cluster: PostgresCluster,
    database: TestDatabase,
    proxy: CutProxy,
    /// Made before the last signature.
    backup: Backup,
    signer: Signer,
}

impl Rig {
    async fn start() -> Self {
        let cluster = PostgresCluster::start().await.unwrap();
        let database = cluster.database().await.unwrap();
        let proxy = CutProxy::start(cluster.address()).await.unwrap();
        let options = options(&database, &database.jdbc_url_at(proxy.address()));
        let signer = options.start().await.unwrap();
        signature(&signer, 0, &requests::attestation(98, 99, 1)).await;
        let backup = cluster.base_backup().await.unwrap();
        signature(&signer, 0, &requests::attestation(99, 100, 1)).await;
        Self { cluster, database, proxy, backup, signer }
    }

    async fn administrator(&self, statements: &[&str]) {
        let mut connection = self.database.superuser().await.unwrap();
        for statement in statements {
            connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
        }
    }

    /// Demands all of it, without a request that could have been the one to notice.
    async fn assert_halts(self, reason: &str) {
        let Self { signer, proxy, cluster, database, .. } = self;
        let noticed = async {
            loop {
                let health = signer.client.get("/healthcheck").await.unwrap().json();
                if health["checks"][1]["data"] == json!({ "state": "halted", "reason": reason }) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let noticed = tokio::time::timeout(PATIENCE, noticed).await;
        assert!(noticed.is_ok(), "never halted for {reason}:\n{}", signer.options.log());
        until_health(&signer.client, "DOWN").await;
        assert_halted(&signer, reason).await;
        assert_only_unprotected_duties_go_on(&signer, 101).await;
        for key in 0..2 {
            for body in [requests::attestation(99, 100, 1), requests::block(9_999, 1)] {
                let answer = signer.client.sign(&key_files::public_key(key), &body).await.unwrap();
                assert_eq!(answer.status, FAILED);
                assert!(answer.text().contains(reason), "{}", answer.text());
            }
        }
        // For good, and without bothering the server.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let connections = proxy.connections();
        tokio::time::sleep(WATCHED).await;
        assert_eq!(proxy.connections(), connections, "a halted signer connects again");
        let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
        let page = metrics.get("/metrics").await.unwrap();
        assert!(page.text().contains("midslot_slashing_protection_state{state=\"halted\"} 1"));
        assert_only_unprotected_duties_go_on(&signer, 102).await;
        let (code, options) = signer.stop().await.unwrap();
        assert_eq!(code, Some(0), "{}", options.log());
        assert!(!options.log().contains(database.password()));

        // The next start remembers, and says what to do.
        let ended = options.run_to_end().await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("--safe-start"), "{}", ended.output);
        let mut options = options;
        options.eth2.push("--safe-start".to_owned());
        let signer = options.start().await.unwrap();
        let body = requests::attestation(99, 100, 2);
        let answer = signer.client.sign(&key_files::public_key(0), &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
        let epoch = requests::current_slot() / requests::SLOTS_PER_EPOCH + 1;
        signature(&signer, 0, &requests::attestation(epoch, epoch + 1, 1)).await;
        drop((signer, cluster));
    }
}

#[tokio::test]
async fn base_backup_in_place_of_the_server() {
    let mut rig = Rig::start().await;
    rig.cluster.restore(&rig.backup).await.unwrap();
    rig.assert_halts(LOST).await;
}

#[tokio::test]
async fn promoted_copy_in_place_of_the_server() {
    let mut rig = Rig::start().await;
    rig.cluster.fail_over(&rig.backup).await.unwrap();
    rig.assert_halts(MOVED).await;
}

#[tokio::test]
async fn database_dropped_and_made_again() {
    let rig = Rig::start().await;
    let name = rig.database.name();
    let mut administrator = rig.cluster.superuser().await.unwrap();
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} OWNER {name}"),
    ] {
        administrator.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    rig.assert_halts(LOST).await;
}

#[tokio::test]
async fn database_made_again_by_another_signer() {
    let rig = Rig::start().await;
    rig.administrator(&["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"]).await;
    let grant = format!("GRANT ALL ON SCHEMA public TO {}", rig.database.role());
    rig.administrator(&[&grant]).await;
    // The ids of the keys begin anew.
    let other = super::open(&rig.database.url()).await;
    other.register(&[super::key(7)]).await.unwrap();
    other.close().await.unwrap();
    let reason = EXCHANGED;
    // The signer may have looked in between, when there was nothing.
    let health = rig.signer.client.get("/healthcheck").await.unwrap().json();
    let is_lost = health["checks"][1]["data"]["reason"] == LOST;
    rig.assert_halts(if is_lost { LOST } else { reason }).await;
}

#[tokio::test]
async fn tables_emptied() {
    let rig = Rig::start().await;
    rig.administrator(&["TRUNCATE sp_meta, validator, att_state, blk_state, signed_attestation, \
                         signed_block"])
        .await;
    rig.assert_halts(LOST).await;
}
