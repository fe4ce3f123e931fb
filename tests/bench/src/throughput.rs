//! Signatures per second over HTTP, beside the raw loop.

use std::time::Instant;

use anyhow::{Result, ensure};
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::json;

use crate::{
    TURNS,
    load::{self, Connection},
    median, raw_loop,
};

/// Keys of the signer, and so signatures of a burst or a batch.
const KEYS: u64 = 1000;
/// Keep-alive connections of single requests.
const CONNECTIONS: usize = 256;
/// Bursts, or votes of each key, in one turn.
const ROUNDS: u64 = 3;
/// Votes of each key in one turn of the steady stream.
const STEADY_ROUNDS: u64 = 10;

fn report(name: &str, must_reach: f64, signer: Vec<f64>, raw: Vec<f64>) {
    let (signer, raw) = (median(signer), median(raw));
    println!(
        "{name:<52} {signer:>7.0}/s   raw loop {raw:>6.0}/s   {:.2} x raw (must reach {must_reach})",
        signer / raw
    );
}

async fn signer() -> Result<Signer> {
    SignerOptions::with_interop_keys(KEYS).start().await
}

/// One batch request for the selection proofs of all keys for one slot.
pub(crate) async fn batch() -> Result<()> {
    let signer = signer().await?;
    let identifiers: Vec<_> = (0..KEYS).map(key_files::public_key).collect();
    let mut connection = Connection::open(signer.client.address()).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for turn in 0..TURNS as u64 {
        raw.push(raw_loop::signatures_per_second());
        let started = Instant::now();
        let rounds = 5;
        for round in 0..rounds {
            let slot = requests::current_slot() + 100 + turn * rounds + round;
            let body = json!({
                "identifiers": identifiers,
                "signing_request": requests::aggregation_slot(slot),
            });
            let request = load::request("/api/v1/eth2/sign", &body.to_string());
            let answer = connection.send(&request).await?;
            let made = answer.windows(12).filter(|window| window == b"\"signature\":").count();
            ensure!(made as u64 == KEYS, "{made} keys signed");
        }
        ours.push((rounds * KEYS) as f64 / started.elapsed().as_secs_f64());
    }
    report("batch of 1,000 selection proofs of one slot", 1.8, ours, raw);
    Ok(())
}

/// Every key attests to the same vote, each in a request of its own; then to the next vote.
pub(crate) async fn burst() -> Result<()> {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let signer = signer().await?;
    for turn in 0..TURNS as u64 {
        raw.push(raw_loop::signatures_per_second());
        let mut elapsed = 0.0;
        for target in targets(turn, ROUNDS) {
            let burst = (0..KEYS)
                .map(|key| single(key, &requests::attestation(target - 1, target, 1)))
                .collect();
            let started = Instant::now();
            load::send_all(signer.client.address(), CONNECTIONS, burst).await?;
            elapsed += started.elapsed().as_secs_f64();
        }
        ours.push((ROUNDS * KEYS) as f64 / elapsed);
    }
    report("burst of single attestations, one vote (SQLite)", 1.2, ours, raw);
    Ok(())
}

/// A steady stream of single attestations that all differ. A key's votes go over one connection,
/// because it casts them one after another.
pub(crate) async fn distinct() -> Result<()> {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let signer = signer().await?;
    for turn in 0..TURNS as u64 {
        raw.push(raw_loop::signatures_per_second());
        let connections: Vec<Vec<u64>> = (0..CONNECTIONS as u64)
            .map(|first| (first..KEYS).step_by(CONNECTIONS).collect())
            .collect();
        let streams = connections.iter().map(|keys| {
            let votes = targets(turn, STEADY_ROUNDS)
                .flat_map(|target| keys.iter().map(move |key| (*key, target)));
            votes
                .map(|(key, target)| {
                    let mut vote = requests::attestation(target - 1, target, 1);
                    vote["attestation"]["index"] = key.to_string().into();
                    single(key, &vote)
                })
                .collect()
        });
        let streams = streams.collect();
        let started = Instant::now();
        load::send_streams(signer.client.address(), streams).await?;
        ours.push((STEADY_ROUNDS * KEYS) as f64 / started.elapsed().as_secs_f64());
    }
    report("single attestations, all different (SQLite)", 0.85, ours, raw);
    Ok(())
}

/// Target epochs of a turn.
fn targets(turn: u64, rounds: u64) -> impl Iterator<Item = u64> {
    (0..rounds).map(move |round| requests::EPOCH + turn * rounds + round)
}

/// The request of one key for one duty.
fn single(key: u64, duty: &serde_json::Value) -> Vec<u8> {
    load::request(&format!("/api/v1/eth2/sign/{}", key_files::public_key(key)), &duty.to_string())
}
