//! What a file means for the records of one key: which rows to add, which roots to forget, where
//! floors and maxima go. Pure; every database does with it what it says.
//!
//! Floors never decrease. A row that is there stays, but where the file says something else for the
//! same slot or target its root is forgotten, so that nothing counts as its repeat. Two sources for
//! one target can't be kept in rows: such a key is *minified*, its floors jump to its maxima, and
//! nothing at or below anything known is signed.

use std::collections::HashMap;

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use crate::slashing::{
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{AttestationState, BlockState, VoteEpochs},
};

/// Everything that one file says about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyImport {
    pub(crate) key: PublicKey,
    /// `None` when the file has no attestation of the key.
    pub(crate) attestations: Option<AttestationImport>,
    /// `None` when the file has no block of the key.
    pub(crate) blocks: Option<BlockImport>,
}

/// The attestations of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttestationImport {
    /// One per target, ascending by target.
    pub(crate) rows: Vec<RecordedAttestation>,
    /// Lowest source and lowest target of the file, not necessarily of one vote.
    pub(crate) floor: VoteEpochs,
    /// Highest source and highest target.
    pub(crate) max: VoteEpochs,
    /// The file has two sources for one target: none of the rows is kept.
    pub(crate) minify: bool,
    /// Two of the attestations are slashable.
    pub(crate) slashable: bool,
}

/// The blocks of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockImport {
    /// One per slot, ascending.
    pub(crate) rows: Vec<RecordedBlock>,
    /// Lowest slot of the file.
    pub(crate) floor: Slot,
    /// Highest slot.
    pub(crate) max: Slot,
    /// Two of the blocks are slashable.
    pub(crate) slashable: bool,
}

/// What became of one key in an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOutcome {
    /// The key.
    pub key: PublicKey,
    /// Attestations that were not on record before.
    pub attestations_added: u64,
    /// Blocks that were not on record before.
    pub blocks_added: u64,
    /// Records whose signing root was forgotten, because the file has another one for the same slot
    /// or target: nothing counts as their repeat any more.
    pub roots_forgotten: u64,
    /// Two sources for one target: the key signs only what lies above everything known.
    pub minified: bool,
    /// The file itself holds two messages of the key that are slashable.
    pub slashable: bool,
    /// Whether anything changed in the database.
    pub changed: bool,
}

/// What an import changes in the attestations of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttestationMerge {
    /// Rows to add; no row has any of these targets.
    pub(crate) add: Vec<RecordedAttestation>,
    /// Targets of rows whose root is to become unknown.
    pub(crate) forget: Vec<Epoch>,
    /// The key's new state.
    pub(crate) state: AttestationState,
    /// The key is minified, for what the file says alone or together with the database.
    pub(crate) minified: bool,
}

/// What an import changes in the blocks of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockMerge {
    /// Rows to add; no row has any of these slots.
    pub(crate) add: Vec<RecordedBlock>,
    /// Slots of rows whose root is to become unknown.
    pub(crate) forget: Vec<Slot>,
    /// The key's new state.
    pub(crate) state: BlockState,
}

impl KeyImport {
    /// Brings all that a file says about a key, in any order and with repetitions, into order.
    pub(crate) fn new(
        key: PublicKey,
        attestations: Vec<RecordedAttestation>,
        blocks: Vec<RecordedBlock>,
    ) -> Self {
        Self {
            key,
            attestations: AttestationImport::new(attestations),
            blocks: BlockImport::new(blocks),
        }
    }

    /// Whether two of the messages themselves are slashable.
    pub(crate) fn is_slashable(&self) -> bool {
        self.attestations.as_ref().is_some_and(|part| part.slashable)
            || self.blocks.as_ref().is_some_and(|part| part.slashable)
    }

    /// Gives the attestations the floor and the maximum that their source knows, in place of the
    /// lowest and above the highest of the rows.
    pub(crate) fn set_attestation_limits(
        &mut self,
        floor: Option<VoteEpochs>,
        max: Option<VoteEpochs>,
    ) {
        let Some(lowest) = floor.or(max) else { return };
        let part = self.attestations.get_or_insert_with(|| AttestationImport::without_rows(lowest));
        part.floor = floor.unwrap_or(part.floor);
        part.max = greatest(part.max, greatest(part.floor, max.unwrap_or(part.floor)));
    }

