//! The duties of this epoch and the next, as far as beacon nodes have told them.
//!
//! Invariant: at most one attester slot for each loaded key and epoch, and no epoch but these two.

use std::collections::{BTreeMap, HashMap, HashSet};

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::{
    chain::Forks,
    directory::{Known, Subcommittees},
};

/// The duties.
#[derive(Default)]
pub(super) struct Book {
    forks: Option<Forks>,
    attesters: BTreeMap<Epoch, Attesters>,
    sync: BTreeMap<Epoch, SyncMembers>,
}

struct Attesters {
    dependent_root: Root,
    /// Keys that were asked for, on duty or not.
    answered: HashSet<PublicKey>,
    slots: BTreeMap<Slot, Vec<PublicKey>>,
}

impl Attesters {
    fn new(dependent_root: Root) -> Self {
        Self { dependent_root, answered: HashSet::new(), slots: BTreeMap::new() }
    }
}

#[derive(Default)]
struct SyncMembers {
    answered: HashSet<PublicKey>,
    members: HashMap<PublicKey, Subcommittees>,
}

/// The epochs whose duties beacon nodes tell (Beacon API, `getAttesterDuties`).
pub(super) fn told_epochs(now: Epoch) -> [Epoch; 2] {
    [now, Epoch(now.0.saturating_add(1))]
}

impl Book {
    /// Forgets other epochs, and keys that are not ours any more.
    pub(super) fn keep(&mut self, now: Epoch, is_ours: impl Fn(&PublicKey) -> bool) {
        let told = told_epochs(now);
        self.attesters.retain(|epoch, _| told.contains(epoch));
        self.sync.retain(|epoch, _| told.contains(epoch));
        for attesters in self.attesters.values_mut() {
            attesters.answered.retain(&is_ours);
            for keys in attesters.slots.values_mut() {
                keys.retain(&is_ours);
            }
        }
        for sync in self.sync.values_mut() {
            sync.answered.retain(&is_ours);
            sync.members.retain(|key, _| is_ours(key));
        }
    }

    /// Says which forks there are.
    pub(super) fn set_forks(&mut self, forks: Forks) {
        self.forks = Some(forks);
    }

    /// The forks, once a node has told them.
    pub(super) fn forks(&self) -> Option<&Forks> {
        self.forks.as_ref()
    }

    /// Those of these validators whose attester duties were not asked for.
    pub(super) fn unasked_attesters(
        &self,
        epoch: Epoch,
        known: &[Known],
        most: usize,
    ) -> Vec<Known> {
        unasked(self.attesters.get(&epoch).map(|attesters| &attesters.answered), known, most)
    }

    /// Those of these validators whose places in the sync committee were not asked for.
    pub(super) fn unasked_sync(&self, epoch: Epoch, known: &[Known], most: usize) -> Vec<Known> {
        unasked(self.sync.get(&epoch).map(|sync| &sync.answered), known, most)
    }

    /// Takes in attester duties of those who were asked for. With another dependent root the chain
    /// was re-organised, and all other duties of the epoch are not known any more. Proofs that were
    /// made stay good: they depend on key, slot, fork and chain only.
    pub(super) fn add_attesters(
        &mut self,
        epoch: Epoch,
        dependent_root: Root,
        asked: &[Known],
        slots: &[(PublicKey, Slot)],
    ) {
        let attesters =
            self.attesters.entry(epoch).or_insert_with(|| Attesters::new(dependent_root));
        if attesters.dependent_root != dependent_root {
            *attesters = Attesters::new(dependent_root);
        }
        for (key, slot) in slots {
            // Who is asked again to see whether the root is still the same is on record.
            if !attesters.answered.contains(key) {
                attesters.slots.entry(*slot).or_default().push(*key);
            }
        }
        attesters.answered.extend(asked.iter().map(|known| known.key));
    }

    /// Takes in places in the sync committee of those who were asked for.
    pub(super) fn add_sync(
        &mut self,
        epoch: Epoch,
        asked: &[Known],
        members: Vec<(PublicKey, Subcommittees)>,
    ) {
        let sync = self.sync.entry(epoch).or_default();
        sync.members.extend(members);
        sync.answered.extend(asked.iter().map(|known| known.key));
    }

    /// Who attests in a slot.
    pub(super) fn attesters_at(&self, epoch: Epoch, slot: Slot) -> &[PublicKey] {
        let slots = self.attesters.get(&epoch).and_then(|attesters| attesters.slots.get(&slot));
        slots.map_or(&[], Vec::as_slice)
    }

    /// Who is in the sync committee of an epoch.
    pub(super) fn sync_members(
        &self,
        epoch: Epoch,
    ) -> impl Iterator<Item = (PublicKey, Subcommittees)> {
        self.sync
            .get(&epoch)
            .into_iter()
            .flat_map(|sync| sync.members.iter().map(|(key, places)| (*key, *places)))
    }
}

fn unasked(answered: Option<&HashSet<PublicKey>>, known: &[Known], most: usize) -> Vec<Known> {
    let is_new = |known: &&Known| answered.is_none_or(|answered| !answered.contains(&known.key));
    known.iter().filter(is_new).take(most).copied().collect()
}
