//! Attestations per second that slashing protection clears and records, on SQLite and on PostgreSQL,
//! by how many wait at the same time; beside them the way of one transaction for each signature
//! (lock, three looks at the history, insert, commit, as signers of the first generation do it), in
//! the same run. Transactions and syncs are counted, not estimated.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use midslot_tests::postgres::{PostgresCluster, TestDatabase};
use signer_client::wire::{Epoch, PublicKey, Root};
use signer_server::{
    audit::{Client, Outcome},
    duty::{Duty, DutyType, Position, Protection},
    slashing::{DatabaseUrl, OpenOptions, PostgresOptions, SlashingProtection},
};
use sqlx::{Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Keys that take turns.
const KEYS: u32 = 1_000;
/// How many wait at the same time, and how many signatures are measured then.
const LOADS: [(usize, u32); 3] = [(1, 500), (50, 10_000), (250, 20_000)];
/// Connections and signatures of the way of one transaction for each.
const SINGLE_CONNECTIONS: usize = 10;
const SINGLE: u32 = 2_000;

fn key(number: u32) -> PublicKey {
    let mut bytes = [0; 48];
    // Keys are divided among connections by their last bytes.
    bytes[40..44].copy_from_slice(&number.to_be_bytes());
    bytes[44..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).rotate_left(16).to_be_bytes());
    PublicKey(bytes)
}

fn vote(target: u64) -> Duty {
    Duty {
        duty_type: DutyType::Attestation,
        signing_root: Root([7; 32]),
        position: Some(Position::Epoch(Epoch(target))),
        protection: Protection::Attestation {
            source: Epoch(target - 1),
            target: Epoch(target),
            genesis_validators_root: Root([9; 32]),
        },
    }
}

/// Attests once with each key, then once more with each, and so on; at most `at_once` wait.
async fn clear(
    protection: &SlashingProtection,
    at_once: usize,
    total: u32,
    from: u64,
) -> Result<()> {
    let next = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let clients = (0..at_once).map(|_| {
        let (protection, next) = (protection.clone(), Arc::clone(&next));
        let client = async move {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= total {
                    return anyhow::Ok(());
                }
                let key = key(number % KEYS);
                let mut ticket = protection.audit().begin(Client::default(), "");
                let duty = vote(from + u64::from(number / KEYS));
                protection.clear(&key, &duty, &mut ticket).await?;
                ticket.finish(Outcome::Signed, None);
            }
        };
        async { tokio::spawn(client).await? }
    });
    try_join_all(clients).await?;
    Ok(())
}

/// What the database has done so far.
#[derive(Clone, Copy, Default)]
struct Work {
    transactions: i64,
    /// `None` where nobody counts them.
    syncs: Option<i64>,
}