    /// The same for blocks.
    pub(crate) fn set_block_limits(&mut self, floor: Option<Slot>, max: Option<Slot>) {
        let Some(lowest) = floor.or(max) else { return };
        let part = self.blocks.get_or_insert_with(|| BlockImport::without_rows(lowest));
        part.floor = floor.unwrap_or(part.floor);
        part.max = part.max.max(part.floor).max(max.unwrap_or(part.floor));
    }

    /// What became of the key, given what became of its two parts.
    pub(crate) fn outcome(
        &self,
        attestations: Option<(&AttestationState, &AttestationMerge)>,
        blocks: Option<(&BlockState, &BlockMerge)>,
    ) -> KeyOutcome {
        let mut outcome = KeyOutcome {
            key: self.key,
            attestations_added: 0,
            blocks_added: 0,
            roots_forgotten: 0,
            minified: false,
            slashable: self.is_slashable(),
            changed: false,
        };
        if let Some((before, merge)) = attestations {
            outcome.attestations_added = merge.add.len() as u64;
            outcome.roots_forgotten += merge.forget.len() as u64;
            outcome.minified = merge.minified;
            outcome.changed |= merge.changes(before);
        }
        if let Some((before, merge)) = blocks {
            outcome.blocks_added = merge.add.len() as u64;
            outcome.roots_forgotten += merge.forget.len() as u64;
            outcome.changed |= merge.changes(before);
        }
        outcome
    }
}

impl AttestationImport {
    fn without_rows(limit: VoteEpochs) -> Self {
        Self { rows: vec![], floor: limit, max: limit, minify: false, slashable: false }
    }

    /// The first and the last target of the rows: the stored rows in between are what
    /// [`Self::merge`] must know.
    pub(crate) fn targets(&self) -> Option<(Epoch, Epoch)> {
        Some((self.rows.first()?.target, self.rows.last()?.target))
    }

    fn new(mut votes: Vec<RecordedAttestation>) -> Option<Self> {
        votes.sort_unstable_by_key(|vote| (vote.target, vote.source, vote.signing_root));
        let first = epochs(votes.first()?);
        let (mut floor, mut max) = (first, first);
        let (mut minify, mut slashable) = (false, false);
        let mut rows: Vec<RecordedAttestation> = Vec::with_capacity(votes.len());
        // Highest source among the rows with a lower target than the present one.
        let (mut highest_source_before, mut highest_source) = (None, None);
        for vote in votes {
            floor = least(floor, epochs(&vote));
            max = greatest(max, epochs(&vote));
            if let Some(row) = rows.last_mut().filter(|row| row.target == vote.target) {
                minify |= row.source != vote.source;
                slashable |= row.source != vote.source
                    || differ_for_certain(row.signing_root, vote.signing_root);
                if row.source != vote.source || row.signing_root != vote.signing_root {
                    row.signing_root = None;
                }
            } else {
                highest_source_before = highest_source;
                rows.push(vote);
            }
            slashable |= highest_source_before.is_some_and(|earlier| vote.source < earlier);
            highest_source = highest_source.max(Some(vote.source));
        }
        Some(Self { rows, floor, max, minify, slashable })
    }

    /// Merges into a key's state. `recorded` must hold the key's rows for the targets of
    /// [`Self::rows`]; other rows of the key do no harm.
    pub(crate) fn merge(
        &self,
        state: &AttestationState,
        recorded: &[RecordedAttestation],
    ) -> AttestationMerge {
        let recorded: HashMap<Epoch, &RecordedAttestation> =
            recorded.iter().map(|row| (row.target, row)).collect();
        let (mut add, mut forget) = (Vec::new(), Vec::new());
        let mut minified = self.minify;
        for row in &self.rows {
            match recorded.get(&row.target) {
                None => add.push(*row),
                Some(known) => {
                    minified |= known.source != row.source;
                    let same = known.source == row.source && known.signing_root == row.signing_root;
                    if !same && known.signing_root.is_some() {
                        forget.push(row.target);
                    }
                }
            }
        }
        let max = state.max.map_or(self.max, |max| greatest(max, self.max));
        let floor = if minified { max } else { self.floor };
        let floor = state.floor.map_or(floor, |known| greatest(known, floor));
        if minified {
            add.clear();
        }
        let state = AttestationState { floor: Some(floor), max: Some(max), ..*state };
        AttestationMerge { add, forget, state, minified }
    }
}

