//! The experiment of Lighthouse's pull request 4033: what an epoch's selection proofs do to blocks and
//! attestations, by when and how they are asked for.
//!
//! Every run is a signer of its own (or the baseline), a chain of its own and the load generator,
//! which begins a little before an epoch and is measured in the first slots of it. `report` writes
//! what was seen.

mod plot;
mod report;
mod variant;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use midslot_tests::binary::signer_binary;
use signer_client::{
    load::{
        LoadChain, Plan, SLOTS_PER_EPOCH, WarmUp, make_keystores, play, raise_limit_of_open_files,
    },
    wire::{Root, Slot},
};

use self::{
    report::{Experiment, Run},
    variant::Variant,
};

/// The epoch that begins while a run lasts. A multiple of 125, so that its start is a whole number of
/// seconds after genesis whatever the length of a slot in milliseconds.
const EPOCH: u64 = 1000;
/// What a signer takes to start with few keys, with room to spare.
const LEAD_SECONDS: u64 = 12;
/// How many keys more it loads in a further second.
const KEYS_PER_SECOND: u64 = 1250;
/// Validators of the whole network.
const NETWORK_VALIDATORS: u32 = 1_000_000;

const HELP: &str = "\
Block and attestation latencies while an epoch's selection proofs are made, in five ways.

    cargo signer-experiment [OPTIONS]

    --validators=5000,20000   Numbers of validators
    --slots=6                 Slots that are measured, from the start of an epoch
    --slot-ms=12000           Length of a slot
    --lead-seconds=N          Time for a signer to start, in place of an estimate
    --only=NAME,...           Only these: fifo-burst, burst, lighthouse, pre-requests, prefetch
    --out=FOLDER              Where the results go, in place of signer-client/experiment
";

struct Options {
    validators: Vec<u32>,
    slots: u64,
    slot_ms: u64,
    lead_seconds: Option<u64>,
    variants: Vec<Variant>,
    out: PathBuf,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            validators: vec![5_000, 20_000],
            slots: 6,
            slot_ms: 12_000,
            lead_seconds: None,
            variants: Variant::ALL.to_vec(),
            out: root.join("../../signer-client/experiment"),
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            let list = value.split(',');
            match name {
                "--validators" => {
                    options.validators = list.map(str::parse).collect::<Result<_, _>>()?;
                }
                "--slots" => options.slots = value.parse()?,
                "--slot-ms" => options.slot_ms = value.parse()?,
                "--lead-seconds" => options.lead_seconds = Some(value.parse()?),
                "--only" => options.variants = list.map(Variant::by_name).collect::<Result<_>>()?,
                "--out" => options.out = value.into(),
                _ => bail!("unknown option {name}\n\n{HELP}"),
            }
        }
        Ok(options)
    }

    /// Time before the epoch, in seconds.
    fn lead(&self, variant: Variant, validators: u32) -> u64 {
        let loads_keys = variant != Variant::FifoBurst;
        let loading = if loads_keys { u64::from(validators) / KEYS_PER_SECOND } else { 0 };
        // At least one whole slot of warm-up.
        let slot = self.slot_ms.div_ceil(1000);
        self.lead_seconds.unwrap_or(LEAD_SECONDS + loading + slot)
    }
}

/// Runs the experiment with these options.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
        return Ok(());
    }
    let options = Options::read(arguments)?;
    raise_limit_of_open_files().context("raising the limit of open files")?;
    std::fs::create_dir_all(&options.out)?;
    tokio::runtime::Runtime::new()?.block_on(run_all(&options))
}

async fn run_all(options: &Options) -> Result<()> {
    // No run waits for a build.
    let _ = signer_binary();
    let mut experiment = Experiment::new(options.slots, options.slot_ms)?;
    for &validators in &options.validators {
        let folder = tempfile::tempdir()?;
        make_keystores(folder.path(), validators.into(), options.slot_ms, |_| ())?;
        for (number, &variant) in options.variants.iter().enumerate() {
            println!("{validators} validators: {}", variant.title());
            let seed = u64::try_from(number)? + 1;
            let run = run(options, folder.path(), variant, validators, seed)
                .await
                .with_context(|| format!("{validators} validators: {}", variant.title()))?;
            println!("{}\n", run.report);
            experiment.runs.push(run);
            // What was measured is not lost when a later run fails.
            experiment.write(&options.out)?;
        }
    }
    println!("{}", experiment.table());
    println!("written to {}", options.out.display());
    Ok(())
}

async fn run(
    options: &Options,
    folder: &Path,
    variant: Variant,
    validators: u32,
    seed: u64,
) -> Result<Run> {
    let lead = options.lead(variant, validators);
    let chain = chain_before_epoch(lead, options.slot_ms)?;
    let network = folder.join("network.yaml");
    std::fs::write(&network, chain.network_file())?;
    let signer = variant.start(folder, &chain, validators, seed, NETWORK_VALIDATORS).await?;
    let plan = Plan {
        url: signer.url.clone(),
        profile: variant.profile(),
        chain,
        validators,
        network_validators: NETWORK_VALIDATORS,
        seed,
        warm_up: WarmUp::Until(Slot(EPOCH * SLOTS_PER_EPOCH)),
        slots: options.slots,
        verify: false,
    };
    let report = play(&plan, |_| (), std::future::pending()).await?;
    let proofs_from_memory = signer.proofs_from_memory().await?;
    ensure!(
        variant != Variant::Prefetch || proofs_from_memory.is_some_and(|proofs| proofs > 0),
        "the signer has prefetched nothing"
    );
    Ok(Run { validators, variant, proofs_from_memory, report })
}

/// A new chain on which an epoch begins after so many seconds.
fn chain_before_epoch(lead_seconds: u64, slot_ms: u64) -> Result<LoadChain> {
    let boundary =
        SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(lead_seconds);
    let age_seconds = EPOCH * SLOTS_PER_EPOCH * slot_ms / 1000;
    let genesis =
        boundary.as_secs().checked_sub(age_seconds).context("the clock stands too early")?;
    let root = LoadChain::random(slot_ms)?.fork_info().genesis_validators_root;
    Ok(LoadChain::new(Root(root.0), genesis, slot_ms))
}
