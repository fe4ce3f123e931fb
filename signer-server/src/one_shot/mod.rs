//! One-shot signing: an aggregate that the worker has proved becomes a message that a beacon node
//! takes, without another round trip.
//!
//! The path: the aggregate is verified and not empty; the aggregator's selection proof is checked,
//! or made; the proof selects; `object` puts the message together for the fork of the slot; it is
//! signed by the ordinary way of a signing request, with its queue, its audit row and its metrics.
//! None of this runs on the worker's threads, which have no access to keys.
//!
//! Invariant: nothing is signed that was not verified against exactly the bits that it has. Nodes
//! take one aggregate of an aggregator for a slot, so the first one is remembered (`once`) and given
//! again unless the caller asks for another.

mod object;
mod once;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use midslot_aggregation::Aggregate;
use signer_client::{
    aggregator::{is_aggregator, is_sync_committee_aggregator},
    wire::{
        QuotedU64, Signature,
        aggregation::{SignRefusal, SignedAggregate, SigningOutcome},
    },
};
use tokio::task::block_in_place;

use self::{
    object::Object,
    once::{Found, Known, OnceId, SignedOnce},
};
use crate::{
    aggregation::{GroupSigner, GroupToSign, snapshot::Subject},
    audit::{Client, Outcome},
    bls,
    duty::{self, DutyError, Network},
    scheduler::Lost,
    signing::{SignError, SigningService},
    slashing::{NotCleared, Unavailable},
};

/// Signs aggregates that the worker has proved.
pub struct OneShot {
    signing: Arc<SigningService>,
    signed: SignedOnce,
}

