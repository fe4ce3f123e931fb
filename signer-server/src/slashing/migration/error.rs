//! What can go wrong in a move.

use signer_client::wire::Root;
use uuid::Uuid;

use super::{compare::Gap, web3signer::Problem};
use crate::slashing::{MarkerError, RecordsError, StoreError};

/// What went wrong in Web3Signer's database. Its transaction has no effect then, unless its commit
/// was under way.
#[derive(Debug, thiserror::Error)]
pub enum Web3SignerError {
    /// The server did not come up in time.
    #[error("Web3Signer's database server does not answer")]
    NoAnswer,
    /// Not all of its tables are there.
    #[error(
        "it does not hold Web3Signer's tables; if they lie in a schema of their own, name it by \
         currentSchema in the URL"
    )]
    NotWeb3Signers,
    /// Another version than those that are understood.
    #[error(
        "Web3Signer's database has version {found}; versions {oldest} to {newest} can be moved. Let \
         Web3Signer's migrations bring an older one up to date"
    )]
    UnknownVersion {
        /// Version in the database.
        found: i32,
        /// Oldest that is understood.
        oldest: i32,
        /// Newest that is understood.
        newest: i32,
    },
    /// Its version changed while the lock was waited for.
    #[error("Web3Signer's database was changed by another program at the same time; run it again")]
    ChangedMeanwhile,
    /// Somebody holds its tables.
    #[error(
        "Web3Signer's tables were in use for 30 seconds on end (a long pruning, import, migration or \
         backup?); nothing was changed, try again"
    )]
    InUse,
    /// The user may not do what the fence needs.
    #[error(
        "the user may not fence Web3Signer's database off: it must own Web3Signer's tables and may \
         make tables beside them, as the user does that runs Web3Signer's migrations ({0})"
    )]
    NotAllowed(#[source] sqlx::Error),
    /// A value that was looked at before is another one now.
    #[error("Web3Signer's database holds an impossible value in {column}")]
    ImpossibleValue {
        /// Where.
        column: &'static str,
    },
    /// Anything else.
    #[error("Web3Signer's database: {0}")]
    Database(#[source] StoreError),
}

impl From<sqlx::Error> for Web3SignerError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // lock_not_available, deadlock_detected
            Some("55P03" | "40P01") => Self::InUse,
            // insufficient_privilege
            Some("42501") => Self::NotAllowed(error),
            _ => Self::Database(error.into()),
        }
    }
}

impl From<StoreError> for Web3SignerError {
    fn from(error: StoreError) -> Self {
        Self::Database(error)
    }
}

/// Why a move did not come to its end. Running the same command again goes on from wherever it
/// stopped; see the states in the module's documentation.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Web3Signer's database.
    #[error(transparent)]
    Web3Signer(#[from] Web3SignerError),
    /// Some of Web3Signer's rows can't be moved.
    #[error("{} rows of Web3Signer's database can't be moved; nothing was changed", problems.len())]
    Problems {
        /// Each of them.
        problems: Vec<Problem>,
    },
    /// The source belongs to another chain than the network.
    #[error(
        "the records belong to the chain with genesis validators root {found}, but the network has \
         {network}: name the right one with --network; nothing was changed"
    )]
    OtherNetwork {
        /// Root in the source.
        found: Root,
        /// Root of the network.
        network: Root,
    },
    /// Neither the source nor the network says which chain it is.
    #[error("neither the records nor the network tell the genesis validators root; name a network")]
    NoChain,
    /// The records went somewhere else before.
    #[error(
        "the records were moved before, to the database with the identity {moved_to}, and this one \
         is {found}: nothing was changed. Work with that one, or move them on from there"
    )]
    MovedElsewhere {
        /// Where they are.
        moved_to: Uuid,
        /// The database that was named now.
        found: Uuid,
    },
    /// Source and target are the same database.
    #[error("source and target are the same database")]
    SameDatabase,
    /// The records of the target went to a third database.
    #[error(
        "the records of the target were moved to the database with the identity {moved_to}: they \
         can only come back from there; nothing was changed"
    )]
    TargetMoved {
        /// Where they are.
        moved_to: Uuid,
    },
    /// After the copy something was missing.
    #[error(
        "after the copy the target lacks records of {} keys, among them {}; no key was switched on",
        gaps.len(), gaps[0]
    )]
    Incomplete {
        /// What is missing; never empty.
        gaps: Vec<Gap>,
    },
    /// There is no fence to take away.
    #[error("Web3Signer's database was not moved; there is nothing to undo")]
    NothingToUndo,
    /// Midslot has signed since.
    #[error(
        "{records} blocks and attestations are on record here that Web3Signer does not know: if it \
         signs again, they could get validators slashed. Nothing was changed. Export them and import \
         them into Web3Signer afterwards, and give --force"
    )]
    SignedSince {
        /// How many.
        records: u64,
    },
    /// A marker remembers a database that has no part in this.
    #[error(
        "{marker} remembers another database (identity {found}) than the source and the target; \
         nothing was changed"
    )]
    ForeignMarker {
        /// The file.
        marker: String,
        /// Identity in it.
        found: Uuid,
    },
    /// A marker can't be read or written.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// One of our databases.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl From<StoreError> for MoveError {
    fn from(error: StoreError) -> Self {
        Self::Records(error.into())
    }
}
