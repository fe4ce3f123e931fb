//! Where records are kept: the trait behind which databases hide.
//!
//! A store decides with the pure rules ([`super::rules`]) and makes durable what they allow; the
//! lane above decides in which order and in which batches.

pub(crate) mod audit_retention;
mod audit_rows;
mod changes;
mod error;
pub(crate) mod moves;
pub(crate) mod postgres;
pub(crate) mod pruning;
pub(crate) mod records;
mod rows;
pub(crate) mod sqlite;
mod start;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use self::{audit_retention::AuditRetention, pruning::Pruning};
pub use self::{
    error::{RolledBack, StoreError},
    pruning::PruningPolicy,
};
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
pub(crate) trait Store: AuditRetention + Pruning + Send + 'static {
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

    /// Transactions that are durable for certain, the bound that markers keep: those with records on
    /// SQLite, all of the server's on PostgreSQL. `None` for a database that does not count them.
    fn transactions(&self) -> Option<u64>;

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
