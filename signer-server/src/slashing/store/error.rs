//! Why a database call failed, and which of the two databases' codes means what.

use signer_client::wire::PublicKey;
use sqlx::{postgres::PgDatabaseError, sqlite::SqliteError};
use uuid::Uuid;

use super::{postgres, sqlite};

/// The database has forgotten what it had confirmed, or is another one. Nothing may be signed on it
/// until an operator has looked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolledBack {
    /// Another server answers under this address.
    #[error("another database server answers: its system identifier is {found}, it was {expected}")]
    AnotherServer {
        /// Identifier at the start.
        expected: String,
        /// Identifier now.
        found: String,
    },
    /// The server was restored from a backup, or a standby was promoted.
    #[error(
        "the database server was restored or failed over: its timeline is {found}, it was {expected}"
    )]
    AnotherTimeline {
        /// Timeline at the start, in hexadecimal.
        expected: String,
        /// Timeline now.
        found: String,
    },
    /// Another database has taken the place of the one that was opened.
    #[error("another slashing protection database is in its place: {found}, it was {expected}")]
    AnotherDatabase {
        /// Identity at the start.
        expected: Uuid,
        /// Identity now.
        found: Uuid,
    },
    /// The tables are not the ones that were made for this database: a dump was restored.
    #[error(
        "the tables of the database were made again, as by the restore of a dump: number {found}, \
         it was {expected}"
    )]
    AnotherTable {
        /// The server's number for one of the tables at the start.
        expected: i64,
        /// The same now.
        found: i64,
    },
    /// A signer has halted on this database, and nobody has confirmed it since.
    #[error("a signer has halted on it: {reason}")]
    HaltedBefore {
        /// Why it halted.
        reason: String,
    },
    /// Tables are gone or empty.
    #[error("the database has lost its tables or what was in them")]
    TablesLost,
    /// Transactions that were durable never happened.
    #[error("the database server went back from transaction {durable} to {found}")]
    TransactionsLost {
        /// Newest transaction that was durable.
        durable: i64,
        /// Transaction that the server counts now.
        found: i64,
    },
    /// The database allowed what it had recorded the opposite of.
    #[error("the database has lost records of the key {key}")]
    RecordsLost {
        /// A key with lost records.
        key: PublicKey,
    },
}

