//! What a client does in a slot, and when: pure, without a clock.

use super::{
    chain::epoch_of,
    duties::{Duties, SyncMember, Validator},
    profile::Profile,
};
use crate::{selection::BasisPoints, wire::Slot};

/// Attestations and sync messages are due (consensus-specs, `ATTESTATION_DUE_BPS`).
pub const ATTESTATION_DUE: BasisPoints = BasisPoints(3333);
/// Aggregates and contributions are due (consensus-specs, `AGGREGATE_DUE_BPS`).
pub const AGGREGATE_DUE: BasisPoints = BasisPoints(6667);
/// When the block comes back from the beacon node to be signed: about half a second.
pub const BLOCK_READY: BasisPoints = BasisPoints(400);
/// When a client of [`Profile::Midslot`] asks its scheduler who aggregates in this slot.
pub const LOOK_UP: BasisPoints = BasisPoints(5000);

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The randomness at once, the block at [`BLOCK_READY`].
    Propose(Validator),
    /// Votes of all of these, side by side.
    Attest(Vec<Validator>),
    /// Sync committee messages of all of these, side by side.
    SyncMessages(Vec<Validator>),
    /// Selection proofs for attesters, in this order.
    SelectionProofs(Vec<(Slot, Vec<Validator>)>),
    /// Selection proofs for members of the sync committee, slot by slot.
    SyncSelectionProofs(Vec<(Slot, Vec<SyncMember>)>),
    /// The scheduler is asked for the proofs of this slot.
    LookUp(Vec<Validator>, Vec<SyncMember>),
    /// Those of these attesters who are aggregators send aggregates.
    Aggregate(Vec<Validator>),
    /// Those of these members who are aggregators send contributions.
    Contribute(Vec<SyncMember>),
}

/// An action and its instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// After the start of the slot; may lie beyond its end.
    pub at: BasisPoints,
    /// What to do.
    pub action: Action,
}

/// What a client does in a slot, when it has played since `first`.
pub fn steps(profile: Profile, duties: &Duties, slot: Slot, first: Slot) -> Vec<Step> {
    let attesters = duties.attesters(slot);
    let members = duties.sync_members(epoch_of(slot));
    let mut steps = Vec::new();
    let mut add = |at, action| steps.push(Step { at, action });
    let start = BasisPoints(0);

    add(start, Action::Propose(duties.proposer(slot)));
    for step in profile.proof_steps(slot, first, duties.validators()) {
        let proofs = step.slots.map(|slot| (Slot(slot), duties.attesters(Slot(slot)))).collect();
        add(step.at, Action::SelectionProofs(proofs));
    }
    let proofs = sync_proofs(profile, duties, slot, first);
    let is_ahead = profile.sync_proofs_ahead() > 0;
    if !proofs.is_empty() {
        let at = if is_ahead { start } else { ATTESTATION_DUE };
        add(at, Action::SyncSelectionProofs(proofs));
    }
    let voters = members.iter().map(|member| member.validator).collect();
    add(ATTESTATION_DUE, Action::Attest(attesters.clone()));
    add(ATTESTATION_DUE, Action::SyncMessages(voters));
    if profile == Profile::Midslot {
        add(LOOK_UP, Action::LookUp(attesters.clone(), members.clone()));
    }
    add(AGGREGATE_DUE, Action::Aggregate(attesters));
    add(AGGREGATE_DUE, Action::Contribute(members));
    steps
}

fn sync_proofs(
    profile: Profile,
    duties: &Duties,
    slot: Slot,
    first: Slot,
) -> Vec<(Slot, Vec<SyncMember>)> {
    if profile == Profile::Midslot {
        return Vec::new();
    }
    let last = slot.0 + profile.sync_proofs_ahead();
    let from = if slot == first { slot.0 } else { last };
    (from..=last).map(|slot| (Slot(slot), duties.sync_members(epoch_of(Slot(slot))))).collect()
}

#[cfg(test)]
mod tests;
