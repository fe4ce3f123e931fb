//! Aggregates and contributions: one JSON form whose SSZ shape depends on fork or preset.

use serde::{Deserialize, Serialize};

use super::{
    collections::{Bitlist, Bitvector},
    containers::AttestationData,
    primitives::{QuotedU64, Root, Signature, Slot},
};

/// Bits of all committees of a slot, in the largest preset: 64 committees of 2048 members.
pub type AggregationBits = Bitlist<{ 64 * 2048 }>;

/// An aggregate attestation in the JSON form of every fork.
///
/// Its SSZ shape is another in phase 0 (no `committee_bits`), Electra (consensus-specs, EIP-7549)
/// and Gloas (progressive, EIP-7688).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Who took part.
    pub aggregation_bits: AggregationBits,
    /// What they vote for.
    pub data: AttestationData,
    /// Their aggregate signature.
    pub signature: Signature,
    /// Since Electra: which committees take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee_bits: Option<Bitvector>,
}

/// An aggregate with the proof that its sender may send it (consensus-specs, phase0
/// `AggregateAndProof`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateAndProof {
    /// Validator index of the aggregator.
    pub aggregator_index: QuotedU64,
    /// The aggregate.
    pub aggregate: Attestation,
    /// Signature of the slot.
    pub selection_proof: Signature,
}

/// An aggregate of one sync subcommittee (consensus-specs, altair `SyncCommitteeContribution`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SyncCommitteeContribution {
    /// Slot of the votes.
    pub slot: Slot,
    /// Head vote.
    pub beacon_block_root: Root,
    /// Subcommittee, 0 to 3.
    pub subcommittee_index: QuotedU64,
    /// Who took part: a quarter of the preset's sync committee size.
    pub aggregation_bits: Bitvector,
    /// Their aggregate signature.
    pub signature: Signature,
}

/// A contribution with the proof that its sender may send it (consensus-specs, altair
/// `ContributionAndProof`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct ContributionAndProof {
    /// Validator index of the aggregator.
    pub aggregator_index: QuotedU64,
    /// The contribution.
    pub contribution: SyncCommitteeContribution,
    /// Signature of slot and subcommittee.
    pub selection_proof: Signature,
}