/// Why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another program holds a lock.
    #[error("the database is in use by another program: {0}")]
    Busy(#[source] sqlx::Error),
    /// No space left.
    #[error("the disk is full: {0}")]
    Full(#[source] sqlx::Error),
    /// The database can't be written.
    #[error("the database is read-only: {0}")]
    ReadOnly(#[source] sqlx::Error),
    /// The file is no database or a damaged one.
    #[error("the database file is corrupt: {0}")]
    Corrupt(#[source] sqlx::Error),
    /// The file can't be opened, read or written.
    #[error("input or output failed: {0}")]
    InputOutput(#[source] sqlx::Error),
    /// A row contradicts a row that is there.
    #[error("a record contradicts the database: {0}")]
    Constraint(#[source] sqlx::Error),
    /// Anything else that the driver reports.
    #[error(transparent)]
    Driver(sqlx::Error),
    /// The files under our feet are not those that were opened.
    #[error("the database file was removed or replaced while in use")]
    Replaced,
    /// The log of the database is gone. What it held may be lost; only loading tells.
    #[error("the log of the database was removed or replaced while in use")]
    LogReplaced,
    /// The reopened database knows less than was durably recorded in it.
    #[error("the database has lost records of the key {key}")]
    WentBack {
        /// A key whose state went back.
        key: PublicKey,
    },
    /// The reopened database has fewer transactions with records than were durable in it.
    #[error("the database has lost records: {written} batches were written, it holds {found}")]
    BatchesLost {
        /// Batches that were durable.
        written: u64,
        /// Batches that are there.
        found: u64,
    },
    /// A stored value can't be what the schema promises.
    #[error("the database holds an impossible value in {column}")]
    ImpossibleValue {
        /// Where.
        column: &'static str,
    },
    /// The highest slot or target of some keys is below their own records: damage, or another
    /// program's writes.
    #[error("the database contradicts itself: {keys} keys have records above their maxima")]
    StateBehindHistory {
        /// How many.
        keys: i64,
    },
    /// A setting that durability depends on was not taken; the usual cause is a file system that
    /// can't lock or map files.
    #[error(
        "the database does not take the setting {setting} = {wanted} (it stays {found}); is it on \
         a network file system?"
    )]
    WeakSetting {
        /// Name of the pragma.
        setting: &'static str,
        /// Value that is needed.
        wanted: &'static str,
        /// Value that was read back.
        found: String,
    },
    /// An update reached fewer rows than it must.
    #[error("the state of {missing} keys is missing in the database")]
    StateMissing {
        /// How many.
        missing: u64,
    },
    /// The server ended the transaction because of others; nothing was recorded.
    #[error("the database gave the transaction up: {0}")]
    NotCommitted(#[source] sqlx::Error),
    /// No table holds records of this epoch or day yet; nothing was recorded.
    #[error("the database has no partition for a record: {0}")]
    NoPartition(#[source] sqlx::Error),
    /// The records lie too far apart.
    #[error(
        "the attestations are spread over more than {most} tables of 225 epochs each; import a \
         file without the oldest and without impossibly high targets"
    )]
    TooManyPartitions {
        /// How many tables one import may need.
        most: usize,
    },
    /// The server can't be reached, or the connection ended.
    #[error("no connection to the database server: {0}")]
    NoConnection(#[source] sqlx::Error),
    /// The server is silent; it may or may not have done what it was asked.
    #[error("the database server does not answer")]
    NoAnswer,
    /// User or password are wrong, or the server does not let this user in.
    #[error("the database server refuses the login: {0}")]
    Login(#[source] sqlx::Error),
    /// The server has no database of this name.
    #[error("the database does not exist on the server: {0}")]
    NoDatabase(#[source] sqlx::Error),
    /// `currentSchema` or the user's search path name no schema that exists.
    #[error("no schema for the tables: none of the search path exists (currentSchema in the URL)")]
    NoSchema,
    /// A standby, or a server or user set to read-only.
    #[error(
        "the database server takes no records: it is a standby or set to read-only. Connect to the \
         primary server"
    )]
    TakesNoRecords,
    /// The server would lose what it has confirmed.
    #[error(
        "the database server runs with {setting} = {found} and could lose records in a crash: set \
         {setting} = {wanted} there"
    )]
    UnsafeServer {
        /// Name of the setting.
        setting: &'static str,
        /// Value that is needed.
        wanted: &'static str,
        /// Value that is in force.
        found: String,
    },
    /// The server is not where it was; only an operator knows what is lost.
    #[error(transparent)]
    RolledBack(#[from] RolledBack),
    /// No connection: an earlier attempt to open the database again failed.
    #[error("the database is not open")]
    NotOpen,
}

impl StoreError {
    /// Why protection must halt until an operator has looked; `None` for errors that may go away.
    /// The words may be shown to anybody: they name no path.
    pub(crate) const fn halt_reason(&self) -> Option<&'static str> {
        match self {
            Self::Replaced => Some("the database file was removed or replaced while in use"),
            Self::WentBack { .. }
            | Self::BatchesLost { .. }
            | Self::RolledBack(
                RolledBack::TransactionsLost { .. }
                | RolledBack::RecordsLost { .. }
                | RolledBack::HaltedBefore { .. }
                | RolledBack::TablesLost,
            ) => Some("the database has lost records"),
            Self::RolledBack(RolledBack::AnotherTimeline { .. }) => {
                Some("the database server was restored or failed over")
            }
            Self::RolledBack(
                RolledBack::AnotherServer { .. }
                | RolledBack::AnotherDatabase { .. }
                | RolledBack::AnotherTable { .. },
            ) => Some("another database has taken the place of the one in use"),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(cause) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed => Self::NoConnection(error),
                _ => Self::Driver(error),
            };
        };
        if cause.try_downcast_ref::<PgDatabaseError>().is_some() {
            postgres::cause(error)
        } else if cause.try_downcast_ref::<SqliteError>().is_some() {
            sqlite::cause(error)
        } else {
            Self::Driver(error)
        }
    }
}
