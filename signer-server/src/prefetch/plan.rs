//! Which proofs are due soon.
//!
//! The plan is made afresh every slot and remembers nothing: the proof cache knows what is ready or
//! on its way, so that in a steady state one slot's worth is new, and what a missed or failed round
//! has left out comes with the next one.

use std::collections::BTreeMap;

use signer_client::wire::{PublicKey, QuotedU64, Slot};

use super::{book::Book, chain::Chain};
use crate::signing::Foreseen;

/// The proofs of the next `look_ahead` slots, the nearest slot first, at most `most` of them.
///
/// A sync committee message of a slot is signed by the committee of the slot after it, in whose block
/// it is included (consensus-specs, altair/validator.md, "Sync Committee"), with the fork of its own
/// slot.
pub(super) fn due(
    chain: &Chain,
    book: &Book,
    now: Slot,
    look_ahead: u64,
    most: usize,
) -> Vec<Foreseen> {
    let Some(forks) = book.forks() else { return Vec::new() };
    let (mut due, mut left) = (Vec::new(), most);
    for slot in (1..=look_ahead).map_while(|ahead| now.0.checked_add(ahead)).map(Slot) {
        let epoch = chain.epoch_of(slot);
        let Some(fork_info) = forks.fork_info(epoch) else { continue };
        let mut add = |subcommittee_index, mut keys: Vec<PublicKey>| {
            keys.truncate(left);
            left -= keys.len();
            if !keys.is_empty() {
                due.push(Foreseen { slot, subcommittee_index, fork_info, keys });
            }
        };
        add(None, book.attesters_at(epoch, slot).to_vec());
        if !forks.has_sync_committees(epoch) {
            continue;
        }
        let mut subcommittees: BTreeMap<u8, Vec<PublicKey>> = BTreeMap::new();
        let included = Slot(slot.0.saturating_add(1));
        for (key, places) in book.sync_members(chain.epoch_of(included)) {
            for subcommittee in places.iter() {
                subcommittees.entry(subcommittee).or_default().push(key);
            }
        }
        for (subcommittee, keys) in subcommittees {
            add(Some(QuotedU64(subcommittee.into())), keys);
        }
    }
    due
}
