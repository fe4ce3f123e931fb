//! The rules of EIP-3076 as two pure functions, one for attestations and one for blocks.
//!
//! Invariant: over any sequence in which every `New` is recorded before its signature leaves, no
//! two signatures of one key are slashable. Backends load the key's state and, only when asked for
//! it, a part of its history; they never decide themselves.
//!
//! The short way: a target above the highest and a source at or above the highest can be neither
//! a double vote nor in a surround relation with anything on record, whatever the history is. An
//! honest validator's normal duty always takes this way and needs no history.
//!
//! Stricter than EIP-3076 asks: its conditions C2, C4 and C5 hold always and not only after an
//! import; a source after its target is refused; a repeat must agree in source, too.

use signer_client::wire::{Epoch, Root, Slot};

use super::refusal::{RecordedAttestation, RecordedBlock, Refusal};

/// Largest slot or epoch that databases store and rules accept: 2^63 - 1.
pub const LARGEST: u64 = i64::MAX.cast_unsigned();

/// What the rules say about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Safe; must be recorded before the signature leaves.
    New,
    /// Exactly this is on record; signing it again reveals nothing new.
    Repeat,
    /// Must not be signed.
    Refused(Refusal),
}

/// The state alone does not decide: ask again with the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryNeeded;

/// The two epochs of an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteEpochs {
    /// Epoch of the source checkpoint.
    pub source: Epoch,
    /// Epoch of the target checkpoint.
    pub target: Epoch,
}

/// What is kept per key about its attestations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttestationState {
    /// Whether the key may sign at all.
    pub enabled: bool,
    /// Lowest source and target that the record vouches for; below lies the unknown.
    pub floor: Option<VoteEpochs>,
    /// Highest source and highest target, not necessarily of one vote. Never below a record or
    /// the floor.
    pub max: Option<VoteEpochs>,
}

/// What is kept per key about its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockState {
    /// Whether the key may sign at all.
    pub enabled: bool,
    /// Lowest slot that the record vouches for.
    pub floor: Option<Slot>,
    /// Highest slot; never below a record or the floor.
    pub max: Option<Slot>,
}

impl AttestationState {
    /// A key that never attested.
    pub const UNUSED: Self = Self { enabled: true, floor: None, max: None };

    /// The state once `vote` is recorded.
    #[must_use]
    pub fn with_recorded(self, vote: VoteEpochs) -> Self {
        let max = self.max.map_or(vote, |max| VoteEpochs {
            source: max.source.max(vote.source),
            target: max.target.max(vote.target),
        });
        Self { floor: self.floor.or(Some(vote)), max: Some(max), ..self }
    }
}

impl BlockState {
    /// A key that never proposed.
    pub const UNUSED: Self = Self { enabled: true, floor: None, max: None };

    /// The state once a block at `slot` is recorded.
    #[must_use]
    pub fn with_recorded(self, slot: Slot) -> Self {
        let max = self.max.map_or(slot, |max| max.max(slot));
        Self { floor: self.floor.or(Some(slot)), max: Some(max), ..self }
    }
}

/// Whether a recorded root proves that a request is the same message again. An unknown root and
/// the zero root prove nothing.
fn is_same(recorded: Option<Root>, requested: Root) -> bool {
    requested != Root::ZERO && recorded == Some(requested)
}

/// Decides one attestation.
///
/// `history`, once asked for, must hold the key's record for the same target if there is one, and
/// if any exist at least one record that surrounds the vote and one that the vote surrounds.
/// Other records do no harm.
pub fn attestation(
    state: &AttestationState,
    high_watermark: Option<Epoch>,
    vote: VoteEpochs,
    signing_root: Root,
    history: Option<&[RecordedAttestation]>,
) -> Result<Verdict, HistoryNeeded> {
    let VoteEpochs { source, target } = vote;
    if let Some(refusal) = attestation_without_history(state, high_watermark, vote) {
        return Ok(Verdict::Refused(refusal));
    }

    let above_floor =
        state.floor.is_none_or(|floor| target > floor.target && source >= floor.source);
    let above_max = state.max.is_none_or(|max| target > max.target && source >= max.source);
    if above_floor && above_max {
        return Ok(Verdict::New);
    }

    let history = history.ok_or(HistoryNeeded)?;
    // C3, double vote; the repeat is its only exception and comes before the floors, because an
    // exact record stays an exact record when the floors are raised above it.
    if let Some(earlier) = history.iter().find(|earlier| earlier.target == target) {
        let repeat = earlier.source == source && is_same(earlier.signing_root, signing_root);
        return Ok(if repeat {
            Verdict::Repeat
        } else {
            Verdict::Refused(Refusal::DoubleVote { earlier: *earlier })
        });
    }
    Ok(match attestation_refusal(state, vote, history) {
        Some(refusal) => Verdict::Refused(refusal),
        None => Verdict::New,
    })
}

