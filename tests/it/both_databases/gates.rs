//! What a signature may cost, counted and not timed: transactions, and on PostgreSQL calls of the
//! statement and syncs of its log. A lost batch, or a statement that came in, fails here.

use std::sync::Arc;

use midslot_tests::postgres::PostgresCluster;
use signer_client::wire::PublicKey;
use signer_server::slashing::SlashingProtection;
use tokio::sync::Semaphore;

use super::{Place, on_both};
use crate::postgres::{attestation, key, said};

/// Signatures of a burst, from as many keys, and how many of them wait at the same time.
const BURST: u32 = 1_000;
const AT_ONCE: usize = 250;
/// Signatures that are asked for one after the other.
const ALONE: u32 = 40;

/// Transactions that a burst may take. It takes about 10 on SQLite and 20 on the two connections of
/// PostgreSQL, more on a busy machine; without batches it takes 1,000.
const MOST_PER_BURST: i64 = 100;

async fn ready(place: &Place) -> SlashingProtection {
    let protection = place.open().await;
    let keys: Vec<PublicKey> = (0..BURST).map(key).collect();
    protection.register(&keys).await.unwrap();
    // Pins the chain.
    assert_eq!(said(&protection, 0, &attestation(1, 1, 1)).await, "new");
    protection
}

async fn burst(protection: &SlashingProtection) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = (0..BURST)
        .map(|number| {
            let (protection, room) = (protection.clone(), Arc::clone(&room));
            tokio::spawn(async move {
                let _place = room.acquire().await.unwrap();
                said(&protection, number, &attestation(5, 6, 1)).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "new");
    }
}

async fn one_by_one(protection: &SlashingProtection) {
    for number in 0..ALONE {
        assert_eq!(said(protection, number, &attestation(3, 4, 1)).await, "new");
    }
}

/// Transactions that recorded attestations, so far. On SQLite only while no protection is open.
async fn transactions(place: &Place) -> i64 {
    place
        .number(match place {
            Place::Sqlite(_) => "SELECT batches FROM sp_meta",
            // Each row carries the transaction that made it.
            Place::Postgres(_) => "SELECT count(DISTINCT xmin::text) FROM signed_attestation",
        })
        .await
}

async fn burst_takes_few_transactions_and_a_lone_request_one(place: &Place) {
    let protection = ready(place).await;
    protection.close().await.unwrap();
    let before = transactions(place).await;

    let protection = place.open().await;
    one_by_one(&protection).await;
    protection.close().await.unwrap();
    let alone = transactions(place).await - before;
    assert_eq!(alone, i64::from(ALONE));

    let before = transactions(place).await;
    let protection = place.open().await;
    burst(&protection).await;
    protection.close().await.unwrap();
    let in_burst = transactions(place).await - before;
    assert!((1..=MOST_PER_BURST).contains(&in_burst), "{in_burst} for {BURST} signatures");
}

on_both! { burst_takes_few_transactions_and_a_lone_request_one }

/// Calls of the function that records attestations, all transactions of the database, and syncs of
/// the log of the cluster. Sessions report when they end.
#[derive(Clone, Copy, Debug)]
struct Counters {
    calls: i64,
    transactions: i64,
    syncs: i64,
}

impl Counters {
    async fn read(place: &Place) -> Self {
        let calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_user_functions \
             WHERE funcname = 'sp_attest'";
        let transactions = "SELECT xact_commit + xact_rollback FROM pg_stat_database \
             WHERE datname = current_database()";
        // Since version 18 another view has them.
        let syncs = if place.number("SELECT current_setting('server_version_num')::bigint").await
            < 180_000
        {
            "SELECT wal_sync FROM pg_stat_wal"
        } else {
            "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
        };
        Self {
            calls: place.number(calls).await,
            transactions: place.number(transactions).await,
            syncs: place.number(syncs).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_and_syncs_of_postgres_are_as_few_as_its_batches() {
    // Of its own, because the log is the whole cluster's.
    let cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    database.role_setting("track_functions", "all").await.unwrap();
    let place = Place::Postgres(database);
    ready(&place).await.close().await.unwrap();

    let start = Counters::read(&place).await;
    place.open().await.close().await.unwrap();
    let idle = Counters::read(&place).await;
    let protection = place.open().await;
    one_by_one(&protection).await;
    protection.close().await.unwrap();
    let alone = Counters::read(&place).await;
    let protection = place.open().await;
    burst(&protection).await;
    protection.close().await.unwrap();
    let all = Counters::read(&place).await;

    assert_eq!(idle.calls, start.calls);
    assert_eq!(alone.calls - idle.calls, i64::from(ALONE), "one statement each");
    assert!(alone.syncs - idle.syncs >= i64::from(ALONE), "every answer waited for the disk");
    let calls = all.calls - alone.calls;
    // What opening, closing and looking cost.
    let overhead = idle.transactions - start.transactions;
    let transactions = all.transactions - alone.transactions - overhead;
    println!(
        "{calls} statements, {transactions} transactions and {} syncs for {BURST} signatures",
        all.syncs - alone.syncs
    );
    assert!((1..=MOST_PER_BURST).contains(&calls), "{calls} for {BURST} signatures");
    // Beside the batches: rows of the audit, in batches of their own, the health, the partitions.
    assert!(transactions <= 2 * MOST_PER_BURST, "{transactions} for {BURST} signatures");
}
