//! Attestations and their aggregation.

use signer_client::wire::{AggregateAndProof, AggregationSlot, AttestationData};

use super::{Context, Message};
use crate::duty::{
    DutyError, Position, Protection, aggregates,
    domain::{DomainType, root_of},
    request::Wrapped,
    selection,
};

pub(super) fn attestation(context: &Context<'_, '_>) -> Result<(Message, Protection), DutyError> {
    let data: AttestationData = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    let message = Message {
        object_root: root_of(&data),
        // The target's epoch, not the slot's: consensus-specs, `get_attestation_signature`.
        domain: Context::domain(DomainType::BEACON_ATTESTER, &fork_info, data.target.epoch),
        position: Some(Position::Slot(data.slot)),
    };
    let protection = Protection::Attestation {
        source: data.source.epoch,
        target: data.target.epoch,
        genesis_validators_root: fork_info.genesis_validators_root,
    };
    Ok((message, protection))
}

pub(super) fn aggregation_slot(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: AggregationSlot = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    Ok(selection::attestation_proof(context.network, &fork_info, object))
}

/// Both aggregate types, which accept the bare and the wrapped object alike.
pub(super) fn aggregate_and_proof(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let Wrapped { version, object } = context.request.maybe_wrapped::<AggregateAndProof>()?;
    let fork_info = context.request.fork_info()?;
    aggregates::aggregate_message(context.network, &fork_info, version, &object)
}
