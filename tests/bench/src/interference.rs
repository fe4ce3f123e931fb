//! What a saturated aggregation worker costs those who want signatures: the p99 of blocks with an
//! idle and with a busy worker, in turns on the same signer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use blst::min_pk::SecretKey;
use midslot_tests::{HttpClient, SignerOptions, requests};
use serde_json::json;
use signer_server::bls::CIPHERSUITE;
use tokio::task::JoinSet;

use crate::{
    TURNS,
    block_latency::{Proposer, percentile_ms},
    load::{self, Connection},
    median,
};

const COMMITTEES: usize = 64;
const MEMBERS: u16 = 512;
/// Blocks of a turn.
const BLOCKS: u64 = 200;
/// Lanes that are kept busy. While the body of one is being read, the other one is proved.
const LANES: [&str; 2] = ["one", "two"];
/// How long it may take until the worker has something to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// The body of a job without its beginning, which tells one from another.
fn job() -> Result<String> {
    let secrets = (0..MEMBERS)
        .map(|member| {
            let mut seed = [1; 32];
            seed[..2].copy_from_slice(&member.to_le_bytes());
            SecretKey::key_gen(&seed, &[])
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("no key: {error:?}"))?;
    let hex = |bytes: &[u8]| {
        bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    };
    let keys: Vec<_> = secrets.iter().map(|key| hex(&key.sk_to_pk().to_bytes())).collect();
    let groups: Vec<_> = (0..COMMITTEES)
        .map(|committee| {
            let mut message = [7; 32];
            message[..8].copy_from_slice(&(committee as u64).to_le_bytes());
            let single = |(position, key): (usize, &SecretKey)| {
                let signature = key.sign(&message, CIPHERSUITE, &[]).to_bytes();
                json!({"pos": position, "signature": hex(&signature)})
            };
            json!({
                "kind": "raw",
                "signing_root": hex(&message),
                "bits_len": keys.len(),
                "pubkeys": keys,
                "singles": secrets.iter().enumerate().map(single).collect::<Vec<_>>(),
            })
        })
        .collect();
    let rest = json!({
        "fork_info": requests::fulu_fork_info(),
        // Shorter than the time for which the signer waits before it answers.
        "deadline_ms": 8000,
        "options": {"verify": "each", "report": "none"},
        "groups": groups,
    });
    let rest = serde_json::to_string(&rest)?;
    rest.strip_prefix('{').map(str::to_owned).context("an object")
}

/// Keeps a lane busy until told to stop; counts its jobs.
async fn keep_busy(
    address: SocketAddr,
    lane: &str,
    rest: Arc<str>,
    stopping: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    while !stopping.load(Ordering::Relaxed) {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        let slot = requests::current_slot();
        let body =
            format!("{{\"lane\":\"{lane}\",\"attempt\":{attempt},\"slot\":\"{slot}\",{rest}");
        let request = load::request("/midslot/v1/aggregation/jobs?wait=true", &body);
        let answer: serde_json::Value = serde_json::from_slice(connection.send(&request).await?)?;
        let status = &answer["status"];
        ensure!(status == "done" || status == "expired", "a job ended as {status}");
    }
    Ok(())
}

async fn is_busy(client: &HttpClient) -> Result<bool> {
    let status = client.get("/midslot/v1/aggregation/status").await?.json();
    let lanes = status["lanes"].as_array().context("no lanes")?;
    Ok(lanes.iter().any(|lane| lane["running"].is_string()))
}

async fn p99_ms(proposer: &mut Proposer) -> Result<f64> {
    let mut latencies = Vec::new();
    for _ in 0..BLOCKS {
        latencies.push(proposer.propose().await?);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(percentile_ms(&mut latencies, 99))
}

/// Both sides in turns, their medians and the ratio.
pub(crate) async fn compare() -> Result<()> {
    let options = SignerOptions::with_interop_keys(1).root("--aggregation-enabled");
    let signer = options.start().await?;
    let address = signer.client.address();
    let rest: Arc<str> = job()?.into();
    let attempts = Arc::new(AtomicU64::new(0));
    let mut proposer = Proposer::new(address).await?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        idle.push(p99_ms(&mut proposer).await?);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut feeders = JoinSet::new();
        for lane in LANES {
            let (rest, stopping, attempts) = (rest.clone(), stopping.clone(), attempts.clone());
            feeders.spawn(async move { keep_busy(address, lane, rest, stopping, attempts).await });
        }
        let since = Instant::now();
        while !is_busy(&signer.client).await? {
            if since.elapsed() > PATIENCE {
                bail!("the worker got nothing to do");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        busy.push(p99_ms(&mut proposer).await?);
        ensure!(is_busy(&signer.client).await?, "the worker was not busy to the end");
        stopping.store(true, Ordering::Relaxed);
        while let Some(feeder) = feeders.join_next().await {
            feeder??;
        }
    }
    let (idle, busy) = (median(idle), median(busy));
    println!("block p99, aggregation worker idle                   {idle:>8.2} ms");
    println!("block p99, worker saturated (64 x 512, each)         {busy:>8.2} ms");
    println!("ratio {:.2} (should stay within 2)", busy / idle);
    println!("jobs submitted: {}", attempts.load(Ordering::Relaxed));
    Ok(())
}
