//! What this process has released, so that a database that forgot it is found out.
//!
//! The database's word never permits what contradicts this memory. Maxima never decrease, so a
//! database that reports lower ones than this process has seen recorded has lost records; the
//! newest records of each key catch what leaves the maxima alone.

use std::collections::{HashMap, VecDeque};

use signer_client::wire::{PublicKey, Root};

use super::kind::{Answer, Attestations, Blocks, Kind};

/// Newest records kept for each key. Only a late vote, below the maxima, ever needs them.
const RECENT: usize = 4;

/// The memory of one connection; keys never change their connection.
#[derive(Debug, Default)]
pub(super) struct Veto {
    pub(super) attestations: Released<Attestations>,
    pub(super) blocks: Released<Blocks>,
}

/// What was released of one kind.
#[derive(Debug)]
pub(super) struct Released<K: Kind> {
    keys: HashMap<PublicKey, Key<K>>,
}

#[derive(Debug)]
struct Key<K: Kind> {
    max: K::Subject,
    recent: VecDeque<K::Record>,
}

impl<K: Kind> Default for Released<K> {
    fn default() -> Self {
        Self { keys: HashMap::new() }
    }
}

impl<K: Kind> Released<K> {
    /// Whether the database answers as if it had forgotten what was released for this key.
    /// `is_new` when it says that it had no record of this duty.
    pub(super) fn contradicts(
        &mut self,
        key: &PublicKey,
        subject: K::Subject,
        signing_root: Root,
        is_new: bool,
        answer: &Answer<K::Subject>,
    ) -> bool {
        let Some(released) = self.keys.get_mut(key) else { return false };
        if !answer.known.is_some_and(|known| K::reaches(known, released.max)) {
            return true;
        }
        let recent = released.recent.make_contiguous();
        is_new && !K::is_safe_beside(released.max, recent, subject, signing_root)
    }

    /// Notes a duty that is on record and about to be released.
    pub(super) fn remember(&mut self, key: PublicKey, subject: K::Subject, signing_root: Root) {
        let released = self
            .keys
            .entry(key)
            .or_insert_with(|| Key { max: subject, recent: VecDeque::with_capacity(1) });
        released.max = K::highest(released.max, subject);
        if released.recent.len() == RECENT {
            released.recent.pop_front();
        }
        released.recent.push_back(K::record(subject, signing_root));
    }
}

#[cfg(test)]
mod tests {
    use signer_client::wire::{Epoch, Slot};

    use super::*;
    use crate::slashing::rules::VoteEpochs;

    const KEY: PublicKey = PublicKey([1; 48]);

    fn vote(source: u64, target: u64) -> VoteEpochs {
        VoteEpochs { source: Epoch(source), target: Epoch(target) }
    }

    fn says<T>(known: Option<T>) -> Answer<T> {
        Answer { verdict: 1, known, xid: 1 }
    }

    #[test]
    fn forgotten_maxima_and_forgotten_late_votes_are_found_out() {
        let mut released = Released::<Attestations>::default();
        let root = Root([1; 32]);
        assert!(!released.contradicts(&KEY, vote(1, 2), root, true, &says(None)), "nothing known");
        released.remember(KEY, vote(1, 10), root);
        released.remember(KEY, vote(1, 5), root);
        let max = says(Some(vote(1, 10)));
        assert!(!released.contradicts(&KEY, vote(10, 11), root, true, &max));
        assert!(!released.contradicts(&KEY, vote(1, 5), root, false, &max), "a true repeat");
        assert!(released.contradicts(&KEY, vote(1, 5), root, true, &max), "a forgotten repeat");
        assert!(released.contradicts(&KEY, vote(1, 5), Root([2; 32]), true, &max), "a double vote");
        assert!(released.contradicts(&KEY, vote(2, 4), root, true, &max), "surrounded by 1 -> 5");
        assert!(!released.contradicts(&KEY, vote(1, 6), root, true, &max), "another late vote");
        for known in [None, Some(vote(1, 9)), Some(vote(0, 10))] {
            let answer = says(known);
            assert!(released.contradicts(&KEY, vote(10, 11), root, true, &answer), "{known:?}");
            assert!(released.contradicts(&KEY, vote(1, 10), root, false, &answer), "{known:?}");
        }
    }

    #[test]
    fn old_records_make_room_and_blocks_are_watched_too() {
        let mut released = Released::<Blocks>::default();
        let root = Root([1; 32]);
        for slot in [100, 1, 2, 3, 4] {
            released.remember(KEY, Slot(slot), root);
        }
        let max = says(Some(Slot(100)));
        assert!(released.contradicts(&KEY, Slot(1), Root([2; 32]), true, &max));
        assert!(!released.contradicts(&KEY, Slot(5), root, true, &max));
        assert!(released.contradicts(&KEY, Slot(101), root, true, &says(Some(Slot(99)))));
        released.remember(KEY, Slot(5), root);
        assert!(!released.contradicts(&KEY, Slot(1), Root([2; 32]), true, &max), "out of memory");
    }
}
