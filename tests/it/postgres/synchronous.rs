//! A server that waits for a synchronous standby: what no standby has confirmed is not released, be it
//! new or a repeat.

use sqlx::{Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::*;

/// Far longer than a statement may take.
const PATIENCE: Duration = Duration::from_mins(1);

const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// Ends the sessions that wait for a standby. What they have recorded can be seen from then on, and no
/// standby has it.
const END_THOSE_WHO_WAIT: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn number(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

/// Makes every commit wait for a standby that never comes. The server's processes hear of it one
/// after the other, and the one that says so to all sessions may be the last.
async fn lose_the_standby(cluster: &mut PostgresCluster) {
    cluster.settings(&[("synchronous_standby_names", "nobody")]).await.unwrap();
    let mut look = cluster.superuser().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut writer = cluster.superuser().await.unwrap();
        let write = "SELECT pg_logical_emit_message(true, 'a', 'b')";
        let writing = tokio::spawn(async move { writer.execute(write).await.map(drop) });
        while !writing.is_finished() {
            if number(&mut look, WAITS).await > 0 {
                number(&mut look, END_THOSE_WHO_WAIT).await;
                return;
            }
            assert!(Instant::now() < deadline, "nobody waits");
        }
    }
}

#[tokio::test]
async fn nothing_is_released_before_a_synchronous_standby_has_it() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let (one, other) = (ready(&database.url()).await, ready(&database.url()).await);
    assert_eq!(said(&one, 0, &attestation(1, 2, 1)).await, "new");

    lose_the_standby(&mut cluster).await;
    for (signer, number) in [(&one, 0), (&other, 1)] {
        assert_eq!(said(signer, number, &attestation(2, 3, 1)).await, "failed");
    }
    let mut administrator = cluster.superuser().await.unwrap();
    let recorded = "SELECT count(*) FROM signed_attestation WHERE target_epoch = 3";
    let mut look = database.connect().await.unwrap();
    look.execute("SET default_transaction_read_only = on").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while number(&mut look, recorded).await < 2 {
        assert!(Instant::now() < deadline, "nothing was recorded");
        number(&mut administrator, END_THOSE_WHO_WAIT).await;
        sleep(Duration::from_millis(100)).await;
    }
    // The same again, and the opposite, while both records are there for everybody to see.
    for (signer, number) in [(&other, 0), (&one, 1)] {
        assert_eq!(said(signer, number, &attestation(2, 3, 1)).await, "failed");
        assert_eq!(said(signer, number, &attestation(2, 3, 2)).await, "failed");
    }

    cluster.settings(&[("synchronous_standby_names", "")]).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    for (signer, number) in [(&other, 0), (&one, 1)] {
        while said(signer, number, &attestation(2, 3, 1)).await != "repeat" {
            assert!(Instant::now() < deadline, "the signers do not find back");
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(said(signer, number, &attestation(2, 3, 2)).await, "double_vote");
    }
}