/// Where it is measured.
enum Place<'a> {
    Sqlite(&'a Path),
    Postgres(&'a TestDatabase),
}

impl Place<'_> {
    /// Of SQLite, batches of records, each of which is one transaction; of PostgreSQL, all
    /// transactions, those of the audit included. Only while no protection is open.
    async fn work(&self) -> Result<Work> {
        match self {
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await?;
                let sql = "SELECT batches FROM sp_meta";
                let transactions = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
                connection.close().await?;
                Ok(Work { transactions, syncs: None })
            }
            Self::Postgres(database) => {
                let mut connection = database.connect().await?;
                let sql = "SELECT xact_commit FROM pg_stat_database \
                     WHERE datname = current_database()";
                let transactions = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
                // Since version 18 another view has them.
                let version = "SELECT current_setting('server_version_num')::bigint";
                let version: i64 = sqlx::query_scalar(version).fetch_one(&mut connection).await?;
                let syncs = if version < 140_000 {
                    None
                } else {
                    let sql = if version < 180_000 {
                        "SELECT wal_sync FROM pg_stat_wal"
                    } else {
                        "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
                    };
                    Some(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
                };
                Ok(Work { transactions, syncs })
            }
        }
    }

    fn options(&self, connections: usize) -> Result<OpenOptions> {
        let database = match self {
            Self::Sqlite(path) => DatabaseUrl::Sqlite(path.to_path_buf()),
            Self::Postgres(database) => database.url().parse()?,
        };
        let postgres =
            PostgresOptions { attestation_connections: connections, ..PostgresOptions::default() };
        Ok(OpenOptions { postgres, ..OpenOptions::new(database) })
    }

    /// Makes the database, its keys and its chain, which are no part of what is measured.
    async fn prepare(&self) -> Result<()> {
        let protection = SlashingProtection::open(self.options(1)?).await?;
        let keys: Vec<_> = (0..=KEYS).map(key).collect();
        protection.register(&keys).await?;
        let mut ticket = protection.audit().begin(Client::default(), "");
        protection.clear(&key(KEYS), &vote(1), &mut ticket).await?;
        ticket.finish(Outcome::Signed, None);
        Ok(protection.close().await?)
    }

    async fn measure(&self, name: &str, connections: usize, from: &mut u64) -> Result<()> {
        for (at_once, total) in LOADS {
            let before = self.work().await?;
            let protection = SlashingProtection::open(self.options(connections)?).await?;
            let started = Instant::now();
            clear(&protection, at_once, total, *from).await?;
            let seconds = started.elapsed().as_secs_f64();
            let writer = protection.audit();
            while writer.waiting_rows() > 0 {
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
            let audit_seconds = started.elapsed().as_secs_f64();
            ensure!(writer.lost_rows() == 0, "rows of the audit were lost");
            protection.close().await?;
            let after = self.work().await?;
            *from += u64::from(total.div_ceil(KEYS));
            print_row(
                name,
                &at_once.to_string(),
                total,
                seconds,
                Some(audit_seconds),
                before,
                after,
            );
        }
        Ok(())
    }
}

fn print_row(
    name: &str,
    at_once: &str,
    total: u32,
    seconds: f64,
    audit_seconds: Option<f64>,
    before: Work,
    after: Work,
) {
    let per_1000 = |count: i64| count as f64 * 1000.0 / f64::from(total);
    let transactions = per_1000(after.transactions - before.transactions);
    let syncs = after.syncs.zip(before.syncs).map(|(after, before)| per_1000(after - before));
    let syncs = syncs.map_or_else(|| "-".to_owned(), |syncs| format!("{syncs:.0}"));
    let audit_rows = audit_seconds.map(|seconds| f64::from(total) / seconds);
    let audit_rows = audit_rows.map_or_else(|| "-".to_owned(), |rows| format!("{rows:.0}"));
    println!(
        "{name:<34} {at_once:>7} {:>9.0} {transactions:>13.0} {syncs:>7} {audit_rows:>12}",
        f64::from(total) / seconds
    );
}

/// One signature of the old way, on tables of its own.
async fn single(connection: &mut PgConnection, validator: i32, target: i64) -> Result<()> {
    let source = target - 1;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(1, $1)")
        .bind(validator)
        .execute(&mut *transaction)
        .await?;
    for look in [
        "SELECT count(*) FROM single_vote WHERE validator = $1 AND target = $3 AND $2 >= 0",
        "SELECT count(*) FROM single_vote WHERE validator = $1 AND source < $2 AND target > $3",
        "SELECT count(*) FROM single_vote WHERE validator = $1 AND source > $2 AND target < $3",
    ] {
        let found: i64 = sqlx::query_scalar(look)
            .bind(validator)
            .bind(source)
            .bind(target)
            .fetch_one(&mut *transaction)
            .await?;
        ensure!(found == 0, "a vote in the way");
    }
    sqlx::query("INSERT INTO single_vote VALUES ($1, $2, $3, $4)")
        .bind(validator)
        .bind(source)
        .bind(target)
        .bind([7_u8; 32].as_slice())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

async fn one_transaction_each(database: &TestDatabase) -> Result<()> {
    let mut connection = database.connect().await?;
    sqlx::query(
        "CREATE TABLE single_vote (validator int, source bigint, target bigint, root bytea, \
         PRIMARY KEY (validator, target))",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    let place = Place::Postgres(database);
    let before = place.work().await?;
    let mut connections = Vec::new();
    for _ in 0..SINGLE_CONNECTIONS {
        connections.push(database.connect().await?);
    }
    let started = Instant::now();
    let share = SINGLE / u32::try_from(SINGLE_CONNECTIONS)?;
    let clients = connections.into_iter().enumerate().map(|(place, mut connection)| async move {
        let client = tokio::spawn(async move {
            for number in 0..share {
                // Keys of its own, so that nobody waits for anybody.
                let validator = i32::try_from(place)? * 100 + i32::try_from(number % 100)?;
                single(&mut connection, validator, i64::from(number / 100) + 1).await?;
            }
            connection.close().await?;
            anyhow::Ok(())
        });
        client.await?
    });
    try_join_all(clients).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = place.work().await?;
    let at_once = SINGLE_CONNECTIONS.to_string();
    print_row("PostgreSQL, a transaction each", &at_once, SINGLE, seconds, None, before, after);
    Ok(())
}

/// The table.
pub(crate) async fn table() -> Result<()> {
    println!(
        "votes cleared and recorded            waiting      per s  transactions   syncs   audit rows"
    );
    println!(
        "                                      at once             per 1,000 per 1,000        per s"
    );
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lane.sqlite");
    let sqlite = Place::Sqlite(&path);
    sqlite.prepare().await?;
    sqlite.measure("SQLite", 1, &mut 2).await.context("SQLite")?;
    let cluster = PostgresCluster::start_on_disk().await?;
    let database = cluster.database().await?;
    Place::Postgres(&database).prepare().await?;
    let mut from = 2;
    for (name, connections) in
        [("PostgreSQL, one connection", 1), ("PostgreSQL, two (the default)", 2)]
    {
        Place::Postgres(&database).measure(name, connections, &mut from).await?;
    }
    one_transaction_each(&database).await?;
    println!();
    Ok(())
}
