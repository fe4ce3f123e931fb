//! Who is on duty when.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

/// Who is on duty when: every validator attests once an epoch, in the slots by turns.
#[derive(Clone, Debug)]
pub struct Duties {
    /// Slots in an epoch.
    pub slots_per_epoch: u64,
    /// Public keys, as `0x` text.
    pub validators: Vec<String>,
    /// By first epoch: places in the sync committee with positions in `validators`.
    pub sync_committees: BTreeMap<u64, Vec<(u64, usize)>>,
    /// By epoch, the slots of all validators in place of those by turns.
    pub attester_slots: BTreeMap<u64, Vec<u64>>,
}

impl Default for Duties {
    fn default() -> Self {
        Self {
            slots_per_epoch: 32,
            validators: Vec::new(),
            sync_committees: BTreeMap::new(),
            attester_slots: BTreeMap::new(),
        }
    }
}

impl Duties {
    /// Index of the first validator: other than its position, so that nobody takes one for the other.
    pub const FIRST_INDEX: u64 = 1_000;

    /// The index of a validator.
    pub fn index(position: usize) -> u64 {
        Self::FIRST_INDEX + position as u64
    }

    /// The position of the validator with an index, if there is one.
    fn position(&self, index: u64) -> Option<usize> {
        let position = usize::try_from(index.checked_sub(Self::FIRST_INDEX)?).ok()?;
        (position < self.validators.len()).then_some(position)
    }

    /// When the validator at a position attests in an epoch, after so many re-organisations.
    pub fn attester_slot(&self, epoch: u64, position: usize, reorganisations: u64) -> u64 {
        if let Some(slot) = self.attester_slots.get(&epoch).and_then(|slots| slots.get(position)) {
            return *slot;
        }
        let turn = position as u64 + epoch + 3 * reorganisations;
        epoch * self.slots_per_epoch + turn % self.slots_per_epoch
    }

    /// The answer about validators with these keys or indices.
    pub(super) fn about(&self, ids: &[String]) -> Vec<Value> {
        let ids: HashSet<&String> = ids.iter().collect();
        let is_asked = |position: usize, key: &String| {
            ids.contains(key) || ids.contains(&Self::index(position).to_string())
        };
        let validators = self.validators.iter().enumerate();
        validators
            .filter(|(position, key)| is_asked(*position, key))
            .map(|(position, key)| {
                json!({
                    "index": Self::index(position).to_string(),
                    "balance": "32000000000",
                    "status": "active_ongoing",
                    "validator": { "pubkey": key, "effective_balance": "32000000000" },
                })
            })
            .collect()
    }

    /// The answer about attester duties of these indices.
    pub(super) fn attesters(
        &self,
        epoch: u64,
        indices: &[String],
        reorganisations: u64,
    ) -> Vec<Value> {
        let positions = self.positions(indices);
        positions
            .map(|position| {
                json!({
                    "pubkey": self.validators[position],
                    "validator_index": Self::index(position).to_string(),
                    "committee_index": "0",
                    "committee_length": "128",
                    "committees_at_slot": "1",
                    "validator_committee_index": position.to_string(),
                    "slot": self.attester_slot(epoch, position, reorganisations).to_string(),
                })
            })
            .collect()
    }

    /// The answer about places of these indices in the sync committee.
    pub(super) fn sync_members(&self, epoch: u64, indices: &[String]) -> Vec<Value> {
        let committee = self.sync_committees.range(..=epoch).next_back();
        let places = committee.map_or(&[][..], |(_, places)| places);
        let places_of = |position: usize| -> Vec<String> {
            let own = places.iter().filter(|(_, member)| *member == position);
            own.map(|(place, _)| place.to_string()).collect()
        };
        self.positions(indices)
            .map(|position| (position, places_of(position)))
            .filter(|(_, places)| !places.is_empty())
            .map(|(position, places)| {
                json!({
                    "pubkey": self.validators[position],
                    "validator_index": Self::index(position).to_string(),
                    "validator_sync_committee_indices": places,
                })
            })
            .collect()
    }

    fn positions(&self, indices: &[String]) -> impl Iterator<Item = usize> {
        indices.iter().filter_map(|index| self.position(index.parse().ok()?))
    }
}
