//! The indices of validators, as one beacon node knows them, and what its answers can't be.
//!
//! Each node has its own directory: what a lying one has said is never asked of another one.
//!
//! Invariant: every key in it was asked for, and no two have one index.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use signer_client::wire::{Epoch, PublicKey, Slot};

use super::{
    answers::{AttesterDuty, SyncDuty, Validator},
    chain::Chain,
};

/// What no honest beacon node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Impossible {
    #[error("the answer names a validator that was not asked for")]
    NotAskedFor,
    #[error("the answer gives one index to two validators, or two to one")]
    Ambiguous,
    #[error("the answer names a duty at slot {slot} in epoch {epoch}")]
    OutsideEpoch { slot: Slot, epoch: Epoch },
    #[error("the answer names a validator twice")]
    Twice,
    #[error("the answer names place {place} in a sync committee of {size}")]
    NoSuchPlace { place: u64, size: u64 },
    #[error("every answer has another dependent root")]
    RestlessRoot,
}

/// A loaded key that is a validator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) key: PublicKey,
    pub(super) index: u64,
}

/// Some of the four subcommittees of a sync committee, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subcommittees(u8);

impl Subcommittees {
    fn insert(&mut self, subcommittee: u8) {
        self.0 |= 1 << subcommittee;
    }

    /// Their indices, in ascending order.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |bit| self.0 & (1 << bit) != 0)
    }
}

/// The validators among our keys, as one node knows them.
#[derive(Debug)]
pub(super) struct Roster {
    /// No other roster has it.
    pub(super) id: u64,
    pub(super) known: Vec<Known>,
}

impl Roster {
    pub(super) fn new(known: Vec<Known>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), known }
    }
}

/// The indices of validators.
#[derive(Default)]
pub(super) struct Directory {
    indices: HashMap<PublicKey, u64>,
    keys: HashMap<u64, PublicKey>,
    epoch: Epoch,
    /// Without an answer in this epoch: deposited later, or never.
    unknown: HashSet<PublicKey>,
    /// Of our keys, so many from the first on are known or unknown.
    looked_up: usize,
    /// Of all that is known, unless that has changed since.
    roster: Option<Arc<Roster>>,
}

impl Directory {
    /// In a new epoch, unknown keys may have become validators'.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.unknown.clear();
            self.looked_up = 0;
        }
    }

    /// Our keys are others now: forgets what is not ours any more.
    pub(super) fn keep(&mut self, is_ours: impl Fn(&PublicKey) -> bool) {
        self.unknown.retain(&is_ours);
        self.indices.retain(|key, _| is_ours(key));
        self.keys.retain(|_, key| is_ours(key));
        (self.looked_up, self.roster) = (0, None);
    }

    /// Those of our keys that should be asked for.
    pub(super) fn unasked(&mut self, ours: &[PublicKey], most: usize) -> Vec<PublicKey> {
        let is_new =
            |key: &PublicKey| !self.indices.contains_key(key) && !self.unknown.contains(key);
        let rest = ours.get(self.looked_up..).unwrap_or_default();
        self.looked_up += rest.iter().take_while(|key| !is_new(key)).count();
        let rest = ours.get(self.looked_up..).unwrap_or_default();
        rest.iter().filter(|key| is_new(key)).take(most).copied().collect()
    }

    /// Takes in the answer to that.
    ///
    /// # Errors
    /// When it can't be. Nothing of it is taken then.
    pub(super) fn add(
        &mut self,
        asked: &[PublicKey],
        answer: &[Validator],
    ) -> Result<(), Impossible> {
        let mut unknown: HashSet<_> = asked.iter().copied().collect();
        let mut indices = HashSet::new();
        for Validator { index, validator } in answer {
            if !unknown.remove(&validator.pubkey) {
                let was_asked = asked.contains(&validator.pubkey);
                return Err(if was_asked {
                    Impossible::Ambiguous
                } else {
                    Impossible::NotAskedFor
                });
            }
            if !indices.insert(index.0) || self.keys.contains_key(&index.0) {
                return Err(Impossible::Ambiguous);
            }
        }
        for Validator { index, validator } in answer {
            self.indices.insert(validator.pubkey, index.0);
            self.keys.insert(index.0, validator.pubkey);
            self.roster = None;
        }
        self.unknown.extend(unknown);
        Ok(())
    }

    /// Those of our keys that are validators'.
    pub(super) fn roster(&mut self, ours: &[PublicKey]) -> Arc<Roster> {
        let indices = &self.indices;
        let known = |key: &PublicKey| Some(Known { key: *key, index: *indices.get(key)? });
        let make = || Arc::new(Roster::new(ours.iter().filter_map(known).collect()));
        self.roster.get_or_insert_with(make).clone()
    }
}

/// Checks that an answer names each asked validator at most once and no other one.
struct Roll<'a> {
    left: HashMap<PublicKey, u64>,
    asked: &'a [Known],
}

impl<'a> Roll<'a> {
    fn new(asked: &'a [Known]) -> Self {
        Self { left: asked.iter().map(|known| (known.key, known.index)).collect(), asked }
    }

    fn tick(&mut self, key: PublicKey, index: u64) -> Result<(), Impossible> {
        match self.left.remove(&key) {
            Some(expected) if expected == index => Ok(()),
            None if self.asked.iter().any(|known| known.key == key) => Err(Impossible::Twice),
            _ => Err(Impossible::NotAskedFor),
        }
    }
}

/// The slots in which keys attest in an epoch.
///
/// # Errors
/// When the answer can't be.
pub(super) fn attester_slots(
    chain: &Chain,
    epoch: Epoch,
    asked: &[Known],
    answer: &[AttesterDuty],
) -> Result<Vec<(PublicKey, Slot)>, Impossible> {
    let mut roll = Roll::new(asked);
    let mut slots = Vec::with_capacity(asked.len().min(answer.len()));
    for AttesterDuty { pubkey, validator_index, slot } in answer {
        roll.tick(*pubkey, validator_index.0)?;
        if chain.epoch_of(*slot) != epoch {
            return Err(Impossible::OutsideEpoch { slot: *slot, epoch });
        }
        slots.push((*pubkey, *slot));
    }
    Ok(slots)
}

/// The subcommittees that keys are in.
///
/// # Errors
/// When the answer can't be.
pub(super) fn sync_members(
    chain: &Chain,
    asked: &[Known],
    answer: &[SyncDuty],
) -> Result<Vec<(PublicKey, Subcommittees)>, Impossible> {
    let mut roll = Roll::new(asked);
    let mut members = Vec::with_capacity(asked.len().min(answer.len()));
    for SyncDuty { pubkey, validator_index, validator_sync_committee_indices: places } in answer {
        roll.tick(*pubkey, validator_index.0)?;
        let mut subcommittees = Subcommittees::default();
        for place in places {
            let (place, size) = (place.0, chain.sync_committee_size());
            let found = chain.subcommittee_of(place);
            subcommittees.insert(found.ok_or(Impossible::NoSuchPlace { place, size })?);
        }
        members.push((*pubkey, subcommittees));
    }
    Ok(members)
}
