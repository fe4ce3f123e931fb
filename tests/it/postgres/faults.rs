//! Servers, networks and administrators that do their worst.

use midslot_tests::postgres::{CutProxy, Fault, Moment, PostgresCluster};
use sqlx::Executor;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

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

#[tokio::test]
async fn link_that_breaks_around_a_commit_costs_nothing() {
    let database = database().await;
    let cluster = PostgresCluster::shared().await.unwrap();
    let proxy = CutProxy::start(cluster.address()).await.unwrap();
    let protection = ready(&database.url_at(proxy.address())).await;
    assert_eq!(said(&protection, 0, &attestation(0, 1, 1)).await, "new");
    let moments = [Moment::BeforeSent, Moment::AfterSent, Moment::AfterAnswered];
    for (number, moment) in moments.into_iter().enumerate() {
        let epoch = u64::try_from(number).unwrap() + 2;
        let root = u8::try_from(epoch).unwrap();
        proxy.arm(&[root; 32], moment, Fault::CutConnection);
        let word = said(&protection, 0, &attestation(epoch - 1, epoch, root)).await;
        assert_eq!(word, "new", "{moment:?}");
        proxy.fired(u64::try_from(number).unwrap() + 1, PATIENCE).await.unwrap();
        let word = said(&protection, 0, &attestation(epoch - 1, epoch, root)).await;
        assert_eq!(word, "repeat", "{moment:?}");
        // What was on record before stays a repeat when it is asked for over a breaking link.
        proxy.arm(&[root; 32], moment, Fault::CutConnection);
        let word = said(&protection, 0, &attestation(epoch - 1, epoch, root)).await;
        assert_eq!(word, "repeat", "{moment:?}");
        proxy.arm(&[0xee; 32], moment, Fault::CutConnection);
        let block_word = said(&protection, 0, &block(epoch, 0xee)).await;
        assert_eq!(block_word, "new", "{moment:?}");
    }
}

#[tokio::test]
async fn server_that_goes_away_and_comes_back_needs_no_restart() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    cluster.kill().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(2, 3, 1)).await, "failed");
    assert!(!protection.is_healthy());
    cluster.restart().await.unwrap();
    assert_eq!(until_answered(&protection, 0, &attestation(2, 3, 1)).await, "new");
    assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "double_vote");
    database.end_connections().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(3, 4, 1)).await, "new", "a new connection");
}

#[tokio::test]
async fn database_that_went_back_in_time_signs_nothing_any_more() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    let backup = cluster.base_backup().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    cluster.restore(&backup).await.unwrap();
    for _ in 0..20 {
        // A key that the process has no memory of, and one that it has.
        assert_eq!(said(&protection, 1, &attestation(1, 2, 2)).await, "failed");
        assert_eq!(said(&protection, 0, &attestation(1, 2, 2)).await, "failed");
        assert_eq!(said(&protection, 0, &block(1, 2)).await, "failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!protection.is_healthy());
}

#[tokio::test]
async fn restored_database_is_found_out_although_others_moved_its_counter_on() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let proxy = CutProxy::start(cluster.address()).await.unwrap();
    let protection = ready(&database.url_at(proxy.address())).await;
    let backup = cluster.base_backup().await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "new");
    proxy.cut();
    cluster.restore(&backup).await.unwrap();
    let mut connection = database.connect().await.unwrap();
    for _ in 0..200 {
        connection.execute("UPDATE sp_meta SET one = one").await.unwrap();
    }
    proxy.open();
    for _ in 0..20 {
        // A key of another connection, of which the process remembers nothing.
        assert_eq!(said(&protection, 1, &attestation(1, 2, 2)).await, "failed");
        assert_eq!(said(&protection, 0, &block(1, 2)).await, "failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn failover_signs_nothing_any_more() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let protection = ready(&database.url()).await;
    let backup = cluster.base_backup().await.unwrap();
    cluster.fail_over(&backup).await.unwrap();
    for _ in 0..20 {
        assert_eq!(said(&protection, 1, &attestation(1, 2, 2)).await, "failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn records_that_vanish_under_a_live_connection_are_found_out() {
    for forget in [
        "UPDATE att_state SET max_source = -1, max_target = -1, floor_source = -1, \
         floor_target = -1",
        "DELETE FROM signed_attestation WHERE target_epoch = 5",
    ] {
        let database = database().await;
        let protection = ready(&database.url()).await;
        for (source, target) in [(1, 2), (1, 9), (1, 5)] {
            assert_eq!(said(&protection, 0, &attestation(source, target, 1)).await, "new");
        }
        let mut connection = database.connect().await.unwrap();
        if forget.starts_with("UPDATE") {
            connection.execute("DELETE FROM signed_attestation").await.unwrap();
        }
        connection.execute(forget).await.unwrap();
        assert_eq!(said(&protection, 0, &attestation(1, 5, 2)).await, "failed", "{forget}");
        // Halted for every key and kind, and for good.
        for _ in 0..5 {
            assert_eq!(said(&protection, 1, &attestation(1, 5, 2)).await, "failed", "{forget}");
            assert_eq!(said(&protection, 1, &block(5, 2)).await, "failed", "{forget}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn record_that_the_state_does_not_cover_refuses_its_key_alone() {
    let database = database().await;
    let protection = ready(&database.url()).await;
    let mut connection = database.connect().await.unwrap();
    sqlx::query(
        "INSERT INTO signed_attestation (validator_id, target_epoch, source_epoch) \
         SELECT id, 50, 49 FROM validator WHERE pubkey = $1",
    )
    .bind(key(1).as_bytes().as_slice())
    .execute(&mut connection)
    .await
    .unwrap();
    let duty = attestation(49, 50, 1);
    let (a, b, c, d) = tokio::join!(
        said(&protection, 0, &duty),
        said(&protection, 1, &duty),
        said(&protection, 2, &duty),
        said(&protection, 3, &duty),
    );
    assert_eq!([a, b, c, d], ["new", "record_in_the_way", "new", "new"]);
    assert_eq!(said(&protection, 0, &duty).await, "repeat");
}

#[tokio::test]
async fn key_locked_by_another_session_holds_up_nobody_for_ever() {
    let database = database().await;
    let protection = ready(&database.url()).await;
    let mut connection = database.connect().await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    connection.execute("SELECT FROM att_state FOR UPDATE").await.unwrap();
    assert_eq!(said(&protection, 0, &attestation(1, 2, 1)).await, "failed");
    assert_eq!(said(&protection, 0, &block(2, 1)).await, "new", "blocks do not wait for it");
    connection.execute("ROLLBACK").await.unwrap();
    assert_eq!(until_answered(&protection, 0, &attestation(1, 2, 1)).await, "new");
}
