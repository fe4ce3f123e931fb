//! What the experiment writes: all figures as JSON, a table, and a plot.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use signer_client::load::{Kind, Report, Row};

use super::{plot, variant::Variant};

/// One run.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) validators: u32,
    pub(super) variant: Variant,
    /// Proofs that ordinary requests found ready, warm-up included; absent for the baseline.
    pub(super) proofs_from_memory: Option<u64>,
    pub(super) report: Report,
}

/// All runs on one machine.
#[derive(Serialize)]
pub(super) struct Experiment {
    pub(super) cores: usize,
    pub(super) slots: u64,
    pub(super) slot_ms: u64,
    pub(super) runs: Vec<Run>,
}

impl Run {
    pub(super) fn total(&self, kind: Kind) -> Option<&Row> {
        self.report.total(kind)
    }
}

impl Experiment {
    pub(super) fn new(slots: u64, slot_ms: u64) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self { cores, slots, slot_ms, runs: Vec::new() })
    }

    /// Writes `result.json`, `latencies.svg` and `README.md`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("result.json", &(serde_json::to_string_pretty(self)? + "\n"))?;
        write("latencies.svg", &plot::draw(self))?;
        write("README.md", &self.page())
    }

    /// The report for people.
    fn page(&self) -> String {
        let seconds = self.slot_ms as f64 / 1000.0;
        format!(
            "# Blocks and attestations while an epoch's selection proofs are made\n\n\
             Made by `cargo signer-experiment`, which writes this folder anew: {} slots of {seconds} s from \
             the start of an epoch, on {} cores that signer and load generator share. Every slot has \
             one block and the attestations of its validators. All figures are in [result.json]\
             (result.json).\n\n\
             ![Latencies by way and number of validators](latencies.svg)\n\n{}\n\
             - FIFO: a signer with a blocking task for each request, first come, first served, with one \
             key and without slashing protection and audit. Lighthouse signed like that when its pull \
             request 4033 moved the proofs away from the start of the epoch. All other rows are \
             `signer-server` with its defaults: slashing protection and audit on SQLite.\n\
             - (a) asks for all proofs of the epoch at its start, at most 8,192 at a time, each in a \
             request and on a connection of its own.\n\
             - (b) asks as Lighthouse does since: at mid-slot, for the slots up to 8 ahead, one \
             request after another.\n\
             - (c) is a client with `SelectionProofScheduler`: at 80 % of the slot, in one request.\n\
             - (d) is the client of (b), unchanged; the signer asks a beacon node for the duties and \
             makes the proofs at 80 % of the slot by itself.\n\
             - *Missed*: blocks without a signature at 1/3 of their slot, attestations at 2/3, proofs \
             that are not there at 2/3 of the slot of their duty.\n",
            self.slots,
            self.cores,
            self.table(),
        )
    }

    /// The figures that matter, as a table in Markdown.
    pub(super) fn table(&self) -> String {
        let mut text =
            "| validators | proofs | block p50 / p99 / max ms | attestation p50 / p99 / max ms \
             | missed blocks / attestations / proofs | proofs from memory | errors |\n\
             |---|---|---|---|---|---|---|\n"
                .to_owned();
        for run in &self.runs {
            let latencies = |kind| {
                let row = run.total(kind);
                let millis = |latency: Option<f64>| {
                    latency.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1}"))
                };
                let of = |read: fn(&Row) -> Option<f64>| millis(row.and_then(read));
                format!(
                    "{} / {} / {}",
                    of(|row| row.p50_ms),
                    of(|row| row.p99_ms),
                    of(|row| row.max_ms)
                )
            };
            let missed = |kind| run.total(kind).map_or(0, |row| row.missed);
            // Writing to a text can't fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} / {} / {} | {} | {} |",
                run.validators,
                run.variant.title(),
                latencies(Kind::Block),
                latencies(Kind::Attestation),
                missed(Kind::Block),
                missed(Kind::Attestation),
                missed(Kind::SelectionProof),
                run.proofs_from_memory.map_or_else(|| "-".to_owned(), |proofs| proofs.to_string()),
                run.report.failed(),
            );
        }
        text
    }
}
