//! What an operator does with the records of a database: import, export, watermarks, switching keys
//! on and off. The other half of a database beside [`super::Store`], which signs.
//!
//! Every change is one transaction: all of it or, after an error or a crash, nothing. Decisions are
//! pure ([`crate::slashing::interchange`]); an implementation only fetches and writes. On a
//! database that live signers share, a transaction that changes records must hold the locks that
//! clearing a duty takes, in the same order.

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::{HighWatermark, StoreError};
use crate::slashing::{
    interchange::{KeyOutcome, merge::KeyImport},
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{AttestationState, BlockState},
};

/// Everything that is on record of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecords {
    pub(crate) key: PublicKey,
    pub(crate) attestation: AttestationState,
    pub(crate) block: BlockState,
    /// In any order.
    pub(crate) attestations: Vec<RecordedAttestation>,
    /// In any order.
    pub(crate) blocks: Vec<RecordedBlock>,
}

/// Which keys of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of them, disabled ones included.
    All,
    /// These. Each must be known, or nothing happens.
    Keys(&'a [PublicKey]),
}

/// Low watermarks: at and below these nothing is signed (a source may be at, not below).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowWatermark {
    /// For attestations, source and target.
    pub epoch: Epoch,
    /// For blocks.
    pub slot: Slot,
}

/// Why records could not be read or changed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database protects the validators of another chain.
    #[error(
        "the database belongs to the chain with genesis validators root {pinned}, not to the one \
         with {claimed}"
    )]
    OtherChain {
        /// Root in the database.
        pinned: Root,
        /// Root of the file or the network.
        claimed: Root,
    },
    /// Some of the named keys are not in the database.
    #[error("{count} of the named keys are not in the database, among them {first}")]
    UnknownKeys {
        /// How many.
        count: usize,
        /// One of them.
        first: PublicKey,
    },
    /// There is no key to change.
    #[error("there are no keys in the database")]
    NoKeys,
    /// A low watermark would lie above the high watermark.
    #[error(
        "the low watermark (epoch {}, slot {}) may not be above the high watermark (epoch {}, slot \
         {})", low.epoch, low.slot, high.epoch, high.slot
    )]
    LowAboveHigh {
        /// What was asked for.
        low: LowWatermark,
        /// What is set.
        high: HighWatermark,
    },
    /// The high watermark would be at or below a low watermark.
    #[error(
        "the high watermark (epoch {}, slot {}) must be above every low watermark, but that of the \
         key {key} is at {at}", high.epoch, high.slot
    )]
    HighNotAboveLow {
        /// What was asked for.
        high: HighWatermark,
        /// A key in the way.
        key: PublicKey,
        /// The epoch or slot of its low watermark.
        at: WatermarkPlace,
    },
}

/// An epoch or a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatermarkPlace {
    /// Of attestations.
    #[error("epoch {0}")]
    Epoch(Epoch),
    /// Of blocks.
    #[error("slot {0}")]
    Slot(Slot),
}

/// A database, for its operator.
pub(crate) trait Records: Send {
    /// Root of the chain that the database protects; `None` until something pins it.
    fn genesis_validators_root(
        &mut self,
    ) -> impl Future<Output = Result<Option<Root>, StoreError>> + Send;

    /// Begins the one transaction of an import: checks or pins the chain, makes state for those of
    /// `keys` that have none, and locks the state of all of them against signing. Dropped without
    /// [`ImportTransaction::commit`], nothing happened. Never enables a key.
    fn begin_import(
        &mut self,
        genesis_validators_root: Root,
        keys: &[PublicKey],
    ) -> impl Future<Output = Result<impl ImportTransaction, RecordsError>> + Send;

    /// Begins to read: everything read from the snapshot was true at one instant.
    fn begin_export(&mut self) -> impl Future<Output = Result<impl Snapshot, StoreError>> + Send;

    /// Raises floors, and where necessary maxima; none goes down. Refused above the high
    /// watermark. Returns how many keys there were.
    fn raise_floors(
        &mut self,
        keys: Selection<'_>,
        low: LowWatermark,
    ) -> impl Future<Output = Result<usize, RecordsError>> + Send;

    /// Sets the high watermark or removes it. One that is at or below a floor of any key is
    /// refused. Signers of the same process follow at once, others when they load it next.
    fn set_high_watermark(
        &mut self,
        high: Option<HighWatermark>,
    ) -> impl Future<Output = Result<(), RecordsError>> + Send;

    /// Switches keys on or off for blocks and attestations alike. When it returns, no key that was
    /// switched off is cleared any more. Each key must be known.
    fn set_enabled(
        &mut self,
        keys: &[PublicKey],
        enabled: bool,
    ) -> impl Future<Output = Result<(), RecordsError>> + Send;
}

/// An import that has begun.
pub(crate) trait ImportTransaction: Send {
    /// Merges some keys. Each must be among those that the import began with, and comes once in
    /// the whole import. The outcomes are in the order of `keys`.
    fn merge(
        &mut self,
        keys: &[KeyImport],
    ) -> impl Future<Output = Result<Vec<KeyOutcome>, StoreError>> + Send;

    /// Makes all of it durable. After an error nobody knows whether it is.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The records as of one instant.
pub(crate) trait Snapshot: Send {
    /// Root of the chain; `None` until something pins it.
    fn genesis_validators_root(&self) -> Option<Root>;

    /// Every key, ascending.
    fn keys(&self) -> &[PublicKey];

    /// The records of some of the keys, in their order. Ask for a few hundred at a time: all of
    /// them are in memory at once.
    fn read(
        &mut self,
        keys: &[PublicKey],
    ) -> impl Future<Output = Result<Vec<KeyRecords>, StoreError>> + Send;
}

/// The named keys, ascending and each once; an error when any of them is not known.
pub(crate) fn named_keys(
    named: &[PublicKey],
    is_known: impl Fn(&PublicKey) -> bool,
) -> Result<Vec<PublicKey>, RecordsError> {
    let mut keys = named.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let mut unknown = keys.iter().filter(|key| !is_known(key));
    match unknown.next() {
        Some(&first) => Err(RecordsError::UnknownKeys { count: 1 + unknown.count(), first }),
        None => Ok(keys),
    }
}
