//! How long a block waits while thousands of selection proofs are queued.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use midslot_tests::{SignerOptions, key_files, requests};
use tokio::task::JoinSet;

use crate::{
    TURNS, baseline,
    load::{self, Connection},
};

/// Selection proofs of one flood.
const PROOFS: u64 = 5_000;
/// HTTP/2 connections that carry the flood: signer and baseline take 200 requests at a time from
/// each.
const FLOOD_CONNECTIONS: u64 = 25;

/// Sends blocks one after another to a signer and gives how long each took.
struct Proposer {
    connection: Connection,
    path: String,
    slot: u64,
}

impl Proposer {
    async fn new(address: SocketAddr) -> Result<Self> {
        let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
        Ok(Self { connection: Connection::open(address).await?, path, slot: requests::SLOT })
    }

    async fn propose(&mut self) -> Result<Duration> {
        self.slot += 1;
        let request = load::request(&self.path, &requests::block(self.slot, 1).to_string());
        let started = Instant::now();
        self.connection.send(&request).await?;
        Ok(started.elapsed())
    }
}

/// Sends distinct proofs all at once over a few HTTP/2 connections.
fn flood(address: SocketAddr, turn: u64, answered: &Arc<AtomicUsize>) -> JoinSet<Result<()>> {
    let mut proofs = JoinSet::new();
    for _ in 0..FLOOD_CONNECTIONS {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let first = requests::current_slot() + 100 + turn * PROOFS;
        for number in 0..PROOFS / FLOOD_CONNECTIONS {
            let (client, answered) = (client.clone(), answered.clone());
            let body = requests::aggregation_slot(first + number).to_string();
            let uri = format!("http://{address}/api/v1/eth2/sign/{}", key_files::public_key(0));
            proofs.spawn(async move {
                let request = Request::post(uri).body(Full::new(Bytes::from(body)))?;
                let response = client.request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                answered.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
    }
    proofs
}

/// Latencies of blocks that are proposed while the flood is being answered. The proposer has a
/// thread and a runtime of its own: the flood keeps those of its senders busy.
async fn under_flood(address: SocketAddr, turn: u64) -> Result<Vec<Duration>> {
    let answered = Arc::new(AtomicUsize::new(0));
    let proposer = {
        let answered = answered.clone();
        std::thread::Builder::new().name("proposer".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(propose_until(address, turn, &answered))
        })?
    };
    let mut proofs = flood(address, turn, &answered);
    while let Some(proof) = proofs.join_next().await {
        proof??;
    }
    proposer.join().map_err(|_| anyhow!("the proposer panicked"))?
}

/// Proposes from the first answered proof until nearly all are answered.
async fn propose_until(
    address: SocketAddr,
    turn: u64,
    answered: &AtomicUsize,
) -> Result<Vec<Duration>> {
    let mut proposer = Proposer::new(address).await?;
    proposer.slot += turn * 10_000;
    while answered.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut latencies = Vec::new();
    while answered.load(Ordering::Relaxed) < (PROOFS * 9 / 10) as usize {
        latencies.push(proposer.propose().await?);
        tokio::time::sleep(Duration::from_millis(5)).await;
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
fn percentile_ms(latencies: &mut [Duration], percent: usize) -> f64 {
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
    let signer = SignerOptions::with_interop_keys(1).start().await?;
    let baseline = baseline::start().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS as u64 {
        ours.extend(under_flood(signer.client.address(), turn).await?);
        theirs.extend(under_flood(baseline, turn).await?);
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
