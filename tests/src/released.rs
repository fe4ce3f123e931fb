//! What left a signer, and whether a pair of it gets a validator slashed: the definitions of the
//! consensus specifications (phase0, `is_slashable_attestation_data` and `process_proposer_slashing`)
//! on every pair, without any cleverness and without any code of the signer.

/// An attestation of which the signature left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// Number of the key.
    pub key: u64,
    /// Source epoch.
    pub source: u64,
    /// Target epoch.
    pub target: u64,
    /// Stands for everything else in the attestation.
    pub root: u8,
}

/// A block of which the signature left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// Number of the key.
    pub key: u64,
    /// Its slot.
    pub slot: u64,
    /// Stands for everything else in the block.
    pub root: u8,
}

impl Vote {
    /// Whether both votes together get their key slashed.
    pub fn is_slashable_with(&self, other: &Self) -> bool {
        let double = self.target == other.target && self != other;
        let surrounds =
            |outer: &Self, inner: &Self| outer.source < inner.source && inner.target < outer.target;
        self.key == other.key && (double || surrounds(self, other) || surrounds(other, self))
    }
}

impl Proposal {
    /// Whether both blocks together get their key slashed.
    pub fn is_slashable_with(&self, other: &Self) -> bool {
        self.key == other.key && self.slot == other.slot && self.root != other.root
    }
}

/// The first pair of votes that is slashable. Compares every vote with every other one.
pub fn slashable_votes(votes: &[Vote]) -> Option<(Vote, Vote)> {
    first_pair(votes, Vote::is_slashable_with)
}

/// The first pair of blocks that is slashable.
pub fn slashable_proposals(proposals: &[Proposal]) -> Option<(Proposal, Proposal)> {
    first_pair(proposals, Proposal::is_slashable_with)
}

fn first_pair<T: Copy>(all: &[T], are_slashable: impl Fn(&T, &T) -> bool) -> Option<(T, T)> {
    all.iter().enumerate().find_map(|(place, one)| {
        let other = all[..place].iter().find(|other| are_slashable(one, other))?;
        Some((*one, *other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(source: u64, target: u64, root: u8) -> Vote {
        Vote { key: 1, source, target, root }
    }

    #[test]
    fn doubles_and_surrounds_are_found_in_either_order() {
        for other in [vote(3, 8, 2), vote(4, 8, 1), vote(2, 9, 1), vote(4, 7, 1)] {
            let pair = [vote(3, 8, 1), other];
            assert!(slashable_votes(&pair).is_some(), "{other:?}");
            assert!(slashable_votes(&[pair[1], pair[0]]).is_some(), "{other:?}");
            let stranger = Vote { key: 2, ..other };
            assert_eq!(slashable_votes(&[pair[0], stranger]), None);
        }
        let block = Proposal { key: 1, slot: 5, root: 1 };
        assert!(slashable_proposals(&[block, Proposal { root: 2, ..block }]).is_some());
    }

    #[test]
    fn what_is_harmless_together_is_not_found() {
        // Repeats, shared sources, neighbours.
        let votes = [vote(3, 8, 1), vote(3, 8, 1), vote(3, 7, 1), vote(3, 9, 1), vote(8, 10, 1)];
        assert_eq!(slashable_votes(&votes), None);
        let block = Proposal { key: 1, slot: 5, root: 1 };
        let next = Proposal { slot: 6, root: 2, ..block };
        assert_eq!(slashable_proposals(&[block, block, next]), None);
    }
}
