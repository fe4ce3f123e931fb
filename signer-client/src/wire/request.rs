//! A signing request as a validator client builds it.
//!
//! It serialises to the canonical shape: `type`, `fork_info`, `signingRoot`, then the object under
//! its own name; integers as decimal strings, bytes as lower-case hexadecimal text with `0x`. The
//! signer reads more than this (other orders, spellings and older forms), so reading is its own.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::{
    aggregate::{AggregateAndProof, ContributionAndProof},
    block::{BeaconBlock, BlockV2},
    containers::{
        AggregationSlot, AttestationData, Deposit, RandaoReveal, SigningData,
        SyncAggregatorSelectionData, SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
    },
    fork::{Fork, ForkInfo},
    gloas::{
        BuilderRequestAuth, ExecutionPayloadBid, ExecutionPayloadEnvelope, PayloadAttestationData,
        ProposerPreferences,
    },
    primitives::Root,
};

/// The body of `POST /api/v1/eth2/sign/{identifier}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// Chain and fork; needed by all but `DEPOSIT`, `VALIDATOR_REGISTRATION`,
    /// `BUILDER_REQUEST_AUTH` and `GENERIC`, which do without it.
    pub fork_info: Option<ForkInfo>,
    /// The root that the client computed; the signer refuses when its own differs.
    pub signing_root: Option<Root>,
    /// What to sign.
    pub payload: SignPayload,
}

/// An object in the form that says its fork: `{"version":..,"data":..}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// Fork of the object.
    pub version: Fork,
    /// The object.
    pub data: T,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $variant:ident($object:ty) = $name:literal, $key:literal;)*) => {
        /// What to sign, one variant for each `type`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum SignPayload {
            $($(#[$doc])* $variant($object),)*
        }

        impl SignPayload {
            /// The value of the member `type`.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// The name of the member that holds the object.
            pub const fn key(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $key,)*
                }
            }

            fn serialize_entry<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self {
                    $(Self::$variant(object) => map.serialize_entry($key, object),)*
                }
            }
        }
    };
}

payloads! {
    /// A full block of phase 0.
    Block(Box<BeaconBlock>) = "BLOCK", "block";
    /// A block of any fork.
    BlockV2(Box<BlockV2>) = "BLOCK_V2", "beacon_block";
    /// An attestation's data.
    Attestation(AttestationData) = "ATTESTATION", "attestation";
    /// A slot, for an aggregator's selection proof.
    AggregationSlot(AggregationSlot) = "AGGREGATION_SLOT", "aggregation_slot";
    /// An aggregate in the older form, without a version.
    AggregateAndProof(Box<AggregateAndProof>) = "AGGREGATE_AND_PROOF", "aggregate_and_proof";
    /// An aggregate that says its fork.
    AggregateAndProofV2(Box<Versioned<AggregateAndProof>>) =
        "AGGREGATE_AND_PROOF_V2", "aggregate_and_proof";
    /// An epoch, for a proposer's randomness.
    RandaoReveal(RandaoReveal) = "RANDAO_REVEAL", "randao_reveal";
    /// An exit.
    VoluntaryExit(VoluntaryExit) = "VOLUNTARY_EXIT", "voluntary_exit";
    /// A deposit message.
    Deposit(Deposit) = "DEPOSIT", "deposit";
    /// A sync committee member's vote.
    SyncCommitteeMessage(SyncCommitteeMessage) =
        "SYNC_COMMITTEE_MESSAGE", "sync_committee_message";
    /// Slot and subcommittee, for a sync aggregator's selection proof.
    SyncCommitteeSelectionProof(SyncAggregatorSelectionData) =
        "SYNC_COMMITTEE_SELECTION_PROOF", "sync_aggregator_selection_data";
    /// A sync committee contribution.
    SyncCommitteeContributionAndProof(Box<ContributionAndProof>) =
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", "contribution_and_proof";
    /// A registration with external builders.
    ValidatorRegistration(ValidatorRegistration) =
        "VALIDATOR_REGISTRATION", "validator_registration";
    /// A builder's bid (Gloas).
    ExecutionPayloadBid(Box<Versioned<ExecutionPayloadBid>>) =
        "EXECUTION_PAYLOAD_BID", "execution_payload_bid";
    /// A builder's payload (Gloas).
    ExecutionPayloadEnvelope(Box<Versioned<ExecutionPayloadEnvelope>>) =
        "EXECUTION_PAYLOAD_ENVELOPE", "execution_payload_envelope";
    /// A vote on a payload's timeliness (Gloas).
    PayloadAttestationMessage(Versioned<PayloadAttestationData>) =
        "PAYLOAD_ATTESTATION_MESSAGE", "payload_attestation_message";
    /// A proposer's wishes to builders (Gloas).
    ProposerPreferences(Versioned<ProposerPreferences>) =
        "PROPOSER_PREFERENCES", "proposer_preferences";
    /// A proposer's proof of identity to a builder (Gloas).
    BuilderRequestAuth(Versioned<BuilderRequestAuth>) =
        "BUILDER_REQUEST_AUTH", "builder_request_auth";
    /// Any object, by its root and its domain.
    Generic(SigningData) = "GENERIC", "signing_data";
}

impl Serialize for SignRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.payload.type_name())?;
        if let Some(fork_info) = &self.fork_info {
            map.serialize_entry("fork_info", fork_info)?;
        }
        if let Some(signing_root) = &self.signing_root {
            map.serialize_entry("signingRoot", signing_root)?;
        }
        self.payload.serialize_entry(&mut map)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Epoch, ForkVersion, ForkVersions, PublicKey, QuotedU64, Slot};

    #[test]
    fn requests_have_the_canonical_shape() {
        let request = SignRequest {
            fork_info: Some(ForkInfo {
                fork: ForkVersions {
                    previous_version: ForkVersion([4, 0, 0, 0]),
                    current_version: ForkVersion([5, 0, 0, 0]),
                    epoch: Epoch(7),
                },
                genesis_validators_root: Root([1; 32]),
            }),
            signing_root: Some(Root([2; 32])),
            payload: SignPayload::AggregationSlot(AggregationSlot { slot: Slot(9) }),
        };
        let expected = format!(
            r#"{{"type":"AGGREGATION_SLOT","fork_info":{{"fork":{{"previous_version":"0x04000000","current_version":"0x05000000","epoch":"7"}},"genesis_validators_root":"0x{}"}},"signingRoot":"0x{}","aggregation_slot":{{"slot":"9"}}}}"#,
            "01".repeat(32),
            "02".repeat(32)
        );
        assert_eq!(serde_json::to_string(&request).unwrap(), expected);
    }

    #[test]
    fn absent_members_are_left_out() {
        let request = SignRequest {
            fork_info: None,
            signing_root: None,
            payload: SignPayload::Deposit(Deposit {
                message: crate::wire::DepositMessage {
                    pubkey: PublicKey([3; 48]),
                    withdrawal_credentials: Root::ZERO,
                    amount: QuotedU64(32),
                },
                genesis_fork_version: ForkVersion::ZERO,
            }),
        };
        let value: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
        let members: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(members, ["deposit", "type"]);
        let deposit = value["deposit"].as_object().unwrap();
        assert_eq!(deposit.len(), 4);
        assert_eq!(deposit["amount"], "32");
    }
}
