//! `GENERIC`: an object known by its root alone, with the domain that the client made.
//!
//! Two drafts describe it (remote-signing-api, pull requests 29 and 30), with two spellings. A root
//! hides what slashing protection must know, so the domains of blocks and attestations are refused,
//! or, where the operator allows them, need the object beside the root. Then three things must
//! agree, or nothing is signed: the object's root and the root to sign, the domain and a fork of the
//! chain, that chain and the one that slashing protection records.

use serde::Deserialize;
use serde_json::value::RawValue;
use signer_client::wire::{AttestationData, BeaconBlockHeader, Epoch, ForkInfo, Root, SigningData};

use super::{Context, Message};
use crate::duty::{
    DutyError, GenericError, Position, Protection, SlashableGeneric,
    domain::{Domain, DomainType, root_of},
};

/// What a slashable domain is for, and how it is asked for.
struct Slashable {
    domain_type: DomainType,
    what: &'static str,
    /// The type that signs such objects.
    instead: &'static str,
    /// The member that holds the object.
    key: &'static str,
}

const BLOCK: Slashable = Slashable {
    domain_type: DomainType::BEACON_PROPOSER,
    what: "blocks",
    instead: "BLOCK_V2",
    key: "block_header",
};

const ATTESTATION: Slashable = Slashable {
    domain_type: DomainType::BEACON_ATTESTER,
    what: "attestations",
    instead: "ATTESTATION",
    key: "attestation",
};

pub(super) fn read(context: &Context<'_, '_>) -> Result<(Message, Protection), DutyError> {
    let data = signing_data(context)?;
    let domain = Domain::made_elsewhere(data.domain);
    let generic = context.request.generic;
    if domain.is_of_type(BLOCK.domain_type) {
        let header: BeaconBlockHeader = BLOCK.object(context, &data, generic.block_header)?;
        BLOCK.check_root(&data, root_of(&header))?;
        let epoch = context.network.epoch_of(header.slot);
        let genesis_validators_root = BLOCK.chain(context, &data, epoch)?;
        let position = Some(Position::Slot(header.slot));
        let message = Message { object_root: data.object_root, domain, position };
        Ok((message, Protection::Block { slot: header.slot, genesis_validators_root }))
    } else if domain.is_of_type(ATTESTATION.domain_type) {
        let vote: AttestationData = ATTESTATION.object(context, &data, generic.attestation)?;
        ATTESTATION.check_root(&data, root_of(&vote))?;
        let genesis_validators_root = ATTESTATION.chain(context, &data, vote.target.epoch)?;
        let position = Some(Position::Slot(vote.slot));
        let message = Message { object_root: data.object_root, domain, position };
        let protection = Protection::Attestation {
            source: vote.source.epoch,
            target: vote.target.epoch,
            genesis_validators_root,
        };
        Ok((message, protection))
    } else {
        let message = Message { object_root: data.object_root, domain, position: None };
        Ok((message, Protection::Unprotected))
    }
}

/// Root and domain in either spelling: `signing_data`, or `merkle_root` and `domain` beside `type`.
fn signing_data(context: &Context<'_, '_>) -> Result<SigningData, DutyError> {
    let request = context.request;
    let generic = request.generic;
    let is_flat = generic.merkle_root.is_some() || generic.domain.is_some();
    match (request.has_object(), is_flat) {
        (true, true) => Err(GenericError::TwoSpellings.into()),
        (_, false) => request.object(),
        (false, true) => {
            let incomplete = |path| GenericError::Incomplete { path };
            let merkle_root = generic.merkle_root.ok_or(incomplete("merkle_root"))?;
            let domain = generic.domain.ok_or(incomplete("domain"))?;
            Ok(SigningData {
                object_root: request.decode("merkle_root", merkle_root)?,
                domain: request.decode("domain", domain)?,
            })
        }
    }
}

impl Slashable {
    /// The object beside the root, if the operator allows such requests.
    fn object<'body, T: Deserialize<'body>>(
        &self,
        context: &Context<'_, 'body>,
        data: &SigningData,
        object: Option<&'body RawValue>,
    ) -> Result<T, DutyError> {
        let Self { what, instead, key, .. } = *self;
        let domain = Box::new(data.domain);
        match (context.slashable_generic, object) {
            (SlashableGeneric::Refused, _) => {
                Err(GenericError::Slashable { what, instead, key, domain }.into())
            }
            (SlashableGeneric::WithObject, None) => {
                Err(GenericError::NoObject { what, key, domain }.into())
            }
            (SlashableGeneric::WithObject, Some(object)) => context.request.decode(key, object),
        }
    }

    /// What slashing protection sees must be what is signed.
    fn check_root(&self, data: &SigningData, computed: Root) -> Result<(), GenericError> {
        if computed == data.object_root {
            return Ok(());
        }
        let (sent, computed) = (Box::new(data.object_root), Box::new(computed));
        Err(GenericError::OtherObject { key: self.key, sent, computed })
    }

    /// The chain that the domain is of. With `fork_info` the domain must be the one that it selects
    /// for the object's epoch; without it the domain of any fork of the signer's own network.
    fn chain(
        &self,
        context: &Context<'_, '_>,
        data: &SigningData,
        epoch: Epoch,
    ) -> Result<Root, DutyError> {
        let is_of =
            |version, root| Domain::compute(self.domain_type, version, root).bytes == data.domain;
        let other_chain = |chain| GenericError::OtherChain { domain: Box::new(data.domain), chain };
        if let Some(fork_info) = context.request.optional_fork_info()? {
            let ForkInfo { fork, genesis_validators_root } = fork_info;
            return if is_of(fork.version_at(epoch), genesis_validators_root) {
                Ok(genesis_validators_root)
            } else {
                Err(other_chain(format!("fork_info at epoch {}", epoch.0)).into())
            };
        }
        let missing = DutyError::MissingForkInfo { duty_type: context.request.duty_type };
        let root = context.network.genesis_validators_root.ok_or(missing)?;
        if context.network.forks().iter().any(|scheduled| is_of(scheduled.version, root)) {
            Ok(root)
        } else {
            Err(other_chain(format!("the network {}", context.network.name)).into())
        }
    }
}
