//! A server that stands still, a disk that is full, a session that is cut off with a lock in its
//! hands, and commits that would not last: signing stops, goes on by itself, and nothing is lost.

use std::os::unix::{fs::MetadataExt, process::CommandExt};

use midslot_tests::postgres::{CutProxy, PostgresCluster};
use rustix::process::Pid;
use sqlx::{Connection, Executor, PgConnection};

use super::*;

const PATIENCE: Duration = Duration::from_secs(40);

/// Asks until the database is back.
async fn until_answered(protection: &SlashingProtection, number: u32, duty: &Duty) -> &'static str {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match said(protection, number, duty).await {
            "failed" if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            word => return word,
        }
    }
}

/// Of two conflicting votes of each key exactly one is on record, and stays the one.
async fn assert_one_of_two(protection: &SlashingProtection, source: u64, target: u64) {
    for number in 0..3 {
        let mut words = Vec::new();
        for root in [1, 2, 1, 2] {
            let duty = attestation(source, target, root);
            words.push(until_answered(protection, number, &duty).await);
        }
        let first_wins = words[1] == "double_vote" && words[2..] == ["repeat", "double_vote"];
        let second_wins = words[0] == "double_vote" && words[2..] == ["double_vote", "repeat"];
        assert!(first_wins || second_wins, "{words:?}");
    }
}

#[tokio::test]
async fn server_that_stands_still_beyond_all_timeouts_loses_nothing() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    cluster.pause().unwrap();
    // These are on their way to the server when it stops, and are given up.
    let duties = [1, 2, 1].map(|root| attestation(2, 3, root));
    let [a, b, c] = &duties;
    let words =
        tokio::join!(said(&protection, 0, a), said(&protection, 1, b), said(&protection, 2, c),);
    assert_eq!(words, ("failed", "failed", "failed"));
    assert!(!protection.is_healthy());
    cluster.resume().unwrap();
    assert_one_of_two(&protection, 2, 3).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "repeat");
}

/// Lets no process of the server write a byte to a file, as a full disk does. Its own user may do so, root
/// only with a capability that containers lack.
fn forbid_writes(processes: &[Pid]) {
    for process in processes {
        let id = process.as_raw_nonzero();
        let owner = std::fs::metadata(format!("/proc/{id}")).unwrap();
        let mut command = std::process::Command::new("prlimit");
        command.args([format!("--pid={id}"), "--fsize=0:".to_owned()]);
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let ended = command.status().expect("prlimit, of util-linux");
        assert!(ended.success(), "no limit for process {id}");
    }
}

#[tokio::test]
async fn full_disk_of_the_server_stops_signing_until_there_is_room() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    forbid_writes(&cluster.processes().unwrap());
    for root in 1..4 {
        assert_eq!(said(&protection, 0, &attestation(2, 3, root)).await, "failed");
        assert_eq!(said(&protection, 1, &block(3, root)).await, "failed", "{}", cluster.log());
    }
    assert!(!protection.is_healthy());
    // A log that can't be written ends the server, as every record hangs on it. The next one has no
    // limit, and finds a log that ends somewhere.
    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();
    assert_one_of_two(&protection, 2, 3).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "repeat");
    assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "double_vote");
}

/// Records a vote as a signer does, in a transaction that stays open.
async fn attest_and_wait(connection: &mut PgConnection, target: i64, root: u8) -> i16 {
    // As in the sessions of a signer.
    connection.execute("SET idle_in_transaction_session_timeout = '10s'").await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    sqlx::query_scalar(
        "SELECT verdict FROM sp_attest(ARRAY[(SELECT id FROM validator WHERE pubkey = $1)], \
         ARRAY[$2 - 1], ARRAY[$2], ARRAY[$3], ARRAY[$4], false)",
    )
    .bind(key(0).as_bytes().as_slice())
    .bind(target)
    .bind(vec![root; 32])
    .bind(CHAIN.0.as_slice())
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn signer_cut_off_with_a_lock_holds_up_the_others_for_twelve_seconds_at_most() {
    let database = database().await;
    let cluster = PostgresCluster::shared().await.unwrap();
    let proxy = CutProxy::start(cluster.address()).await.unwrap();
    let protection = ready(&database.url()).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    let url = database.url_at(proxy.address());
    let mut cut_off = PgConnection::connect(&url).await.unwrap();
    assert_eq!(attest_and_wait(&mut cut_off, 3, 1).await, 1);
    proxy.stall();
    let start = tokio::time::Instant::now();

    // The lock's timeout answers long before the lock is free; other keys and blocks go on.
    assert_eq!(said(&protection, 0, &attestation(2, 3, 2)).await, "failed");
    assert_eq!(said(&protection, 0, &block(3, 1)).await, "new");
    assert_eq!(until_answered(&protection, 1, &attestation(2, 3, 2)).await, "new");
    assert_eq!(until_answered(&protection, 0, &attestation(2, 3, 2)).await, "new");
    // Two seconds beyond the server's own timeout, and some for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    proxy.open();
    // Its transaction was undone before anybody else could record: it can't commit any more.
    let committed = cut_off.execute("COMMIT").await;
    assert!(committed.is_err(), "{committed:?}");
    assert_eq!(said(&protection, 0, &attestation(2, 3, 1)).await, "double_vote");
}

#[tokio::test]
async fn record_outlives_the_server_at_once_although_the_role_has_asynchronous_commits() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    // Nothing but a commit itself writes the log.
    cluster.settings(&[("wal_writer_delay", "10s")]).await.unwrap();
    let database = cluster.database().await.unwrap();
    database.role_setting("synchronous_commit", "off").await.unwrap();
    let protection = ready(&database.url()).await;
    let mut other = database.connect().await.unwrap();
    other.execute("CREATE TABLE control (id int)").await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    assert_eq!(said(&protection, 0, &block(2, 1)).await, "new");
    // The role's own commit, after which the server is killed, goes the way that all would.
    other.execute("INSERT INTO control VALUES (1)").await.unwrap();
    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();

    let mut connection = database.connect().await.unwrap();
    let mut count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM control").await, 0, "the role's commits may get lost");
    assert_eq!(count("SELECT count(*) FROM signed_attestation").await, 1);
    assert_eq!(count("SELECT count(*) FROM signed_block").await, 1);
}
