//! Where records are kept: the trait behind which databases hide.
//!
//! A store decides with the pure rules ([`super::rules`]) and makes durable what they allow; the
//! lane above decides in which order and in which batches.

pub(crate) mod pruning;
pub(crate) mod records;
pub(crate) mod sqlite;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use self::pruning::Pruning;
pub use self::pruning::PruningPolicy;
use super::{refusal::Refusal, rules::VoteEpochs};
use crate::audit::{Entry, Filter};

/// One slashable duty. `Subject` is [`VoteEpochs`] for attestations and [`Slot`] for blocks.
#[derive(Clone, Debug)]
pub(crate) struct Request<Subject> {
    pub(crate) key: PublicKey,
    pub(crate) subject: Subject,
    pub(crate) signing_root: Root,
    /// Chain the request claims to be on.
    pub(crate) genesis_validators_root: Root,
    /// Audit row to be written in the transaction that records the duty.
    pub(crate) audit: Box<Entry>,
}

impl<Subject: PartialEq> Request<Subject> {
    /// Whether both ask for the same signature. A zero root is never the same as anything.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.signing_root != Root::ZERO
            && self.key == other.key
            && self.subject == other.subject
            && self.signing_root == other.signing_root
            && self.genesis_validators_root == other.genesis_validators_root
    }
}

/// A store's answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Safe and durably recorded, with its audit row.
    New,
    /// On record since earlier.
    Repeat,
    /// Must not be signed.
    Refused(Refusal),
    /// No state for this key.
    Unregistered,
    /// The history that the decision needs can't be read; nothing was recorded.
    Unreadable,
}

/// Where the operator planned to stop all signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWatermark {
    /// First epoch that is not attested, neither as source nor as target.
    pub epoch: Epoch,
    /// First slot without a block.
    pub slot: Slot,
}

/// A part of the audit trail, newest first.
#[derive(Debug, Default)]
pub(crate) struct AuditPart {
    pub(crate) entries: Vec<Entry>,
    /// Where the next part begins; `None` at the end of the trail.
    pub(crate) next_before_id: Option<i64>,
}

/// A database. Every call is finished before the next one begins; after an error from a call that
/// writes, [`Store::recover`] must succeed before the next call.
pub(crate) trait Store: Pruning + Send + 'static {
    /// Decides every request and records the new ones in one durable transaction. A key occurs at
    /// most once in a batch. On an error nothing is known: each of them may have been recorded.
    fn clear_attestations(
        &mut self,
        batch: &[Request<VoteEpochs>],
    ) -> impl Future<Output = Result<Vec<Decision>, StoreError>> + Send;

    /// The same for blocks.
    fn clear_blocks(
        &mut self,
        batch: &[Request<Slot>],
    ) -> impl Future<Output = Result<Vec<Decision>, StoreError>> + Send;

    /// Makes state for keys that have none; known keys stay as they are.
    fn register(
        &mut self,
        keys: &[PublicKey],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The high watermark as of the last load.
    fn high_watermark(&self) -> Option<HighWatermark>;

    /// Transactions with records that are durable for certain, the bound that markers keep. `None`
    /// for a database that does not count them.
    fn batches(&self) -> Option<u64>;

    /// Writes rows under their ids; a row that is there already is completed.
    fn write_audit(
        &mut self,
        entries: &[&Entry],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads a part of the audit trail before the filter's cursor. Looks at a bounded number of
    /// rows, so that signing does not wait for long; the part may be empty and not the last.
    fn read_audit(
        &mut self,
        filter: &Filter,
    ) -> impl Future<Output = Result<AuditPart, StoreError>> + Send;

    /// Proves that a record could be written now and would stay.
    fn check(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Called when nothing has waited for a while: time for housekeeping.
    fn idle(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Opens the database again and loads its state, after an error left the outcome unknown.
    fn recover(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts everything in order and lets go of the database.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;
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
    /// The file can't be written.
    #[error("the database file is read-only: {0}")]
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
            Self::WentBack { .. } | Self::BatchesLost { .. } => {
                Some("the database has lost records")
            }
            _ => None,
        }
    }
}
