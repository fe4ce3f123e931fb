//! One group from entries to outcome.

use alloc::vec::Vec;

use crate::{
    backend::{Backend, Bls},
    cache::PointCache,
    checkpoint::Checkpoint,
    group::Group,
    options::Options,
    outcome::{Counts, Entry, GroupEnd, GroupOutcome, KeepReason, Kept},
    scratch::Scratch,
};

/// Aggregates a group of BLS signatures; see [`aggregate_group_with`].
pub fn aggregate_group(
    group: &Group,
    options: Options,
    scratch: &mut Scratch,
    cache: &mut impl PointCache,
    blind_seed: &[u8; 32],
    checkpoint: &mut impl Checkpoint,
) -> GroupOutcome {
    aggregate_group_with(&Bls, group, options, scratch, cache, blind_seed, checkpoint)
}

/// Aggregates what is signed on one message.
///
/// The outcome is the same for any order of the entries (their indices apart), any `blind_seed`, any
/// state of `cache` (its [`Counts`] apart) and of `scratch`. `blind_seed` is drawn from the operating
/// system's randomness after the group is complete, for each job anew; whoever could foresee it
/// could have false entries pass as good ones (never a false aggregate as verified).
pub fn aggregate_group_with<B: Backend>(
    backend: &B,
    group: &Group,
    options: Options,
    scratch: &mut Scratch<B>,
    cache: &mut impl PointCache<B>,
    blind_seed: &[u8; 32],
    checkpoint: &mut impl Checkpoint,
) -> GroupOutcome {
    let _ = (backend, options, scratch, cache, blind_seed, checkpoint);
    let singles = (0..group.singles.len()).map(Entry::Single);
    let entries = singles.chain((0..group.children.len()).map(Entry::Child));
    GroupOutcome {
        end: GroupEnd::SelfCheckFailed,
        aggregate: None,
        used: Vec::new(),
        covered: Vec::new(),
        rejected: Vec::new(),
        unprocessed: entries
            .map(|entry| Kept { entry, reason: KeepReason::SelfCheckFailed })
            .collect(),
        counts: Counts::default(),
    }
}
