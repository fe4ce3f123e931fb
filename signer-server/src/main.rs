//! The `signer-server` binary: reads the options, sets the process up, runs the command.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use signer_server::{
    app, cli,
    config::{self, AuditQuery, Command, Config, Invocation},
    hardening,
    telemetry::logs,
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
    let (ended, failure) = match &invocation.command {
        Command::Audit(query) => {
            (show_audit(query, &invocation.config), "The audit can't be shown")
        }
        _ => (run(invocation), "Failed to initialize Midslot"),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = logs::with_causes(error.as_ref());
            print(false, &format!("{failure}\nCause: {cause}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The output is for programs, too: nothing but rows goes to it.
fn show_audit(query: &AuditQuery, config: &Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    let database = config.slashing.database.as_ref();
    Ok(runtime.block_on(cli::audit::run(query, database, std::io::stdout()))?)
}

fn run(invocation: Invocation) -> Result<()> {
    let Invocation { command, config, warnings } = invocation;
    let not_yet = match command {
        Command::Sign | Command::Audit(_) => None,
        Command::Export { .. } => Some("export"),
        Command::Import { .. } => Some("import"),
        Command::WatermarkRepair(_) => Some("watermark-repair"),
    };
    if let Some(name) = not_yet {
        bail!("the subcommand {name} is not available in this version; nothing was changed");
    }
    logs::init(config.logging.level, config.logging.format)?;
    tracing::info!("Starting Midslot version {}", env!("CARGO_PKG_VERSION"));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    hardening::forbid_core_dumps();
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