impl BlockImport {
    fn without_rows(limit: Slot) -> Self {
        Self { rows: vec![], floor: limit, max: limit, slashable: false }
    }

    /// The first and the last slot of the rows, as [`AttestationImport::targets`].
    pub(crate) fn slots(&self) -> Option<(Slot, Slot)> {
        Some((self.rows.first()?.slot, self.rows.last()?.slot))
    }

    fn new(mut blocks: Vec<RecordedBlock>) -> Option<Self> {
        blocks.sort_unstable_by_key(|block| (block.slot, block.signing_root));
        let (floor, max) = (blocks.first()?.slot, blocks.last()?.slot);
        let mut slashable = false;
        let mut rows: Vec<RecordedBlock> = Vec::with_capacity(blocks.len());
        for block in blocks {
            match rows.last_mut().filter(|row| row.slot == block.slot) {
                Some(row) => {
                    slashable |= differ_for_certain(row.signing_root, block.signing_root);
                    if row.signing_root != block.signing_root {
                        row.signing_root = None;
                    }
                }
                None => rows.push(block),
            }
        }
        Some(Self { rows, floor, max, slashable })
    }

    /// Merges into a key's state. `recorded` must hold the key's rows for the slots of
    /// [`Self::rows`]; other rows of the key do no harm.
    pub(crate) fn merge(&self, state: &BlockState, recorded: &[RecordedBlock]) -> BlockMerge {
        let recorded: HashMap<Slot, &RecordedBlock> =
            recorded.iter().map(|row| (row.slot, row)).collect();
        let (mut add, mut forget) = (Vec::new(), Vec::new());
        for row in &self.rows {
            match recorded.get(&row.slot) {
                None => add.push(*row),
                Some(known) if known.signing_root == row.signing_root => {}
                Some(known) if known.signing_root.is_some() => forget.push(row.slot),
                Some(_) => {}
            }
        }
        let state = BlockState {
            floor: state.floor.max(Some(self.floor)),
            max: state.max.max(Some(self.max)),
            ..*state
        };
        BlockMerge { add, forget, state }
    }
}

impl AttestationMerge {
    /// Whether there is anything to write for a key in the state `before`.
    pub(crate) fn changes(&self, before: &AttestationState) -> bool {
        !self.add.is_empty() || !self.forget.is_empty() || self.state != *before
    }
}

impl BlockMerge {
    /// Whether there is anything to write for a key in the state `before`.
    pub(crate) fn changes(&self, before: &BlockState) -> bool {
        !self.add.is_empty() || !self.forget.is_empty() || self.state != *before
    }
}

impl AttestationState {
    /// The state with its floor, and where necessary its maximum, raised to `floor`. Source and
    /// target each go up only.
    #[must_use]
    pub(crate) fn with_floor_raised(self, floor: VoteEpochs) -> Self {
        let raise = |known: Option<VoteEpochs>| known.map_or(floor, |known| greatest(known, floor));
        Self { floor: Some(raise(self.floor)), max: Some(raise(self.max)), ..self }
    }
}

impl BlockState {
    /// The state with its floor, and where necessary its maximum, raised to `floor`.
    #[must_use]
    pub(crate) fn with_floor_raised(self, floor: Slot) -> Self {
        Self { floor: self.floor.max(Some(floor)), max: self.max.max(Some(floor)), ..self }
    }
}

/// Two known roots that are not the same message. Where one is unknown, it may be the same.
fn differ_for_certain(left: Option<Root>, right: Option<Root>) -> bool {
    left.zip(right).is_some_and(|(left, right)| left != right)
}

fn epochs(vote: &RecordedAttestation) -> VoteEpochs {
    VoteEpochs { source: vote.source, target: vote.target }
}

/// The greater source and the greater target.
fn greatest(left: VoteEpochs, right: VoteEpochs) -> VoteEpochs {
    VoteEpochs { source: left.source.max(right.source), target: left.target.max(right.target) }
}

/// The lesser source and the lesser target.
fn least(left: VoteEpochs, right: VoteEpochs) -> VoteEpochs {
    VoteEpochs { source: left.source.min(right.source), target: left.target.min(right.target) }
}
