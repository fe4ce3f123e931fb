//! The rules of EIP-3076 in the plainest words, on a list of everything that was signed: no maxima,
//! no short way, no database. And the same with one rule weakened, for the check that a weakness
//! would be noticed.

use midslot_tests::released::{Proposal, Vote};

/// A rule that is left out or written wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    None,
    /// `<` in place of `<=` where a target or a slot is compared with its floor.
    FloorItselfAllowed,
    /// A repeat is recognised by its root, whatever its source.
    RepeatByRootAlone,
    /// Floors are not looked at.
    NoFloors,
    /// A vote around an earlier one is let through.
    SurroundingAllowed,
    /// A vote inside an earlier one is let through.
    SurroundedAllowed,
    /// A root of zeros equals itself.
    ZeroRootRepeats,
}

impl Weakness {
    pub(crate) const ALL: [Self; 6] = [
        Self::FloorItselfAllowed,
        Self::RepeatByRootAlone,
        Self::NoFloors,
        Self::SurroundingAllowed,
        Self::SurroundedAllowed,
        Self::ZeroRootRepeats,
    ];
}

/// One key, with everything that was signed.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) enabled: bool,
    pub(crate) votes: Vec<Vote>,
    pub(crate) proposals: Vec<Proposal>,
    /// Source and target.
    floor: Option<(u64, u64)>,
    slot_floor: Option<u64>,
    pub(crate) weakness: Weakness,
}

impl Reference {
    pub(crate) fn new(weakness: Weakness) -> Self {
        Self {
            enabled: true,
            votes: Vec::new(),
            proposals: Vec::new(),
            floor: None,
            slot_floor: None,
            weakness,
        }
    }

    pub(crate) fn raise_floors(&mut self, epoch: u64, slot: u64) {
        let (source, target) = self.floor.unwrap_or_default();
        self.floor = Some((source.max(epoch), target.max(epoch)));
        self.slot_floor = Some(self.slot_floor.unwrap_or_default().max(slot));
    }

    fn has(&self, weakness: Weakness) -> bool {
        self.weakness == weakness
    }

    fn is_at_or_below(&self, value: u64, floor: u64) -> bool {
        if self.has(Weakness::FloorItselfAllowed) { value < floor } else { value <= floor }
    }

    fn is_known(&self, root: u8) -> bool {
        root != 0 || self.has(Weakness::ZeroRootRepeats)
    }

    /// Judges a vote, and signs it where that is allowed.
    pub(crate) fn attest(&mut self, vote: Vote) -> &'static str {
        let word = self.judge(&vote);
        if word == "new" {
            self.floor.get_or_insert((vote.source, vote.target));
            self.votes.push(vote);
        }
        word
    }

    fn judge(&self, vote: &Vote) -> &'static str {
        if !self.enabled {
            return "disabled";
        }
        if vote.source > vote.target {
            return "source_after_target";
        }
        if let Some(earlier) = self.votes.iter().find(|earlier| earlier.target == vote.target) {
            let same_source =
                earlier.source == vote.source || self.has(Weakness::RepeatByRootAlone);
            let is_repeat = same_source && earlier.root == vote.root && self.is_known(vote.root);
            return if is_repeat { "repeat" } else { "double_vote" };
        }
        if let Some((source, target)) = self.floor.filter(|_| !self.has(Weakness::NoFloors)) {
            if vote.source < source {
                return "source_below_floor";
            }
            if self.is_at_or_below(vote.target, target) {
                return "target_not_above_floor";
            }
        }
        let surrounds =
            |outer: &Vote, inner: &Vote| outer.source < inner.source && inner.target < outer.target;
        let is_bad = |earlier: &Vote| {
            surrounds(vote, earlier) && !self.has(Weakness::SurroundingAllowed)
                || surrounds(earlier, vote) && !self.has(Weakness::SurroundedAllowed)
        };
        if self.votes.iter().any(is_bad) { "surround" } else { "new" }
    }

    /// The same for a block.
    pub(crate) fn propose(&mut self, proposal: Proposal) -> &'static str {
        let Proposal { slot, root, .. } = proposal;
        if !self.enabled {
            return "disabled";
        }
        if let Some(earlier) = self.proposals.iter().find(|earlier| earlier.slot == slot) {
            let is_repeat = earlier.root == root && self.is_known(root);
            return if is_repeat { "repeat" } else { "double_proposal" };
        }
        let floor = self.slot_floor.filter(|_| !self.has(Weakness::NoFloors));
        if floor.is_some_and(|floor| self.is_at_or_below(slot, floor)) {
            return "slot_not_above_floor";
        }
        self.slot_floor.get_or_insert(slot);
        self.proposals.push(proposal);
        "new"
    }
}
