//! What was signed already: one aggregate for each key, slot and committee.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use signer_client::wire::{
    ForkInfo, ForkVersion, PublicKey, Root, Signature, Slot, aggregation::SignedObject,
};
use tokio::sync::OnceCell;

use crate::{
    aggregation::{GroupToSign, snapshot::Subject},
    duty::{Duty, Network},
};

/// Most aggregates that are remembered; the oldest give way. At most 1 KiB each. Ten thousand keys
/// have about ten aggregates in a slot, so that hours of them find room.
pub(super) const CAPACITY: usize = 4096;

/// What only one aggregate is signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OnceId {
    key: PublicKey,
    slot: Slot,
    part: Part,
    /// The chain and its fork: what was signed for another is of no use.
    version: ForkVersion,
    genesis_validators_root: Root,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Committee(u64),
    Subcommittee(u64),
}

impl OnceId {
    /// `None` for a group that can't be signed.
    pub(super) fn of(wanted: &GroupToSign, network: &Network) -> Option<Self> {
        let part = match wanted.subject {
            Subject::Attestation { data: Some(_), committee_index } => {
                Part::Committee(committee_index)
            }
            Subject::SyncContribution { subcommittee_index, .. } => {
                Part::Subcommittee(subcommittee_index)
            }
            Subject::Attestation { data: None, .. } | Subject::Raw => return None,
        };
        let ForkInfo { fork, genesis_validators_root } = wanted.fork_info;
        Some(Self {
            key: wanted.wish.aggregator_pubkey,
            slot: wanted.slot,
            part,
            version: fork.version_at(network.epoch_of(wanted.slot)),
            genesis_validators_root,
        })
    }
}

/// A signed message, with what signing it asked for.
pub(super) struct Known {
    pub(super) object: SignedObject,
    pub(super) duty: Duty,
}

impl Known {
    pub(super) fn signature(&self) -> Signature {
        match &self.object {
            SignedObject::AggregateAndProof(signed) => signed.signature,
            SignedObject::ContributionAndProof(signed) => signed.signature,
        }
    }
}

/// Where a message is, or comes when it is signed.
pub(super) type Place = Arc<OnceCell<Arc<Known>>>;

/// The messages that were signed, as many as find room.
#[derive(Default)]
pub(super) struct SignedOnce(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    places: HashMap<OnceId, Place>,
    /// Oldest first, each once.
    order: VecDeque<OnceId>,
}

impl SignedOnce {
    /// The place of a message, the same for all who ask.
    pub(super) fn place(&self, id: OnceId) -> Place {
        let mut known = self.0.lock();
        if let Some(place) = known.places.get(&id) {
            return Arc::clone(place);
        }
        let fresh = Place::default();
        known.put(id, Arc::clone(&fresh));
        fresh
    }

    /// Remembers another message from now on.
    pub(super) fn replace(&self, id: OnceId, known: Arc<Known>) {
        self.0.lock().put(id, Arc::new(OnceCell::new_with(Some(known))));
    }
}

#[cfg(test)]
impl SignedOnce {
    pub(super) fn len(&self) -> usize {
        let known = self.0.lock();
        assert_eq!(known.places.len(), known.order.len());
        known.order.len()
    }
}

impl Shelf {
    fn put(&mut self, id: OnceId, place: Place) {
        if self.places.insert(id, place).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}
