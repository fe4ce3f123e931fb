//! The object of each type: how it is read, hashed and which domain it is signed for.

mod attesting;
mod block;
mod generic;
mod gloas;
mod standalone;
mod sync;

use signer_client::wire::{Epoch, ForkInfo, Root, Slot};

use super::{
    DutyError, DutyType, Network, Position, Protection, SlashableGeneric,
    domain::{Domain, DomainType},
    request::Request,
};

/// What a type's reader works with.
struct Context<'request, 'body> {
    request: &'request Request<'body>,
    network: &'request Network,
    slashable_generic: SlashableGeneric,
}

impl Context<'_, '_> {
    /// The domain that `fork_info` selects for an epoch.
    fn domain(domain_type: DomainType, fork_info: &ForkInfo, epoch: Epoch) -> Domain {
        let version = fork_info.fork.version_at(epoch);
        Domain::compute(domain_type, version, fork_info.genesis_validators_root)
    }

    /// An object of a slot, signed for that slot's fork.
    fn of_slot(
        &self,
        object_root: Root,
        domain_type: DomainType,
        fork_info: &ForkInfo,
        slot: Slot,
    ) -> Message {
        Message::of_slot(object_root, domain_type, fork_info, slot, self.network)
    }
}

/// An object ready to be signed.
pub(super) struct Message {
    pub(super) object_root: Root,
    pub(super) domain: Domain,
    pub(super) position: Option<Position>,
}

impl Message {
    /// An object of a slot, signed for the fork that `fork_info` selects for that slot.
    pub(super) fn of_slot(
        object_root: Root,
        domain_type: DomainType,
        fork_info: &ForkInfo,
        slot: Slot,
        network: &Network,
    ) -> Self {
        Self {
            object_root,
            domain: Context::domain(domain_type, fork_info, network.epoch_of(slot)),
            position: Some(Position::Slot(slot)),
        }
    }
}

/// Reads the object of a request.
///
/// The match has no wildcard: a new type does not compile until someone decides here whether it
/// can be slashed.
pub(super) fn read(
    request: &Request<'_>,
    network: &Network,
    slashable_generic: SlashableGeneric,
) -> Result<(Message, Protection), DutyError> {
    let context = Context { request, network, slashable_generic };
    let unprotected = |message| (message, Protection::Unprotected);
    match request.duty_type {
        DutyType::Block => block::phase0(&context),
        DutyType::BlockV2 => block::versioned(&context),
        DutyType::Attestation => attesting::attestation(&context),
        DutyType::AggregationSlot => attesting::aggregation_slot(&context).map(unprotected),
        DutyType::AggregateAndProof | DutyType::AggregateAndProofV2 => {
            attesting::aggregate_and_proof(&context).map(unprotected)
        }
        DutyType::RandaoReveal => block::randao_reveal(&context).map(unprotected),
        DutyType::VoluntaryExit => standalone::voluntary_exit(&context).map(unprotected),
        DutyType::Deposit => standalone::deposit(&context).map(unprotected),
        DutyType::SyncCommitteeMessage => sync::message(&context).map(unprotected),
        DutyType::SyncCommitteeSelectionProof => sync::selection_proof(&context).map(unprotected),
        DutyType::SyncCommitteeContributionAndProof => {
            sync::contribution_and_proof(&context).map(unprotected)
        }
        DutyType::ValidatorRegistration => {
            standalone::validator_registration(&context).map(unprotected)
        }
        DutyType::ExecutionPayloadBid => gloas::bid(&context).map(unprotected),
        DutyType::ExecutionPayloadEnvelope => gloas::envelope(&context).map(unprotected),
        DutyType::PayloadAttestationMessage => {
            gloas::payload_attestation(&context).map(unprotected)
        }
        DutyType::ProposerPreferences => gloas::proposer_preferences(&context).map(unprotected),
        DutyType::BuilderRequestAuth => gloas::builder_request_auth(&context).map(unprotected),
        DutyType::Generic => generic::read(&context),
    }
}
