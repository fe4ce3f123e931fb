//! A server that waits for a synchronous standby: what no standby has confirmed is not released, be it
//! new or a repeat.

use sqlx::{Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::*;

/// Far longer than a statement may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the sessions that wait for a standby; returns how many there were. What they have recorded
/// can be seen from then on, and no standby has it.
async fn end_those_who_wait(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn nothing_is_released_before_a_synchronous_standby_has_it() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let (one, other) = (ready(&database.url()).await, ready(&database.url()).await);
    assert_eq!(said(&one, 0, &attestation(1, 2, 1)).await, "new");

    cluster.settings(&[("synchronous_standby_names", "nobody")]).await.unwrap();
    for (signer, number) in [(&one, 0), (&other, 1)] {
        assert_eq!(said(signer, number, &attestation(2, 3, 1)).await, "failed");
    }
    let mut administrator = cluster.superuser().await.unwrap();
    let recorded = "SELECT count(*) FROM signed_attestation WHERE target_epoch = 3";
    let mut look = database.connect().await.unwrap();
    look.execute("SET default_transaction_read_only = on").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(recorded).fetch_one(&mut look).await.unwrap() < 2 {
        assert!(Instant::now() < deadline, "nothing was recorded");
        end_those_who_wait(&mut administrator).await;
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
