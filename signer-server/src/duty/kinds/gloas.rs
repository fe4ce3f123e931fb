//! The types that Gloas adds, bare (as in early drafts) or wrapped (remote-signing-api v1.4.0).
//!
//! Domains: consensus-specs v1.7.0-beta.0, `specs/gloas` (builder.md, validator.md); builder-specs,
//! `specs/gloas/builder.md`.

use serde::Deserialize;
use signer_client::wire::{
    BuilderRequestAuth, ExecutionPayloadBid, ExecutionPayloadEnvelope, Fork, ForkInfo,
    PayloadAttestationData, ProposerPreferences, Root, Slot,
};

use super::{Context, Message};
use crate::duty::{
    DutyError, Position,
    domain::{Domain, DomainType, root_of},
    fork_rule::ObjectFork,
    request::Wrapped,
};

pub(super) fn bid(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let (bid, fork_info, fork) = object(context, |bid: &ExecutionPayloadBid| bid.slot)?;
    // Heze adds a member to bids.
    only_in_gloas(context, fork)?;
    Ok(context.of_slot(root_of(&bid), DomainType::BEACON_BUILDER, &fork_info, bid.slot))
}

pub(super) fn envelope(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let slot_of = |envelope: &ExecutionPayloadEnvelope| envelope.payload.slot_number;
    let (envelope, fork_info, fork) = object(context, slot_of)?;
    only_in_gloas(context, fork)?;
    let root = root_of(&envelope);
    Ok(context.of_slot(root, DomainType::BEACON_BUILDER, &fork_info, slot_of(&envelope)))
}

pub(super) fn payload_attestation(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let (data, fork_info, _) = object(context, |data: &PayloadAttestationData| data.slot)?;
    Ok(context.of_slot(root_of(&data), DomainType::PTC_ATTESTER, &fork_info, data.slot))
}

pub(super) fn proposer_preferences(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let slot_of = |preferences: &ProposerPreferences| preferences.proposal_slot;
    let (preferences, fork_info, _) = object(context, slot_of)?;
    let root = root_of(&preferences);
    let domain_type = DomainType::PROPOSER_PREFERENCES;
    Ok(context.of_slot(root, domain_type, &fork_info, preferences.proposal_slot))
}

/// A proof of identity to a builder, who stands outside the chain: the network's genesis fork
/// version and no chain identity. A `fork_info` is ignored.
pub(super) fn builder_request_auth(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let auth = context.request.maybe_wrapped::<BuilderRequestAuth>()?.object;
    let version = context.network.genesis_fork_version;
    Ok(Message {
        object_root: root_of(&auth),
        domain: Domain::compute(DomainType::BUILDER_REQUEST_AUTH, version, Root::ZERO),
        position: Some(Position::Slot(auth.slot)),
    })
}

/// Reads an object that exists since Gloas.
fn object<'body, T: Deserialize<'body>>(
    context: &Context<'_, 'body>,
    slot_of: impl Fn(&T) -> Slot,
) -> Result<(T, ForkInfo, ObjectFork), DutyError> {
    let Wrapped { version, object } = context.request.maybe_wrapped::<T>()?;
    let fork_info = context.request.fork_info()?;
    let epoch = context.network.epoch_of(slot_of(&object));
    let fork = ObjectFork::decide(context.network, &fork_info, epoch, version);
    // Each fork since Gloas may change these types; none before has them.
    fork.check_wrapper(context.request.key, version, |fork| fork.max(Fork::Fulu))?;
    if fork.fork < Fork::Gloas {
        let duty_type = context.request.duty_type;
        return Err(DutyError::WrongFork {
            duty_type,
            fork: fork.fork,
            decided_by: fork.decided_by,
        });
    }
    Ok((object, fork_info, fork))
}

fn only_in_gloas(context: &Context<'_, '_>, fork: ObjectFork) -> Result<(), DutyError> {
    if fork.fork == Fork::Gloas {
        return Ok(());
    }
    let duty_type = context.request.duty_type;
    Err(DutyError::UnknownShape { duty_type, fork: fork.fork, decided_by: fork.decided_by })
}
