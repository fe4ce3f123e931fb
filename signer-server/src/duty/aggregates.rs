//! Aggregates and contributions as duties: by the body of a signing request, and as objects that
//! this program has put together itself.
//!
//! Both ways meet here, so the same object has the same signing root whichever way it comes.

use signer_client::wire::{AggregateAndProof, Bitvector, ContributionAndProof, Fork, ForkInfo};

use super::{
    Duty, DutyError, DutyType, Network, Protection,
    containers::{AggregateShape, aggregate_and_proof_root, check_bits},
    domain::{DomainType, root_of},
    fork_rule::{ObjectFork, check_since_altair},
    kinds::Message,
    network::SYNC_COMMITTEE_SUBNET_COUNT,
};

/// Where an aggregate lies in a request's body, and what errors call it.
const AGGREGATE_AND_PROOF: &str = "aggregate_and_proof";
const CONTRIBUTION_BITS: &str = "contribution_and_proof.contribution.aggregation_bits";

/// The duty to publish an aggregate.
///
/// # Errors
/// When the aggregate has not the shape of its slot's fork, or `claimed` is a fork that hashes it
/// otherwise.
pub fn aggregate_and_proof(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    object: &AggregateAndProof,
) -> Result<Duty, DutyError> {
    let message = aggregate_message(network, fork_info, claimed, object)?;
    Ok(duty(DutyType::AggregateAndProofV2, &message))
}

/// The duty to publish a contribution. `claimed` is the slot's fork as the caller has it, which counts
/// where the network does not know the fork version.
///
/// # Errors
/// When the slot's fork has no sync committees, or the bits are not those of a subcommittee.
pub fn contribution_and_proof(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    object: &ContributionAndProof,
) -> Result<Duty, DutyError> {
    let message = contribution_message(network, fork_info, claimed, object)?;
    Ok(duty(DutyType::SyncCommitteeContributionAndProof, &message))
}

/// The bits that say that an aggregate is of this committee alone; `None` in forks whose aggregates
/// say so in their data (before electra, EIP-7549).
pub fn committee_bits(network: &Network, fork: Fork, committee_index: u64) -> Option<Bitvector> {
    match AggregateShape::of(fork) {
        AggregateShape::OneCommittee => None,
        AggregateShape::ManyCommittees | AggregateShape::Progressive => {
            let committees = network.preset.max_committees_per_slot();
            let place = usize::try_from(committee_index).ok().filter(|place| *place < committees);
            let mut bytes = vec![0; committees.div_ceil(8)];
            // A committee that there is not has no bit: such an aggregate is of nobody.
            if let Some(place) = place {
                bytes[place / 8] |= 1 << (place % 8);
            }
            Some(Bitvector(bytes))
        }
    }
}

/// Consensus-specs, phase0 `get_aggregate_and_proof_signature`.
pub(super) fn aggregate_message(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    object: &AggregateAndProof,
) -> Result<Message, DutyError> {
    let slot = object.aggregate.data.slot;
    let fork = ObjectFork::decide(network, fork_info, network.epoch_of(slot), claimed);
    fork.check_wrapper(AGGREGATE_AND_PROOF, claimed, AggregateShape::of)?;
    let root = aggregate_and_proof_root(object, fork, network)?;
    Ok(Message::of_slot(root, DomainType::AGGREGATE_AND_PROOF, fork_info, slot, network))
}

/// Consensus-specs, altair `get_contribution_and_proof_signature`.
pub(super) fn contribution_message(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    object: &ContributionAndProof,
) -> Result<Message, DutyError> {
    let slot = object.contribution.slot;
    let duty_type = DutyType::SyncCommitteeContributionAndProof;
    check_since_altair(network, fork_info, claimed, slot, duty_type)?;
    let members = network.preset.sync_committee_size() / SYNC_COMMITTEE_SUBNET_COUNT;
    check_bits(CONTRIBUTION_BITS, &object.contribution.aggregation_bits, members)?;
    let domain_type = DomainType::CONTRIBUTION_AND_PROOF;
    Ok(Message::of_slot(root_of(object), domain_type, fork_info, slot, network))
}

fn duty(duty_type: DutyType, message: &Message) -> Duty {
    Duty {
        duty_type,
        signing_root: message.domain.signing_root(message.object_root),
        position: message.position,
        protection: Protection::Unprotected,
    }
}
