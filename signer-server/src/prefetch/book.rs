//! The duties of this epoch and the next, as far as beacon nodes have told them.
//!
//! Invariant: at most one attester slot for each loaded key and epoch, and no epoch but these two.

use std::collections::{BTreeMap, HashMap, HashSet};

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::{
    chain::Forks,
    directory::{Known, Roster, Subcommittees},
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
    asked: Asked,
    slots: BTreeMap<Slot, Vec<PublicKey>>,
}

impl Attesters {
    fn new(dependent_root: Root) -> Self {
        Self { dependent_root, asked: Asked::default(), slots: BTreeMap::new() }
    }
}

#[derive(Default)]
struct SyncMembers {
    asked: Asked,
    members: HashMap<PublicKey, Subcommittees>,
}

/// Which keys were asked for, on duty or not.
#[derive(Default)]
struct Asked {
    keys: HashSet<PublicKey>,
    /// Of this roster all were asked for up to this place, so that nobody need look there again.
    roster: u64,
    up_to: usize,
}

impl Asked {
    /// Those of the roster that were not asked for.
    fn missing(&mut self, roster: &Roster, most: usize) -> Vec<Known> {
        if self.roster != roster.id {
            (self.roster, self.up_to) = (roster.id, 0);
        }
        let rest = &roster.known[self.up_to..];
        self.up_to += rest.iter().take_while(|known| self.keys.contains(&known.key)).count();
        let rest = roster.known[self.up_to..].iter();
        rest.filter(|known| !self.keys.contains(&known.key)).take(most).copied().collect()
    }

    fn add(&mut self, asked: &[Known]) {
        self.keys.extend(asked.iter().map(|known| known.key));
    }
}

/// The epochs whose duties beacon nodes tell (Beacon API, `getAttesterDuties`).
pub(super) fn told_epochs(now: Epoch) -> [Epoch; 2] {
    [now, Epoch(now.0.saturating_add(1))]
}

impl Book {
    /// Forgets other epochs.
    pub(super) fn begin(&mut self, now: Epoch) {
        let told = told_epochs(now);
        self.attesters.retain(|epoch, _| told.contains(epoch));
        self.sync.retain(|epoch, _| told.contains(epoch));
    }

    /// Our keys are others now: forgets what is not ours any more.
    pub(super) fn keep(&mut self, is_ours: impl Fn(&PublicKey) -> bool) {
        for attesters in self.attesters.values_mut() {
            attesters.asked.keys.retain(&is_ours);
            for keys in attesters.slots.values_mut() {
                keys.retain(&is_ours);
            }
        }
        for sync in self.sync.values_mut() {
            sync.asked.keys.retain(&is_ours);
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
        &mut self,
        epoch: Epoch,
        roster: &Roster,
        most: usize,
    ) -> Vec<Known> {
        match self.attesters.get_mut(&epoch) {
            Some(attesters) => attesters.asked.missing(roster, most),
            None => roster.known.iter().take(most).copied().collect(),
        }
    }

    /// Those of these validators whose places in the sync committee were not asked for.
    pub(super) fn unasked_sync(
        &mut self,
        epoch: Epoch,
        roster: &Roster,
        most: usize,
    ) -> Vec<Known> {
        self.sync.entry(epoch).or_default().asked.missing(roster, most)
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
            if !attesters.asked.keys.contains(key) {
                attesters.slots.entry(*slot).or_default().push(*key);
            }
        }
        attesters.asked.add(asked);
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
        sync.asked.add(asked);
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
