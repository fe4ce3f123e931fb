//! The commands that work on records and end: one file per command.
//!
//! Everything that a person should see goes to standard error; standard output is for results. The
//! log (`--logging`) holds what the parts below say.

pub mod audit;
pub mod export;
pub mod import;
pub mod migrate;
pub mod watermark_repair;

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use signer_client::wire::Root;

use crate::{
    config::Config,
    duty::NetworkError,
    slashing::{
        Administration, AdministrationOptions, ExportError, FileError, ImportError, MoveError,
        OpenError, RecordsError, StoreError,
    },
};

/// Why a command did not do what it should. The database is as it was before, if no variant says
/// otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The network that was named is unknown or its file is bad.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The configuration names no database.
    #[error("no slashing protection database is configured")]
    NoDatabase,
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file to import can't be opened.
    #[error("can't open {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file to import can't be understood.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: FileError,
    },
    /// The import failed. Nothing was imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The file to export can't be written.
    #[error("can't write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The export failed. There is no file, or the one that was there before.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The records could not be changed.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The move stopped, or was refused. Its text says what to do.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// The database could not be closed in order. What was said to be done is done.
    #[error("what was said is done, but the database was not closed in order: {0}")]
    Close(#[source] StoreError),
    /// There is no runtime.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] io::Error),
}

/// Runs a command to its end.
fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::Runtime)?;
    runtime.block_on(work)
}

/// Opens the configured database.
async fn open(config: &Config, create: bool) -> Result<Administration, CommandError> {
    // The default key folder is where the operator happens to stand: no place for a marker.
    let mut marker_directories = config.marker_directories();
    marker_directories.retain(|folder| folder != Path::new("./"));
    let options = AdministrationOptions {
        database: config.slashing.database.clone().ok_or(CommandError::NoDatabase)?,
        postgres: config.slashing.postgres.clone(),
        marker_directories,
        accept_new_database: config.slashing.accept_new_database,
        create,
    };
    Ok(Administration::open(options).await?)
}

/// The chain of the network, when one was named. Its default means nothing here: these commands
/// are called without `--network`, as Web3Signer's are.
fn network_root(config: &Config) -> Result<Option<Root>, CommandError> {
    if !config.network.is_given {
        return Ok(None);
    }
    Ok(config.network.load()?.genesis_validators_root)
}

/// Tells the person at the terminal. There is nobody left to tell when that fails.
fn say(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}