/// Refusals that no record of the past can lift.
fn attestation_without_history(
    state: &AttestationState,
    high_watermark: Option<Epoch>,
    VoteEpochs { source, target }: VoteEpochs,
) -> Option<Refusal> {
    if !state.enabled {
        return Some(Refusal::Disabled);
    }
    if let Some(epoch) = [source, target].into_iter().find(|epoch| epoch.0 > LARGEST) {
        return Some(Refusal::OutOfRange { value: epoch.0 });
    }
    if source > target {
        return Some(Refusal::SourceAfterTarget { source_epoch: source, target });
    }
    // The target is the later of the two.
    match high_watermark {
        Some(high_watermark) if target >= high_watermark => {
            Some(Refusal::EpochAtHighWatermark { epoch: target, high_watermark })
        }
        _ => None,
    }
}

/// C4, C5 and the surround half of C3.
fn attestation_refusal(
    state: &AttestationState,
    VoteEpochs { source, target }: VoteEpochs,
    history: &[RecordedAttestation],
) -> Option<Refusal> {
    if let Some(floor) = state.floor {
        if source < floor.source {
            return Some(Refusal::SourceBelowFloor { source_epoch: source, floor: floor.source });
        }
        if target <= floor.target {
            return Some(Refusal::TargetNotAboveFloor { target, floor: floor.target });
        }
    }
    history.iter().find_map(|&earlier| {
        if source < earlier.source && earlier.target < target {
            Some(Refusal::Surrounding { earlier })
        } else if earlier.source < source && target < earlier.target {
            Some(Refusal::Surrounded { earlier })
        } else {
            None
        }
    })
}

/// Decides one block. `history`, once asked for, must hold the key's record for the same slot if
/// there is one. Other records do no harm.
pub fn block(
    state: &BlockState,
    high_watermark: Option<Slot>,
    slot: Slot,
    signing_root: Root,
    history: Option<&[RecordedBlock]>,
) -> Result<Verdict, HistoryNeeded> {
    if !state.enabled {
        return Ok(Verdict::Refused(Refusal::Disabled));
    }
    if slot.0 > LARGEST {
        return Ok(Verdict::Refused(Refusal::OutOfRange { value: slot.0 }));
    }
    if let Some(high_watermark) = high_watermark.filter(|&high| slot >= high) {
        return Ok(Verdict::Refused(Refusal::SlotAtHighWatermark { slot, high_watermark }));
    }

    let above_floor = state.floor.is_none_or(|floor| slot > floor);
    if above_floor && state.max.is_none_or(|max| slot > max) {
        return Ok(Verdict::New);
    }

    let history = history.ok_or(HistoryNeeded)?;
    // C1 with its exception for repeats.
    if let Some(earlier) = history.iter().find(|earlier| earlier.slot == slot) {
        return Ok(if is_same(earlier.signing_root, signing_root) {
            Verdict::Repeat
        } else {
            Verdict::Refused(Refusal::DoubleProposal { earlier: *earlier })
        });
    }
    // C2.
    Ok(match state.floor {
        Some(floor) if slot <= floor => {
            Verdict::Refused(Refusal::SlotNotAboveFloor { slot, floor })
        }
        _ => Verdict::New,
    })
}

/// Compares the chain of a request with the chain of the database. `None` means that the database
/// belongs to no chain yet.
pub fn genesis_validators_root(pinned: Option<Root>, claimed: Root) -> Result<(), Refusal> {
    match pinned {
        Some(pinned) if pinned != claimed => {
            Err(Refusal::WrongGenesisValidatorsRoot { pinned, claimed })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
