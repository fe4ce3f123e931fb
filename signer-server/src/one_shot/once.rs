//! What was signed already: one aggregate for each key, slot and committee.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use signer_client::wire::{
    ForkInfo, ForkVersion, PublicKey, Root, Signature, Slot, aggregation::SignedObject,
};
use tokio::sync::OnceCell;

use crate::{
    aggregation::{GroupToSign, snapshot::Subject},
    duty::{Duty, Network, members::CommitteeNaming},
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
    /// With the form that the object has: one of another fork, which only a caller can name where the
    /// network does not know the fork version, is of no use.
    Committee(u64, CommitteeNaming),
    Subcommittee(u64),
}

impl OnceId {
    /// `None` for a group that can't be signed.
    pub(super) fn of(wanted: &GroupToSign, network: &Network) -> Option<Self> {
        let part = match wanted.subject {
            Subject::Attestation { data: Some(_), committee_index } => {
                Part::Committee(committee_index, CommitteeNaming::of(wanted.fork))
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

/// The messages that were signed, as many as find room, and those that are being signed.
#[derive(Default)]
pub(super) struct SignedOnce(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    signed: HashMap<OnceId, Arc<Known>>,
    /// Oldest first, each once.
    order: VecDeque<OnceId>,
    /// As many as requests are under way. Never given way to others: a second request must find the
    /// first one's place, however long that takes, or two messages would leave.
    begun: HashMap<OnceId, Begun>,
}

struct Begun {
    cell: Cell,
    /// Requests that hold the place.
    holders: usize,
}

type Cell = Arc<OnceCell<Arc<Known>>>;

/// What there is of a message.
pub(super) enum Found<'a> {
    /// It was signed.
    Signed(Arc<Known>),
    /// It was not, or not yet.
    Unsigned(Place<'a>),
}

/// Where a message comes when it is signed, the same for all who ask until then. Gone with the last
/// of them, so that a request that fails leaves nothing behind.
pub(super) struct Place<'a> {
    shelf: &'a SignedOnce,
    id: OnceId,
    cell: Cell,
}

impl SignedOnce {
    /// Looks for a message.
    pub(super) fn find(&self, id: OnceId) -> Found<'_> {
        let mut messages = self.0.lock();
        if let Some(known) = messages.signed.get(&id) {
            return Found::Signed(Arc::clone(known));
        }
        let fresh = || Begun { cell: Cell::default(), holders: 0 };
        let begun = messages.begun.entry(id).or_insert_with(fresh);
        begun.holders += 1;
        Found::Unsigned(Place { shelf: self, id, cell: Arc::clone(&begun.cell) })
    }

    /// Remembers another message from now on.
    pub(super) fn replace(&self, id: OnceId, known: Arc<Known>) {
        self.0.lock().put(id, known);
    }
}

impl Place<'_> {
    /// The message; `sign` makes it, unless another request does so first. True if `sign` did.
    ///
    /// # Errors
    /// What `sign` says. The next one who waits tries it then.
    pub(super) async fn signed<E>(
        &self,
        sign: impl Future<Output = Result<Arc<Known>, E>>,
    ) -> Result<(Arc<Known>, bool), E> {
        let mut is_new = false;
        let is_made = &mut is_new;
        let made = self.cell.get_or_try_init(|| async move {
            let known = sign.await?;
            // Before anybody can find the place empty again.
            self.shelf.0.lock().put_first(self.id, &known);
            *is_made = true;
            Ok(known)
        });
        let known = Arc::clone(made.await?);
        Ok((known, is_new))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut messages = self.shelf.0.lock();
        if let Entry::Occupied(mut begun) = messages.begun.entry(self.id) {
            begun.get_mut().holders -= 1;
            if begun.get().holders == 0 {
                begun.remove();
            }
        }
    }
}

#[cfg(test)]
impl SignedOnce {
    /// Messages that were signed and that are being signed.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let messages = self.0.lock();
        assert_eq!(messages.signed.len(), messages.order.len());
        (messages.signed.len(), messages.begun.len())
    }
}

impl Shelf {
    fn put(&mut self, id: OnceId, known: Arc<Known>) {
        if self.signed.insert(id, known).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.signed.remove(&oldest);
        }
    }

    /// As [`Self::put`], unless another message was asked for meanwhile and is there.
    fn put_first(&mut self, id: OnceId, known: &Arc<Known>) {
        if !self.signed.contains_key(&id) {
            self.put(id, Arc::clone(known));
        }
    }
}
