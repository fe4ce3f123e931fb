//! A typed client for Web3Signer-compatible signers.
//!
//! [`RemoteSigner`] is what a validator client programs against; [`HttpSigner`] speaks to one or
//! more signers over HTTP. [`RemoteAggregator`] is its sibling for aggregation jobs. With the feature
//! `mock` there is a signer inside the process for tests.
//!
//! Invariant: a block or an attestation is never sent to a signer that might not know what another
//! one has signed, unless the caller vouches that they share their slashing protection
//! ([`HttpOptions::shared_slashing_protection`]).

mod aggregation;
mod deadline;
mod error;
mod http;
mod keys;

use std::{future::Future, pin::Pin};

pub use aggregation::{AggregationError, RemoteAggregator};
pub use deadline::Deadline;
pub use error::SignError;
use futures_util::Stream;
pub use http::{
    BearerToken, ClientIdentity, Endpoint, HttpOptions, HttpSigner, SetupError, TlsOptions,
};
pub use keys::{KeyChange, KeyWatch};

use crate::wire::{
    AggregationSlot, ForkInfo, PublicKey, QuotedU64, SignPayload, SignRequest, Signature, Slot,
    SyncAggregatorSelectionData,
};

/// A future on the heap, so that [`RemoteSigner`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream on the heap, so that [`RemoteAggregator`] can be a trait object.
pub type BoxStream<'a, T> = Pin<Box<dyn Stream<Item = T> + Send + 'a>>;

/// The result for each key, in the order of the keys.
pub type KeyResults = Vec<Result<Signature, SignError>>;

/// Whatever signs for a validator client.
pub trait RemoteSigner: Send + Sync + 'static {
    /// Signs one object with one key.
    fn sign<'a>(
        &'a self,
        key: &'a PublicKey,
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Signature, SignError>>;

    /// Signs one object with many keys. The failure of one key changes nothing for the others;
    /// a failure of the whole is the result of every key.
    fn sign_batch<'a>(
        &'a self,
        keys: &'a [PublicKey],
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults>;

    /// Makes the proofs of one slot, ahead of need where the signer can tell that from a duty.
    /// Results are as those of [`Self::sign_batch`], which is what it does without an
    /// implementation of its own.
    fn selection_proofs<'a>(
        &'a self,
        proofs: &'a ProofBatch,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        Box::pin(async move {
            self.sign_batch(
                &proofs.keys,
                &proofs.selection.request(proofs.slot, proofs.fork_info),
                deadline,
            )
            .await
        })
    }

    /// The keys that can sign, in no particular order.
    fn public_keys(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<PublicKey>, SignError>>;

    /// Whether the signer answers at all.
    fn up(&self, deadline: Deadline) -> BoxFuture<'_, Result<(), SignError>>;
}

/// What a selection proof selects for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selection {
    /// Aggregator of attestations (consensus-specs, phase0 `get_slot_signature`).
    Attestation,
    /// Aggregator of a sync subcommittee (consensus-specs, altair
    /// `get_sync_committee_selection_proof`).
    SyncCommittee {
        /// The subcommittee, 0 to 3.
        subcommittee_index: u64,
    },
}

impl Selection {
    /// The ordinary request for one proof.
    pub const fn request(self, slot: Slot, fork_info: ForkInfo) -> SignRequest {
        let payload = match self {
            Self::Attestation => SignPayload::AggregationSlot(AggregationSlot { slot }),
            Self::SyncCommittee { subcommittee_index } => {
                SignPayload::SyncCommitteeSelectionProof(SyncAggregatorSelectionData {
                    slot,
                    subcommittee_index: QuotedU64(subcommittee_index),
                })
            }
        };
        SignRequest { fork_info: Some(fork_info), signing_root: None, payload }
    }

    /// The subcommittee, if there is one.
    pub(crate) const fn subcommittee_index(self) -> Option<QuotedU64> {
        match self {
            Self::Attestation => None,
            Self::SyncCommittee { subcommittee_index } => Some(QuotedU64(subcommittee_index)),
        }
    }
}

/// The selection proofs of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofBatch {
    /// Slot of the duty.
    pub slot: Slot,
    /// What the proofs select for.
    pub selection: Selection,
    /// Chain and fork of the slot.
    pub fork_info: ForkInfo,
    /// Who needs a proof.
    pub keys: Vec<PublicKey>,
}

/// A random number from 0 up to, not including, 1. Not for secrets.
pub(crate) fn random_fraction() -> f64 {
    // Without the system's randomness there is no jitter, which is only untidy.
    f64::from(getrandom::u32().unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}
