//! Plays the validators of a known client against a signer: `signer-load --help`.
//!
//! Only for signers that hold interop keys and nothing else; any other signer is refused.

#![expect(clippy::print_stdout, reason = "the result of a command belongs on its output")]
#![expect(clippy::print_stderr, reason = "so does its progress on the other one")]

mod options;
mod progress;

use std::{path::Path, process::ExitCode};

use signer_client::load::{
    LoadChain, Plan, Report, WarmUp, make_keystores, play, raise_limit_of_open_files,
};

use self::{
    options::{Command, MakeKeystores, Run},
    progress::ProgressLine,
};

/// A run that was fine.
const DONE: u8 = 0;
/// Nothing was played, or a result could not be written.
const FAILED: u8 = 1;
/// The signer gave errors or missed deadlines, and `--strict` was given.
const NOT_GOOD_ENOUGH: u8 = 3;

fn main() -> ExitCode {
    let result = match options::parse() {
        Command::MakeKeystores(command) => make(&command),
        Command::Run(run) => start(&run),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("signer-load: {error}");
            ExitCode::from(FAILED)
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn make(command: &MakeKeystores) -> Result<u8, Error> {
    let line = ProgressLine::new();
    let folders = make_keystores(&command.folder, command.count, command.slot_ms, |done| {
        line.keystores(done, command.count);
    })?;
    println!(
        "{} keystores with interop keys, for load tests only. Start a signer with them:\n\n  \
         signer-server --data-path={}/data eth2 --network={} \\\n    \
         --keystores-path={} --keystores-passwords-path={}\n\nand play against it:\n\n  \
         signer-load --url=http://127.0.0.1:9000 --network={} --validators={}",
        command.count,
        command.folder.display(),
        folders.network.display(),
        folders.keystores.display(),
        folders.passwords.display(),
        folders.network.display(),
        command.count,
    );
    Ok(DONE)
}

fn start(run: &Run) -> Result<u8, Error> {
    if let Err(error) = raise_limit_of_open_files() {
        eprintln!("signer-load: the limit of open files stays as it is: {error}");
    }
    let chain = match &run.network {
        Some(path) => LoadChain::from_network_file(path)?,
        None => LoadChain::of_seed(run.seed, run.slot_ms),
    };
    let plan = Plan {
        url: run.url.clone(),
        profile: run.profile,
        chain,
        validators: run.validators,
        network_validators: run.network_validators,
        seed: run.seed,
        warm_up: WarmUp::Slots(run.warm_up_slots),
        slots: run.slots,
        verify: run.verify,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let line = ProgressLine::new();
    let report = runtime.block_on(async {
        let interrupted = async {
            // Without the signal the run goes on to its end.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        play(&plan, |progress| line.run(progress), interrupted).await
    })?;
    line.finish();
    println!("{report}");
    if let Some(path) = &run.json {
        write_json(path, &report)?;
    }
    let is_good = report.failed() == 0 && report.missed() == 0;
    Ok(if run.strict && !is_good { NOT_GOOD_ENOUGH } else { DONE })
}

fn write_json(path: &Path, report: &Report) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(path, text)
        .map_err(|error| format!("can't write {}: {error}", path.display()).into())
}
