//! The message that an aggregator signs and publishes, in the form of its slot's fork.

use midslot_aggregation::Aggregate;
use signer_client::wire::{
    AggregateAndProof, AggregationBits, Attestation, Bitvector, ContributionAndProof, Fork,
    ForkInfo, QuotedU64, Signature, SyncCommitteeContribution,
    aggregation::{SignedMessage, SignedObject},
};

use crate::{
    aggregation::{GroupToSign, snapshot::Subject},
    duty::{self, Duty, DutyError, Network},
};

/// A message that is not signed yet.
pub(super) enum Object {
    Aggregate(Box<AggregateAndProof>),
    Contribution(Box<ContributionAndProof>),
}

impl Object {
    /// Puts it together: since electra with the bit of its one committee (EIP-7549). `None` for a
    /// group that has no such form.
    pub(super) fn of(
        network: &Network,
        wanted: &GroupToSign,
        aggregate: &Aggregate,
        selection_proof: Signature,
    ) -> Option<Self> {
        let aggregator_index = QuotedU64(wanted.wish.aggregator_index);
        let signature = Signature(aggregate.signature);
        match wanted.subject {
            Subject::Attestation { data, committee_index } => {
                let bits = aggregate.bits.to_ssz_bitlist();
                let aggregate = Attestation {
                    aggregation_bits: AggregationBits::from_ssz_bytes(bits).ok()?,
                    data: data?,
                    signature,
                    committee_bits: duty::committee_bits(network, wanted.fork, committee_index),
                };
                Some(Self::Aggregate(Box::new(AggregateAndProof {
                    aggregator_index,
                    aggregate,
                    selection_proof,
                })))
            }
            Subject::SyncContribution { beacon_block_root, subcommittee_index } => {
                let contribution = SyncCommitteeContribution {
                    slot: wanted.slot,
                    beacon_block_root,
                    subcommittee_index: QuotedU64(subcommittee_index),
                    aggregation_bits: Bitvector(aggregate.bits.to_ssz_bitvector()),
                    signature,
                };
                Some(Self::Contribution(Box::new(ContributionAndProof {
                    aggregator_index,
                    contribution,
                    selection_proof,
                })))
            }
            Subject::Raw => None,
        }
    }

    /// What signing it asks for.
    pub(super) fn duty(
        &self,
        network: &Network,
        fork_info: &ForkInfo,
        fork: Fork,
    ) -> Result<Duty, DutyError> {
        match self {
            Self::Aggregate(object) => {
                duty::aggregate_and_proof(network, fork_info, Some(fork), object)
            }
            Self::Contribution(object) => {
                duty::contribution_and_proof(network, fork_info, Some(fork), object)
            }
        }
    }

    /// The same with its signature.
    pub(super) fn signed(self, signature: Signature) -> SignedObject {
        match self {
            Self::Aggregate(message) => {
                let message = *message;
                SignedObject::AggregateAndProof(Box::new(SignedMessage { message, signature }))
            }
            Self::Contribution(message) => {
                let message = *message;
                SignedObject::ContributionAndProof(Box::new(SignedMessage { message, signature }))
            }
        }
    }
}
