//! Sync committee duties, which exist since Altair.

use signer_client::wire::{
    ContributionAndProof, Fork, ForkInfo, Slot, SyncAggregatorSelectionData, SyncCommitteeMessage,
};

use super::{Context, Message};
use crate::duty::{
    DutyError,
    containers::check_bits,
    domain::{DomainType, root_of},
    fork_rule::ObjectFork,
    network::SYNC_COMMITTEE_SUBNET_COUNT,
};

const AGGREGATION_BITS: &str = "contribution_and_proof.contribution.aggregation_bits";

pub(super) fn message(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: SyncCommitteeMessage = context.request.object()?;
    let fork_info = fork_info_since_altair(context, object.slot)?;
    // The block root is signed as it is, not as a member of a container.
    let object_root = object.beacon_block_root;
    Ok(context.of_slot(object_root, DomainType::SYNC_COMMITTEE, &fork_info, object.slot))
}

pub(super) fn selection_proof(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: SyncAggregatorSelectionData = context.request.object()?;
    let fork_info = fork_info_since_altair(context, object.slot)?;
    let domain_type = DomainType::SYNC_COMMITTEE_SELECTION_PROOF;
    Ok(context.of_slot(root_of(&object), domain_type, &fork_info, object.slot))
}

pub(super) fn contribution_and_proof(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: ContributionAndProof = context.request.object()?;
    let slot = object.contribution.slot;
    let fork_info = fork_info_since_altair(context, slot)?;
    let members = context.network.preset.sync_committee_size() / SYNC_COMMITTEE_SUBNET_COUNT;
    check_bits(AGGREGATION_BITS, &object.contribution.aggregation_bits, members)?;
    let domain_type = DomainType::CONTRIBUTION_AND_PROOF;
    Ok(context.of_slot(root_of(&object), domain_type, &fork_info, slot))
}

/// `fork_info`, if it or the schedule says that the slot's fork has sync committees.
fn fork_info_since_altair(context: &Context<'_, '_>, slot: Slot) -> Result<ForkInfo, DutyError> {
    let fork_info = context.request.fork_info()?;
    let epoch = context.network.epoch_of(slot);
    let fork = ObjectFork::decide(context.network, &fork_info, epoch, None);
    if fork.fork < Fork::Altair && context.network.fork_at_epoch(epoch) < Fork::Altair {
        let duty_type = context.request.duty_type;
        return Err(DutyError::WrongFork {
            duty_type,
            fork: fork.fork,
            decided_by: fork.decided_by,
        });
    }
    Ok(fork_info)
}
