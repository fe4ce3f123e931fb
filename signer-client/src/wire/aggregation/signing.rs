//! Signing the aggregate of a group: the wish, and what became of it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::wire::{AggregateAndProof, ContributionAndProof, Fork, PublicKey, QuotedU64, Signature};

/// The wish to have the aggregate of a group signed by a key of the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignAggregate {
    /// The key of the aggregator.
    pub aggregator_pubkey: PublicKey,
    /// Index of the aggregator in the validator registry.
    pub aggregator_index: QuotedU64,
    /// Its selection proof. Without one the signer makes it, or has it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection_proof: Option<Signature>,
    /// Whether to sign anew what this key has signed for this slot and committee. Nodes take one
    /// aggregate of an aggregator, so that by default the first is given again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resign: bool,
}

/// The body of `POST /midslot/v1/aggregation/sign`: a group of a job that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignJobGroup {
    /// The job.
    pub job_id: String,
    /// The group's place in the snapshot, from 0.
    pub group: usize,
    /// Who signs.
    pub sign: SignAggregate,
}

/// What became of the wish of one group of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSigning {
    /// The group's place in the snapshot, from 0.
    pub group: usize,
    /// What became of it.
    pub result: SigningOutcome,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum SigningOutcome {
    /// It is signed.
    Signed(SignedAggregate),
    /// It is not.
    Refused {
        /// Why.
        reason: SignRefusal,
        /// The same for people, in one line.
        message: String,
    },
}

/// An aggregate that may be published as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAggregate {
    /// The fork of the slot, which the beacon API wants in the header `Eth-Consensus-Version`, in
    /// lower case.
    #[serde(serialize_with = "lower_case", deserialize_with = "any_case")]
    pub version: Fork,
    /// Whether it was signed before, perhaps on another vote or other bits.
    pub repeated: bool,
    /// The message and its signature.
    #[serde(flatten)]
    pub object: SignedObject,
}

/// A message for a beacon node, and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum SignedObject {
    /// One element of the body of `POST /eth/v2/validator/aggregate_and_proofs`.
    AggregateAndProof(Box<SignedMessage<AggregateAndProof>>),
    /// One element of the body of `POST /eth/v1/validator/contribution_and_proofs`.
    ContributionAndProof(Box<SignedMessage<ContributionAndProof>>),
}

/// An object and its signature (consensus-specs, phase0 `SignedAggregateAndProof`, altair
/// `SignedContributionAndProof`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMessage<T> {
    /// The object.
    pub message: T,
    /// The signature of its signing root.
    pub signature: Signature,
}

/// Why a group was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignRefusal {
    /// The group has no aggregate: nothing in it was good, or it was stopped.
    NoAggregate,
    /// The aggregate was not verified, because the job said so.
    NotVerified,
    /// The group has no form that can be signed: it is raw, or came without its data.
    NotSignable,
    /// The signer does not hold the key.
    UnknownKey,
    /// The selection proof that came along is not that of the key for the slot.
    BadSelectionProof,
    /// The selection proof does not select the key in a committee of this length.
    NotAggregator,
    /// The aggregate does not fit the fork of its slot.
    WrongFork,
    /// The signer has too much to do, or there was no time left.
    Overloaded,
    /// Something of the signer's failed.
    Failed,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

impl SignRefusal {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoAggregate => "no_aggregate",
            Self::NotVerified => "not_verified",
            Self::NotSignable => "not_signable",
            Self::UnknownKey => "unknown_key",
            Self::BadSelectionProof => "bad_selection_proof",
            Self::NotAggregator => "not_aggregator",
            Self::WrongFork => "wrong_fork",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }
}

fn lower_case<S: Serializer>(fork: &Fork, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&fork.name().to_ascii_lowercase())
}

fn any_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fork, D::Error> {
    let name = Cow::<'_, str>::deserialize(deserializer)?;
    name.to_ascii_uppercase().parse().map_err(de::Error::custom)
}
