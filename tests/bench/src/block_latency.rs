//! How long a block waits while thousands of selection proofs are queued.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use midslot_tests::{SignerOptions, key_files, requests};
use serde_json::json;

use crate::{
    TURNS, baseline,
    load::{self, Connection},
};

/// Selection proofs that one batch request queues at once.
const PROOFS: u64 = 5_000;

/// Sends blocks one after another to a signer and gives how long each took.
pub(crate) struct Proposer {
    connection: Connection,
    path: String,
    slot: u64,
}

impl Proposer {
    pub(crate) async fn new(address: SocketAddr) -> Result<Self> {
        let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
        Ok(Self { connection: Connection::open(address).await?, path, slot: requests::SLOT })
    }

    pub(crate) async fn propose(&mut self) -> Result<Duration> {
        self.slot += 1;
        let request = load::request(&self.path, &requests::block(self.slot, 1).to_string());
        let started = Instant::now();
        self.connection.send(&request).await?;
        Ok(started.elapsed())
    }
}

/// Latencies of blocks that are proposed while the proofs of one batch are being made. The proposer
/// has a thread and a runtime of its own.
async fn under_proofs(
    address: SocketAddr,
    turn: u64,
    identifiers: &[String],
) -> Result<Vec<Duration>> {
    let answered = Arc::new(AtomicBool::new(false));
    let proposer = {
        let answered = answered.clone();
        std::thread::Builder::new().name("proposer".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(propose_until(address, turn, &answered))
        })?
    };
    let slot = requests::current_slot() + 100 + turn;
    let body = json!({
        "identifiers": identifiers,
        "signing_request": requests::aggregation_slot(slot),
    });
    let request = load::request("/api/v1/eth2/sign", &body.to_string());
    let mut connection = Connection::open(address).await?;
    let sent = connection.send(&request).await.map(|_| ());
    answered.store(true, Ordering::Relaxed);
    let latencies = proposer.join().map_err(|_| anyhow!("the proposer panicked"))?;
    sent?;
    latencies
}

/// Proposes from just after the proofs were sent until they are answered.
async fn propose_until(
    address: SocketAddr,
    turn: u64,
    answered: &AtomicBool,
) -> Result<Vec<Duration>> {
    let mut proposer = Proposer::new(address).await?;
    proposer.slot += turn * 10_000;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let mut latencies = Vec::new();
    while !answered.load(Ordering::Relaxed) {
        latencies.push(proposer.propose().await?);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(latencies)
}

async fn idle(address: SocketAddr) -> Result<Vec<Duration>> {
    let mut proposer = Proposer::new(address).await?;
    proposer.slot += 9_000_000;
    let mut latencies = Vec::new();
    for _ in 0..200 {
        latencies.push(proposer.propose().await?);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(latencies)
}

/// The latency that `percent` of the samples do not exceed, in milliseconds.
pub(crate) fn percentile_ms(latencies: &mut [Duration], percent: usize) -> f64 {
    latencies.sort();
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
}

fn report(name: &str, latencies: &mut [Duration]) {
    println!(
        "{name:<52} p50 {:>8.2} ms   p99 {:>8.2} ms   max {:>8.2} ms   ({} blocks)",
        percentile_ms(latencies, 50),
        percentile_ms(latencies, 99),
        percentile_ms(latencies, 100),
        latencies.len()
    );
}

/// Blocks on the idle signer, on the flooded signer and on the flooded baseline.
pub(crate) async fn compare() -> Result<()> {
    let signer = SignerOptions::with_interop_keys(PROOFS).start().await?;
    let baseline = baseline::start(&[]).await?;
    let identifiers: Vec<_> = (0..PROOFS).map(key_files::public_key).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // Ours are made sooner, so more turns give as many blocks.
    for turn in 0..4 * TURNS as u64 {
        ours.extend(under_proofs(signer.client.address(), turn, &identifiers).await?);
        if turn % 4 == 0 {
            theirs.extend(under_proofs(baseline, turn, &identifiers).await?);
        }
    }
    // Last, because its slots are above those of the floods.
    let mut idle = idle(signer.client.address()).await?;
    report("block, idle signer", &mut idle);
    report("block, 5,000 proofs queued", &mut ours);
    report("block, 5,000 proofs queued, FIFO spawn_blocking", &mut theirs);
    let above_idle = percentile_ms(&mut ours, 99) - percentile_ms(&mut idle, 50);
    let share = percentile_ms(&mut theirs, 99) / percentile_ms(&mut ours, 99);
    println!("p99 is {above_idle:.2} ms above the idle p50 (must stay within 3)");
    println!("p99 is 1/{share:.0} of the baseline's (must be at most 1/50)");
    Ok(())
}
