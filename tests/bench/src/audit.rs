//! Audit rows per second that become durable on SQLite: in batches, with as many signatures waiting
//! for their row as there are connections, and with a transaction for each row.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use midslot_tests::{key_files, requests};
use signer_server::{
    audit::{AuditOptions, Client, Durability, Filter, Outcome, Ticket},
    duty::{self, Duty, Network},
    slashing::{DatabaseUrl, OpenOptions, SlashingProtection},
};

use crate::{TURNS, median};

/// Rows of one turn.
const ROWS: usize = 50_000;
/// Rows that wait at most: far below what the buffer holds.
const WAITING: usize = 16_384;
/// Rows of one turn when each is waited for.
const STRICT_ROWS: usize = 6_400;
/// Signatures that wait for their rows at the same time.
const CONNECTIONS: usize = 64;
/// Rows of one turn with a transaction for each.
const SINGLE_ROWS: usize = 400;

/// An open database in a folder of its own, and what every row says.
struct Bench {
    protection: SlashingProtection,
    duty: Duty,
    key: String,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn open(durability: Durability) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = DatabaseUrl::Sqlite(folder.path().join("audit.sqlite"));
        let audit = AuditOptions { durability, ..AuditOptions::default() };
        let options = OpenOptions { audit, ..OpenOptions::new(database) };
        let protection = SlashingProtection::open(options).await?;
        let body = requests::aggregation_slot(requests::SLOT).to_string();
        let duty = duty::classify(body.as_bytes(), &Network::by_name_or_file("mainnet")?)?;
        Ok(Self { protection, duty, key: key_files::public_key(0), _folder: folder })
    }

    fn ticket(&self) -> Ticket {
        let client = Client { address: Some([10, 0, 0, 7].into()), ..Client::default() };
        let mut ticket = self.protection.audit().begin(client, &self.key);
        ticket.describe(&self.duty);
        ticket.waited_in_queue(Duration::from_micros(40));
        ticket.spent_signing(Duration::from_micros(400));
        ticket
    }

    async fn batched(&self) -> Result<f64> {
        let writer = self.protection.audit();
        let started = Instant::now();
        for number in 0..ROWS {
            self.ticket().finish(Outcome::Signed, None);
            while number % 256 == 0 && writer.waiting_rows() > WAITING {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        while writer.waiting_rows() > 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        // Answered after the last batch is durable.
        let newest = Filter { limit: 1, ..Filter::default() };
        let page = self.protection.read_audit(&newest).await?;
        page.entries.first().context("no row was written")?;
        ensure!(writer.lost_rows() == 0, "rows were lost");
        Ok(ROWS as f64 / started.elapsed().as_secs_f64())
    }

    /// Every row is waited for, `at_once` at the same time.
    async fn strict(&self, rows: usize, at_once: usize) -> Result<f64> {
        let started = Instant::now();
        let connections = (0..at_once).map(|_| async {
            for _ in 0..rows / at_once {
                self.ticket().release(Outcome::Signed).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(connections).await?;
        Ok(rows as f64 / started.elapsed().as_secs_f64())
    }
}

/// The three ways in turns.
pub(crate) async fn compare() -> Result<()> {
    let (batched, strict) =
        (Bench::open(Durability::Batched).await?, Bench::open(Durability::Strict).await?);
    let (mut in_batches, mut waited_for, mut singly) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        singly.push(strict.strict(SINGLE_ROWS, 1).await?);
        waited_for.push(strict.strict(STRICT_ROWS, CONNECTIONS).await?);
        in_batches.push(batched.batched().await?);
    }
    let (in_batches, waited_for, singly) = (median(in_batches), median(waited_for), median(singly));
    println!(
        "audit rows in batches (SQLite)                       {in_batches:>7.0}/s   {:.0} x one by one",
        in_batches / singly
    );
    println!(
        "audit rows, strict, {CONNECTIONS} signatures at once               {waited_for:>7.0}/s   {:.0} x one by one",
        waited_for / singly
    );
    println!("audit rows, one transaction each                     {singly:>7.0}/s");
    Ok(())
}
