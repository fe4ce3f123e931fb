//! Selection proofs as duties: by the body of a signing request, and without one for those that are
//! asked for ahead of their slot.
//!
//! Both ways meet here, so a proof that was made ahead has the signing root that the ordinary request
//! will have. That root follows from the slot, the fork version at that slot, the chain and, in a
//! sync committee, the subcommittee, and from nothing else: no committee, no shuffling.

use signer_client::wire::{
    AggregationSlot, Fork, ForkInfo, QuotedU64, Slot, SyncAggregatorSelectionData,
};

use super::{
    Duty, DutyError, DutyType, Network, Protection,
    domain::{DomainType, root_of},
    fork_rule::check_since_altair,
    kinds::Message,
};

/// The duty to prove who aggregates at `slot`: attestations, or the messages of a sync
/// subcommittee. `claimed` is the slot's fork as the caller has it, which counts where the network does
/// not know the fork version.
///
/// # Errors
/// When the slot's fork has no sync committees ([`DutyError::WrongFork`]).
pub fn selection_proof(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    slot: Slot,
    subcommittee_index: Option<QuotedU64>,
) -> Result<Duty, DutyError> {
    let (duty_type, message) = match subcommittee_index {
        None => (
            DutyType::AggregationSlot,
            attestation_proof(network, fork_info, AggregationSlot { slot }),
        ),
        Some(subcommittee_index) => (
            DutyType::SyncCommitteeSelectionProof,
            sync_committee_proof(
                network,
                fork_info,
                claimed,
                SyncAggregatorSelectionData { slot, subcommittee_index },
            )?,
        ),
    };
    Ok(Duty {
        duty_type,
        signing_root: message.domain.signing_root(message.object_root),
        position: message.position,
        protection: Protection::Unprotected,
    })
}

/// Consensus-specs, phase0 `get_slot_signature`.
pub(super) fn attestation_proof(
    network: &Network,
    fork_info: &ForkInfo,
    object: AggregationSlot,
) -> Message {
    let domain_type = DomainType::SELECTION_PROOF;
    Message::of_slot(root_of(&object), domain_type, fork_info, object.slot, network)
}

/// Consensus-specs, altair `get_sync_committee_selection_proof`.
pub(super) fn sync_committee_proof(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    object: SyncAggregatorSelectionData,
) -> Result<Message, DutyError> {
    let duty_type = DutyType::SyncCommitteeSelectionProof;
    check_since_altair(network, fork_info, claimed, object.slot, duty_type)?;
    let domain_type = DomainType::SYNC_COMMITTEE_SELECTION_PROOF;
    Ok(Message::of_slot(root_of(&object), domain_type, fork_info, object.slot, network))
}
