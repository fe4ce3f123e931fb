//! The `signer-server` binary: reads the options, sets the process up, runs the command.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use signer_server::{
    app, cli,
    config::{self, AuditQuery, Command, Config, Invocation},
    hardening,
    telemetry::logs::{self, LogOutput},
};

fn main() -> ExitCode {
    logs::report_panics_without_values();
    let environment = |name: &str| std::env::var(name).ok();
    let invocation = match config::from_args(std::env::args_os(), &environment) {
        Ok(invocation) => invocation,
        Err(exit) => {
            print(exit.to_stdout, &exit.message);
            return ExitCode::from(exit.code);
        }
    };
    let failure = match &invocation.command {
        Command::Sign => "Failed to initialize Midslot",
        Command::Export { .. } => "The export failed",
        Command::Import { .. } => "The import failed",
        Command::WatermarkRepair(_) => "The watermarks were not changed",
        Command::Migrate(_) => "The move did not come to its end",
        Command::Audit(_) => "The audit can't be shown",
    };
    match run(invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = logs::with_causes(error.as_ref());
            print(false, &format!("{failure}\nCause: {cause}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(invocation: Invocation) -> Result<()> {
    let Invocation { command, config, warnings } = invocation;
    let output = match command {
        Command::Sign => Some(LogOutput::Stdout),
        // What it writes is for programs, too: no log stands beside it.
        Command::Audit(_) => None,
        _ => Some(LogOutput::Stderr),
    };
    if let Some(output) = output {
        logs::init(config.logging.level, config.logging.format, output)?;
    }
    tracing::info!("Starting Midslot version {}", env!("CARGO_PKG_VERSION"));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    hardening::forbid_core_dumps();
    match command {
        Command::Sign => serve(config),
        Command::Export { to, keys } => Ok(cli::export::run(&config, &to, keys.as_deref())?),
        Command::Import { from, allow_partial } => {
            Ok(cli::import::run(&config, &from, allow_partial)?)
        }
        Command::WatermarkRepair(repair) => Ok(cli::watermark_repair::run(&config, &repair)?),
        Command::Audit(query) => show_audit(&query, &config),
        Command::Migrate(migration) => Ok(cli::migrate::run(&config, migration)?),
    }
}

fn show_audit(query: &AuditQuery, config: &Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    let database = config.slashing.database.as_ref();
    Ok(runtime.block_on(cli::audit::run(query, database, std::io::stdout()))?)
}

fn serve(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    Ok(runtime.block_on(app::run(config))?)
}

/// Writes to standard output or standard error. There is nobody left to tell when that fails.
fn print(to_stdout: bool, text: &str) {
    let written = if to_stdout {
        std::io::stdout().write_all(text.as_bytes())
    } else {
        std::io::stderr().write_all(text.as_bytes())
    };
    drop(written);
}
