//! What can go wrong at the border of slashing protection.

use std::{io, path::PathBuf};

use signer_client::wire::{PublicKey, Root};
use uuid::Uuid;

use super::{MarkerError, Refusal, RolledBack, StoreError};

/// Option that confirms a new, empty database although keys were registered before.
pub const CONFIRM_OPTION: &str = "--accept-new-slashing-protection-db";

/// Option that makes a database safe that may not know everything that was signed.
pub const SAFE_START_OPTION: &str = "--safe-start";

/// Why slashing protection could not be opened. Every one of these stops the start. Databases are
/// named by their file, or by their address without credentials.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database to work on.
    #[error("there is no slashing protection database {}", database.display())]
    NoDatabase {
        /// The file that is not there.
        database: PathBuf,
    },
    /// Another process has the database.
    #[error(
        "another signer is already running on {} (it holds {})",
        database.display(), lock.display()
    )]
    AlreadyRunning {
        /// The database file.
        database: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
    },
    /// The folder of the database can't be made or written.
    #[error("can't write in the folder of the slashing protection database: {}", path.display())]
    Unwritable {
        /// What could not be made or opened.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no database, or it can't be looked at.
    #[error("can't read the slashing protection database {}: {source}", path.display())]
    Unreadable {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Keys were registered before, and their database is gone.
    #[error(
        "the slashing protection database {} is missing, but {} says that keys were registered in \
         it. Starting without it could sign what is slashable. Restore the file; or, if no \
         validator of this signer can have signed anything that matters, confirm a new empty \
         database with {CONFIRM_OPTION}. If it is lost, {SAFE_START_OPTION} begins a new one whose \
         keys sign only what comes after now",
        database.display(), marker.display()
    )]
    DatabaseMissing {
        /// The marker that remembers.
        marker: PathBuf,
        /// The file that is not there.
        database: PathBuf,
    },
    /// Keys were registered before, in another database.
    #[error(
        "the slashing protection database {} (identity {found}) is not the one that {} remembers \
         (identity {expected}). Starting with it could sign what is slashable. Put the right \
         database in place; or, if this one knows everything that was signed, confirm it with \
         {CONFIRM_OPTION}; or start with {SAFE_START_OPTION}, which costs each key one duty",
        database.display(), marker.display()
    )]
    DatabaseReplaced {
        /// The marker that remembers.
        marker: PathBuf,
        /// The file in use.
        database: PathBuf,
        /// Identity in the marker.
        expected: Uuid,
        /// Identity in the file.
        found: Uuid,
    },
    /// The database is an older copy of itself.
    #[error(
        "the slashing protection database {} is an older copy: it holds {found} transactions with \
         records, but {} remembers {known}. Starting with it could sign what is slashable. Put the \
         newest one in place; or start with {SAFE_START_OPTION}, which costs each key one duty; \
         or, if no key has signed since the copy was made, confirm it with {CONFIRM_OPTION}",
        database.display(), marker.display()
    )]
    DatabaseRolledBack {
        /// The marker that remembers.
        marker: PathBuf,
        /// The file in use.
        database: PathBuf,
        /// Transactions that the marker knows of.
        known: u64,
        /// Transactions in the file.
        found: u64,
    },
    /// The database server is not where it was, or not the one it was.
    #[error(
        "the slashing protection database {} is not as {} remembers it: {why}. Starting with it \
         could sign what is slashable. Put the right one in place; or, after a planned fail-over \
         to a synchronous standby or a move that took every record along, confirm it with \
         {CONFIRM_OPTION}; or, if any record may be missing, start with {SAFE_START_OPTION}, which \
         costs each key one duty",
        database.display(), marker.display()
    )]
    ServerRolledBack {
        /// The marker that remembers.
        marker: PathBuf,
        /// Address of the database.
        database: PathBuf,
        /// What has changed.
        why: RolledBack,
    },
    /// The folder of the database is on a network file system, where two machines could open it.
    #[error(
        "{} is on a network file system ({kind}), where SQLite can't keep another machine from \
         opening it too: put it on a local disk", database.display()
    )]
    NetworkFileSystem {
        /// The file.
        database: PathBuf,
        /// Type of the file system.
        kind: String,
    },
    /// A marker can't be read or written. A damaged one is replaced when the database is
    /// confirmed.
    #[error(
        "{0}; if the slashing protection database is the right one, confirm it with {CONFIRM_OPTION}"
    )]
    Marker(#[source] MarkerError),
    /// The file belongs to something else.
    #[error("{} is a database, but not one of this signer", database.display())]
    ForeignDatabase {
        /// The file.
        database: PathBuf,
    },
    /// The database holds Web3Signer's tables, and none of ours.
    #[error(
        "{} is Web3Signer's database. Its records are not known here until they are brought over: \
         give Midslot a database of its own (or a schema, by currentSchema in the URL) and run \
         `eth2 migrate from-web3signer`", database.display()
    )]
    Web3SignerDatabase {
        /// Its address.
        database: PathBuf,
    },
    /// The records of this database were moved to another one.
    #[error(
        "the records of {} were moved to another database (identity {moved_to}): start the signer \
         with that one. Nothing may be signed here until they are moved back", database.display()
    )]
    Moved {
        /// The database that was opened.
        database: PathBuf,
        /// Identity of the one that has the records.
        moved_to: Uuid,
    },
    /// The schema is older than this signer, and it may not change it.
    #[error(
        "{} has schema version {found}, this signer needs {needed}: start once with \
         --db-migrate=auto as a user who may change the schema", database.display()
    )]
    MigrationsMissing {
        /// Its address.
        database: PathBuf,
        /// Version in the database; 0 when there is none.
        found: i64,
        /// Version that this signer needs.
        needed: i64,
    },
    /// A newer version of the signer has used the database.
    #[error(
        "{} has schema version {found}, newer than version {supported} of this signer: use the \
         newer signer, never an older one on its database", database.display()
    )]
    NewerSchema {
        /// The file.
        database: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version that this signer knows.
        supported: i64,
    },
    /// The schema could not be brought to this version.
    #[error("can't prepare the schema of {}", database.display())]
    Migration {
        /// The file.
        database: PathBuf,
        /// What happened.
        source: sqlx::migrate::MigrateError,
    },
    /// The database protects the validators of another chain.
    #[error(
        "{} belongs to the chain with genesis validators root {pinned}, but the network has \
         {network}", database.display()
    )]
    WrongGenesisValidatorsRoot {
        /// The file.
        database: PathBuf,
        /// Root in the file.
        pinned: Root,
        /// Root of the configured network.
        network: Root,
    },
    /// The database failed or can't be trusted: it can't be reached, is corrupt, busy, read-only,
    /// contradicts itself, lacks a setting that durability depends on, has no space left.
    #[error("can't open the slashing protection database {}: {source}", database.display())]
    Store {
        /// The file.
        database: PathBuf,
        /// What happened.
        source: StoreError,
    },
}

