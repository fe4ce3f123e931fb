//! Block proposals and the proposer's randomness.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use signer_client::wire::{BeaconBlock, BeaconBlockHeader, Fork, RandaoReveal, Root, Slot};

use super::{Context, Message};
use crate::duty::{
    DutyError, Position, Protection,
    containers::block_root,
    domain::{DomainType, root_of},
    fork_rule::ObjectFork,
};

/// The object of `BLOCK_V2`. Other members, such as Nimbus' `proofs`, are ignored.
#[derive(Deserialize)]
struct VersionedBlock<'a> {
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    block: Option<&'a RawValue>,
    #[serde(borrow)]
    block_header: Option<&'a RawValue>,
}

/// `BLOCK`: a full block of phase 0.
pub(super) fn phase0(context: &Context<'_, '_>) -> Result<(Message, Protection), DutyError> {
    let block: BeaconBlock = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    let epoch = context.network.epoch_of(block.slot);
    let fork = ObjectFork::decide(context.network, &fork_info, epoch, None);
    if fork.fork != Fork::Phase0 {
        let duty_type = context.request.duty_type;
        return Err(DutyError::WrongFork {
            duty_type,
            fork: fork.fork,
            decided_by: fork.decided_by,
        });
    }
    let root = block_root(&block, fork, context.network.preset)?;
    proposal(context, root, block.slot)
}

/// `BLOCK_V2`: a full block up to Altair, its header later. Its `version` is exact upper case.
pub(super) fn versioned(context: &Context<'_, '_>) -> Result<(Message, Protection), DutyError> {
    let request = context.request;
    let object: VersionedBlock<'_> = request.object()?;
    let name = object.version.ok_or(DutyError::MissingVersion { key: request.key })?;
    let version: Fork = name.parse().map_err(|_| request.unknown_fork(&name))?;
    match version {
        Fork::Phase0 | Fork::Altair => {
            let path = "beacon_block.block";
            let missing = DutyError::MissingMember { path, fork: version };
            let block: BeaconBlock = request.decode(path, object.block.ok_or(missing)?)?;
            let fork_info = request.fork_info()?;
            let epoch = context.network.epoch_of(block.slot);
            let fork = ObjectFork::decide(context.network, &fork_info, epoch, Some(version));
            fork.check_wrapper(request.key, Some(version), |fork| fork)?;
            let root = block_root(&block, fork, context.network.preset)?;
            proposal(context, root, block.slot)
        }
        Fork::Bellatrix
        | Fork::Capella
        | Fork::Deneb
        | Fork::Electra
        | Fork::Fulu
        | Fork::Gloas
        | Fork::Heze => {
            let path = "beacon_block.block_header";
            let missing = DutyError::MissingMember { path, fork: version };
            let header: BeaconBlockHeader =
                request.decode(path, object.block_header.ok_or(missing)?)?;
            proposal(context, root_of(&header), header.slot)
        }
    }
}

fn proposal(
    context: &Context<'_, '_>,
    root: Root,
    slot: Slot,
) -> Result<(Message, Protection), DutyError> {
    let fork_info = context.request.fork_info()?;
    let genesis_validators_root = fork_info.genesis_validators_root;
    let message = context.of_slot(root, DomainType::BEACON_PROPOSER, &fork_info, slot);
    Ok((message, Protection::Block { slot, genesis_validators_root }))
}

pub(super) fn randao_reveal(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let object: RandaoReveal = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    Ok(Message {
        object_root: root_of(&object),
        domain: Context::domain(DomainType::RANDAO, &fork_info, object.epoch),
        position: Some(Position::Epoch(object.epoch)),
    })
}
