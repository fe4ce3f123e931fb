//! Sync committee duties, which exist since Altair.

use signer_client::wire::{
    ContributionAndProof, ForkInfo, Slot, SyncAggregatorSelectionData, SyncCommitteeMessage,
};

use super::{Context, Message};
use crate::duty::{
    DutyError, aggregates, domain::DomainType, fork_rule::check_since_altair, selection,
};

pub(super) fn message(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: SyncCommitteeMessage = context.request.object()?;
    let fork_info = fork_info_since_altair(context, object.slot)?;
    // The block root is signed as it is, not as a member of a container.
    let object_root = object.beacon_block_root;
    Ok(context.of_slot(object_root, DomainType::SYNC_COMMITTEE, &fork_info, object.slot))
}

pub(super) fn selection_proof(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: SyncAggregatorSelectionData = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    selection::sync_committee_proof(context.network, &fork_info, None, object)
}

pub(super) fn contribution_and_proof(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: ContributionAndProof = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    aggregates::contribution_message(context.network, &fork_info, None, &object)
}

/// `fork_info`, if it or the schedule says that the slot's fork has sync committees.
fn fork_info_since_altair(context: &Context<'_, '_>, slot: Slot) -> Result<ForkInfo, DutyError> {
    let fork_info = context.request.fork_info()?;
    check_since_altair(context.network, &fork_info, None, slot, context.request.duty_type)?;
    Ok(fork_info)
}
