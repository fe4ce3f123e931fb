//! Aggregates with proof: three shapes so far.
//!
//! libssz's bit lists carry their limit as a const generic, which would need one aggregate type
//! for each fork and preset. The limit is a value here.

use libssz_merkle::{
    HashTreeRoot, Node, Sha2Hasher, merkleize, merkleize_progressive, mix_in_active_fields,
};
use signer_client::wire::{AggregateAndProof, Attestation, Bitvector, Fork, Root};

use super::check_bits;
use crate::duty::{
    DutyError, Network,
    fork_rule::ObjectFork,
    network::{MAX_VALIDATORS_PER_COMMITTEE, Preset},
};

const AGGREGATION_BITS: &str = "aggregate_and_proof.aggregate.aggregation_bits";
const COMMITTEE_BITS: &str = "aggregate_and_proof.aggregate.committee_bits";

/// How an aggregate is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::duty) enum AggregateShape {
    /// Bits of one committee (consensus-specs, phase0).
    OneCommittee,
    /// Bits of all committees of the slot, and which take part (electra, EIP-7549).
    ManyCommittees,
    /// The same in progressive form (gloas, EIP-7688).
    Progressive,
}

impl AggregateShape {
    /// The shape that a fork has.
    pub(in crate::duty) const fn of(fork: Fork) -> Self {
        match fork {
            Fork::Phase0 | Fork::Altair | Fork::Bellatrix | Fork::Capella | Fork::Deneb => {
                Self::OneCommittee
            }
            Fork::Electra | Fork::Fulu => Self::ManyCommittees,
            Fork::Gloas | Fork::Heze => Self::Progressive,
        }
    }
}

/// The root of `AggregateAndProof` in that fork.
pub(in crate::duty) fn aggregate_and_proof_root(
    object: &AggregateAndProof,
    fork: ObjectFork,
    network: &Network,
) -> Result<Root, DutyError> {
    let fields = [
        object.aggregator_index.hash_tree_root(&Sha2Hasher),
        aggregate_root(&object.aggregate, fork, network.preset)?,
        object.selection_proof.hash_tree_root(&Sha2Hasher),
    ];
    Ok(Root(merkleize(&Sha2Hasher, &fields, None)))
}

fn aggregate_root(
    aggregate: &Attestation,
    fork: ObjectFork,
    preset: Preset,
) -> Result<Node, DutyError> {
    let hasher = &Sha2Hasher;
    let data = aggregate.data.hash_tree_root(hasher);
    let signature = aggregate.signature.hash_tree_root(hasher);
    let bits_within = |limit| {
        aggregate
            .aggregation_bits
            .root_with_limit(limit, hasher)
            .map_err(|error| DutyError::TooManyBits { path: AGGREGATION_BITS, error })
    };
    let limit_of_slot = MAX_VALIDATORS_PER_COMMITTEE * preset.max_committees_per_slot();

    match AggregateShape::of(fork.fork) {
        AggregateShape::OneCommittee => {
            if aggregate.committee_bits.is_some() {
                let ObjectFork { fork, decided_by } = fork;
                return Err(DutyError::UnexpectedMember { path: COMMITTEE_BITS, fork, decided_by });
            }
            let bits = bits_within(MAX_VALIDATORS_PER_COMMITTEE)?;
            Ok(merkleize(hasher, &[bits, data, signature], None))
        }
        AggregateShape::ManyCommittees => {
            let committees = committee_bits(aggregate, fork.fork, preset)?;
            let bits = bits_within(limit_of_slot)?;
            let fields = [bits, data, signature, committees.hash_tree_root(hasher)];
            Ok(merkleize(hasher, &fields, None))
        }
        AggregateShape::Progressive => {
            let committees = committee_bits(aggregate, fork.fork, preset)?;
            // The type has no limit any more, the state transition still has.
            bits_within(limit_of_slot)?;
            let fields = [
                aggregate.aggregation_bits.progressive_root(hasher),
                data,
                signature,
                committees.hash_tree_root(hasher),
            ];
            let root = merkleize_progressive(hasher, &fields);
            Ok(mix_in_active_fields(hasher, &root, &[true; 4]))
        }
    }
}

fn committee_bits(
    aggregate: &Attestation,
    fork: Fork,
    preset: Preset,
) -> Result<&Bitvector, DutyError> {
    let bits = aggregate
        .committee_bits
        .as_ref()
        .ok_or(DutyError::MissingMember { path: COMMITTEE_BITS, fork })?;
    check_bits(COMMITTEE_BITS, bits, preset.max_committees_per_slot())?;
    Ok(bits)
}