/// Why keys could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The marker that guards against a lost database could not be written.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The database did not take the keys.
    #[error("can't register keys in the slashing protection database: {0}")]
    Unavailable(#[from] Unavailable),
}

/// Why a duty was not cleared. Nothing may be signed.
#[derive(Debug, thiserror::Error)]
pub enum NotCleared {
    /// The rules forbid it (412).
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The key was never registered here.
    #[error("the key {key} is not registered for slashing protection")]
    Unregistered {
        /// The key.
        key: PublicKey,
    },
    /// The database could not answer. It may or may not have recorded the duty; the same request
    /// may be sent again.
    #[error("slashing protection is unavailable: {0}")]
    Unavailable(#[from] Unavailable),
    /// A mistake in the signer: the ticket was opened for another database.
    #[error("the audit ticket belongs to another database")]
    ForeignTicket,
}

/// Why the database did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// More requests wait than the queue holds; nothing was recorded.
    #[error("too many requests wait for the database")]
    QueueFull,
    /// The database failed; it is being opened again.
    #[error("the database failed")]
    Database,
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    TimedOut,
    /// It was closed.
    #[error("the database is closed")]
    Closed,
    /// Nothing slashable is signed until an operator has looked and the signer is started again.
    #[error("it is halted until an operator has looked: {reason} (the log says more)")]
    Halted {
        /// Why.
        reason: &'static str,
    },
}

impl Unavailable {
    /// What is told to those whose request an error of the database ended.
    pub(super) const fn after(error: &StoreError) -> Self {
        match error.halt_reason() {
            Some(reason) => Self::Halted { reason },
            None => Self::Database,
        }
    }
}