/// Why a group is not signed.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the group has no aggregate")]
    NoAggregate,
    #[error("the aggregate was not verified (options.verify is none)")]
    NotVerified,
    #[error("a raw group, or one without its data, has no form to be signed in")]
    NotSignable,
    #[error("no such key is loaded")]
    UnknownKey,
    #[error("selection_proof is not the signature of aggregator_pubkey for this slot")]
    BadSelectionProof,
    #[error("the selection proof does not select this key in a committee of {members}")]
    NotAggregator { members: usize },
    #[error(transparent)]
    WrongFork(#[from] DutyError),
    #[error(transparent)]
    Signing(#[from] SignError),
}

impl OneShot {
    /// Signs by this service.
    pub fn new(signing: Arc<SigningService>) -> Self {
        Self { signing, signed: SignedOnce::default() }
    }

    /// The network whose signing roots are computed.
    pub fn network(&self) -> &Network {
        self.signing.network()
    }

    /// Signs a group, or says why not. Leaves at least one audit row.
    pub async fn sign(&self, client: &Client, wanted: &GroupToSign) -> SigningOutcome {
        match self.signed(client, wanted).await {
            Ok((known, repeated)) => SigningOutcome::Signed(SignedAggregate {
                version: wanted.fork,
                repeated,
                object: known.object.clone(),
            }),
            Err(refused) => {
                self.write_down(client, wanted, &refused);
                SigningOutcome::Refused { reason: refused.reason(), message: refused.to_string() }
            }
        }
    }

    /// The message, and whether it was signed before.
    async fn signed(
        &self,
        client: &Client,
        wanted: &GroupToSign,
    ) -> Result<(Arc<Known>, bool), Refused> {
        let aggregate = wanted.aggregate.as_ref().ok_or(Refused::NoAggregate)?;
        if !aggregate.verified {
            return Err(Refused::NotVerified);
        }
        if aggregate.bits.is_empty() {
            return Err(Refused::NoAggregate);
        }
        let id = OnceId::of(wanted, self.signing.network()).ok_or(Refused::NotSignable)?;
        if !self.signing.holds(&wanted.wish.aggregator_pubkey) {
            return Err(Refused::UnknownKey);
        }
        if wanted.wish.resign {
            let known = self.make(client, wanted, aggregate).await?;
            self.signed.replace(id, Arc::clone(&known));
            return Ok((known, false));
        }
        // Whoever asks for the same at the same time waits for the first one's signature.
        let (known, is_new) = match self.signed.find(id) {
            Found::Signed(known) => (known, false),
            Found::Unsigned(place) => place.signed(self.make(client, wanted, aggregate)).await?,
        };
        if !is_new {
            let key = &wanted.wish.aggregator_pubkey;
            let signature = Some(known.signature());
            self.signing.sign_own(client.clone(), key, &known.duty, signature).await?;
        }
        Ok((known, !is_new))
    }

    async fn make(
        &self,
        client: &Client,
        wanted: &GroupToSign,
        aggregate: &Aggregate,
    ) -> Result<Arc<Known>, Refused> {
        let network = self.signing.network();
        let proof = self.selection_proof(client, wanted).await?;
        let members = usize::from(aggregate.bits.len().get());
        let is_selected = match wanted.subject {
            Subject::SyncContribution { .. } => {
                is_sync_committee_aggregator(network.preset.sync_committee_size() as u64, &proof)
            }
            Subject::Attestation { .. } | Subject::Raw => is_aggregator(members as u64, &proof),
        };
        if !is_selected {
            return Err(Refused::NotAggregator { members });
        }
        let object = Object::of(network, wanted, aggregate, proof).ok_or(Refused::NotSignable)?;
        let duty = object.duty(network, &wanted.fork_info, wanted.fork)?;
        let key = &wanted.wish.aggregator_pubkey;
        let signature = self.signing.sign_own(client.clone(), key, &duty, None).await?;
        Ok(Arc::new(Known { object: object.signed(signature), duty }))
    }

    /// The proof that came along, if it is the right one; else the one from memory, or made now.
    async fn selection_proof(
        &self,
        client: &Client,
        wanted: &GroupToSign,
    ) -> Result<Signature, Refused> {
        let subcommittee = match wanted.subject {
            Subject::SyncContribution { subcommittee_index, .. } => {
                Some(QuotedU64(subcommittee_index))
            }
            Subject::Attestation { .. } | Subject::Raw => None,
        };
        let network = self.signing.network();
        let GroupToSign { fork_info, fork, slot, wish, .. } = wanted;
        let duty = duty::selection_proof(network, fork_info, Some(*fork), *slot, subcommittee)?;
        let key = &wish.aggregator_pubkey;
        match wish.selection_proof {
            // A millisecond, in which the other requests of this thread move to another one.
            Some(proof) => block_in_place(|| bls::verify(key, &duty.signing_root, &proof))
                .then_some(proof)
                .ok_or(Refused::BadSelectionProof),
            None => Ok(self.signing.sign_own(client.clone(), key, &duty, None).await?),
        }
    }

    /// Leaves a row of what was refused here. What the signing service refuses has its row.
    fn write_down(&self, client: &Client, wanted: &GroupToSign, refused: &Refused) {
        let outcome = match refused {
            Refused::Signing(_) => return,
            Refused::UnknownKey => Outcome::UnknownKey,
            _ => Outcome::Malformed,
        };
        let key = wanted.wish.aggregator_pubkey.to_string();
        self.signing.refuse_unread(client.clone(), &key, outcome, &refused.to_string());
    }
}

impl Refused {
    const fn reason(&self) -> SignRefusal {
        match self {
            Self::NoAggregate => SignRefusal::NoAggregate,
            Self::NotVerified => SignRefusal::NotVerified,
            Self::NotSignable => SignRefusal::NotSignable,
            Self::UnknownKey | Self::Signing(SignError::UnknownKey) => SignRefusal::UnknownKey,
            Self::BadSelectionProof => SignRefusal::BadSelectionProof,
            Self::NotAggregator { .. } => SignRefusal::NotAggregator,
            Self::WrongFork(_) => SignRefusal::WrongFork,
            Self::Signing(
                SignError::Overloaded(_)
                | SignError::Lost(Lost::Expired)
                | SignError::NotCleared(NotCleared::Unavailable(Unavailable::QueueFull)),
            ) => SignRefusal::Overloaded,
            Self::Signing(_) => SignRefusal::Failed,
        }
    }
}

impl GroupSigner for OneShot {
    fn sign<'a>(
        &'a self,
        client: &'a Client,
        group: &'a GroupToSign,
    ) -> BoxFuture<'a, SigningOutcome> {
        Self::sign(self, client, group).boxed()
    }
}
