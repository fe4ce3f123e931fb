//! What the signer gives over real HTTP, beside what the same machine can do at best and beside
//! how a signer used to do it.
//!
//! Every figure is a ratio of two sides that were measured in turns in the same run; the medians of
//! the turns are compared. `cargo signing-bench` runs all of it, `cargo signing-bench NAME ...`
//! only the rows of those names: batch, burst, distinct, block, audit, lane, records,
//! records-postgres, aggregation, aggregation-slot, interference. `lane` is a table: what slashing protection clears on each database,
//! and what that costs. `records` and `records-postgres` are the time and the memory of moving many
//! records in and out, `aggregation` and `aggregation-slot` are what the aggregation worker's prove
//! step takes on one core for one committee and for all of a slot, `interference` is what
//! a saturated worker costs those who want signatures.
//!
//! `cargo signer-experiment` is another matter: whole slots of thousands of validators ([`experiment`]).

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

mod aggregation;
mod audit;
mod baseline;
mod block_latency;
mod experiment;
mod interference;
mod lane;
mod load;
mod raw_loop;
mod records;
mod throughput;

use anyhow::{Result, bail};

/// Turns of each side.
const TURNS: usize = 5;

fn main() -> Result<()> {
    let chosen: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--").collect();
    if let Some(("experiment", options)) = chosen.split_first().map(|(name, rest)| (&**name, rest))
    {
        return experiment::main(options);
    }
    let known = [
        "batch",
        "burst",
        "distinct",
        "block",
        "audit",
        "lane",
        "records",
        "records-postgres",
        "aggregation",
        "aggregation-slot",
        "interference",
    ];
    if let Some(unknown) = chosen.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("unknown row {unknown}; there are {}", known.join(", "));
    }
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let cores = std::thread::available_parallelism()?.get();
    println!("{cores} cores; medians of {TURNS} turns of each side, in turns\n");
    tokio::runtime::Runtime::new()?.block_on(async {
        if wants("batch") {
            throughput::batch().await?;
        }
        if wants("burst") {
            throughput::burst().await?;
        }
        if wants("distinct") {
            throughput::distinct().await?;
        }
        if wants("block") {
            block_latency::compare().await?;
        }
        if wants("audit") {
            audit::compare().await?;
        }
        if wants("lane") {
            lane::table().await?;
        }
        if wants("records") {
            records::move_in_and_out().await?;
        }
        if wants("records-postgres") {
            records::move_in_and_out_of_postgres().await?;
        }
        if wants("aggregation") {
            aggregation::one_committee()?;
        }
        if wants("aggregation-slot") {
            aggregation::all_committees()?;
        }
        if wants("interference") {
            interference::compare().await?;
        }
        Ok(())
    })
}

/// The middle of the values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
