//! Who has which duty in which slot.
//!
//! Everything is a pure function of the seed, so that a run can be repeated and a second generator,
//! or a beacon node of the tests, comes to the same duties. Every validator attests once in an epoch
//! and to one thing only, which is why nothing slashable can come of it.

use super::chain::SLOTS_PER_EPOCH;
use crate::wire::{Epoch, Slot};

/// Members of a sync committee in the mainnet preset.
pub(super) const SYNC_COMMITTEE_SIZE: u32 = 512;
/// Epochs for which a sync committee serves in the mainnet preset.
const EPOCHS_PER_SYNC_COMMITTEE_PERIOD: u64 = 256;
/// Subcommittees of a sync committee.
const SUBCOMMITTEES: u64 = 4;
/// Committees of a slot in a large network (consensus-specs, `MAX_COMMITTEES_PER_SLOT`).
const COMMITTEES_PER_SLOT: u32 = 64;

/// A validator of this load, counted from 0.
pub type Validator = u32;

/// A member of a sync subcommittee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMember {
    /// Who.
    pub validator: Validator,
    /// Subcommittee, 0 to 3.
    pub subcommittee_index: u64,
}

/// The duties of all validators of this load, in a larger network.
#[derive(Clone, Copy, Debug)]
pub struct Duties {
    seed: u64,
    validators: u32,
    network_validators: u32,
}

impl Duties {
    /// Duties of `validators` (at least one) among all validators of the network.
    pub fn new(seed: u64, validators: u32, network_validators: u32) -> Self {
        let validators = validators.max(1);
        Self { seed, validators, network_validators: network_validators.max(validators) }
    }

    /// How many validators there are.
    pub const fn validators(&self) -> u32 {
        self.validators
    }

    /// Members of a committee, which decides how many of them aggregate.
    pub fn committee_length(&self) -> u64 {
        let slots = u32::try_from(SLOTS_PER_EPOCH).unwrap_or(u32::MAX);
        u64::from(self.network_validators / slots / COMMITTEES_PER_SLOT)
    }

    /// Who proposes in a slot: always one of ours, so that every slot has a block.
    pub fn proposer(&self, slot: Slot) -> Validator {
        let random = self.draw(Purpose::Proposer, slot.0) % u64::from(self.validators);
        Validator::try_from(random).unwrap_or_default()
    }

    /// Who attests in a slot. Every validator is in exactly one slot of an epoch.
    pub fn attesters(&self, slot: Slot) -> Vec<Validator> {
        let shuffle = self.shuffle(Purpose::Attesters, slot.0 / SLOTS_PER_EPOCH);
        let first = slot.0 % SLOTS_PER_EPOCH;
        (first..u64::from(self.validators))
            .step_by(usize::try_from(SLOTS_PER_EPOCH).unwrap_or(usize::MAX))
            .map(|place| shuffle.at(place))
            .collect()
    }

    /// Who attests in which slot of an epoch, in the order of the slots.
    pub fn attesters_of(&self, epoch: Epoch) -> Vec<(Validator, Slot)> {
        let first = epoch.0 * SLOTS_PER_EPOCH;
        (first..first + SLOTS_PER_EPOCH)
            .flat_map(|slot| {
                self.attesters(Slot(slot)).into_iter().map(move |validator| (validator, Slot(slot)))
            })
            .collect()
    }

    /// The members of the sync committee of an epoch: as many as so many validators have on average,
    /// and at least one.
    pub fn sync_members(&self, epoch: Epoch) -> Vec<SyncMember> {
        let period = epoch.0 / EPOCHS_PER_SYNC_COMMITTEE_PERIOD;
        let shuffle = self.shuffle(Purpose::SyncCommittee, period);
        let share = u64::from(SYNC_COMMITTEE_SIZE) * u64::from(self.validators);
        let members = share.div_ceil(u64::from(self.network_validators));
        (0..members.min(u64::from(self.validators)))
            .map(|place| SyncMember {
                validator: shuffle.at(place),
                subcommittee_index: place % SUBCOMMITTEES,
            })
            .collect()
    }

    fn draw(&self, purpose: Purpose, number: u64) -> u64 {
        mix(mix(self.seed ^ ((purpose as u64) << 56)) ^ number)
    }

    /// An order of the validators.
    fn shuffle(&self, purpose: Purpose, number: u64) -> Shuffle {
        let modulus = u64::from(self.validators);
        let random = self.draw(purpose, number);
        let mut factor = (random >> 32) % modulus + 1;
        while gcd(factor, modulus) != 1 {
            factor += 1;
        }
        Shuffle { factor, offset: random % modulus, modulus }
    }
}

/// What chance is needed for.
#[derive(Clone, Copy)]
enum Purpose {
    Proposer = 1,
    Attesters = 2,
    SyncCommittee = 3,
}

/// A permutation of the numbers below `modulus`: `factor` has no divisor in common with it.
#[derive(Clone, Copy)]
struct Shuffle {
    factor: u64,
    offset: u64,
    modulus: u64,
}

impl Shuffle {
    fn at(self, place: u64) -> Validator {
        let product = (u128::from(self.factor) * u128::from(place) + u128::from(self.offset))
            % u128::from(self.modulus);
        Validator::try_from(product).unwrap_or_default()
    }
}

fn gcd(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): every bit depends on every bit.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_attests_once_in_an_epoch() {
        for validators in [1, 7, 32, 500, 5_000] {
            let duties = Duties::new(3, validators, 1_000_000);
            for epoch in [0, 9] {
                let all = duties.attesters_of(Epoch(epoch));
                let distinct: BTreeSet<_> = all.iter().map(|(validator, _)| *validator).collect();
                assert_eq!(all.len(), validators as usize);
                assert_eq!(distinct, (0..validators).collect());
                assert!(all.iter().all(|(_, slot)| slot.0 / SLOTS_PER_EPOCH == epoch));
            }
        }
    }

    #[test]
    fn slots_are_even_and_epochs_differ() {
        let duties = Duties::new(1, 5_000, 1_000_000);
        for slot in 64..96 {
            assert!((156..=157).contains(&duties.attesters(Slot(slot)).len()), "slot {slot}");
        }
        assert_ne!(duties.attesters(Slot(64)), duties.attesters(Slot(96)));
        assert_ne!(duties.attesters(Slot(64)), Duties::new(2, 5_000, 1).attesters(Slot(64)));
    }

    #[test]
    fn the_sync_committee_is_a_share_of_the_whole() {
        let members = |validators| Duties::new(1, validators, 1_000_000).sync_members(Epoch(5));
        assert_eq!(members(1).len(), 1);
        assert_eq!(members(5_000).len(), 3);
        assert_eq!(members(20_000).len(), 11);
        assert_eq!(members(1_000_000).len(), 512);
        let distinct: BTreeSet<_> = members(20_000).iter().map(|member| member.validator).collect();
        assert_eq!(distinct.len(), 11);
        // It serves for a whole period.
        let duties = Duties::new(1, 20_000, 1_000_000);
        assert_eq!(duties.sync_members(Epoch(256)), duties.sync_members(Epoch(511)));
        assert_ne!(duties.sync_members(Epoch(256)), duties.sync_members(Epoch(512)));
    }

    #[test]
    fn committees_have_the_size_of_the_network() {
        assert_eq!(Duties::new(1, 100, 1_000_000).committee_length(), 488);
        assert_eq!(Duties::new(1, 100, 100).committee_length(), 0);
    }
}
