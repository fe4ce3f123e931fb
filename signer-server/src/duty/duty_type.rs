//! The types of the signing API.

use crate::scheduler::Class;

macro_rules! duty_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $class:ident,)*) => {
        /// A value of the request's `type` member (remote-signing-api v1.4.0).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DutyType {
            $($(#[$doc])* $variant,)*
        }

        impl DutyType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The queue it waits in.
            pub const fn class(self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)*
                }
            }
        }
    };
}

impl DutyType {
    /// The type with that name in any case; early names of Gloas types are known too.
    pub(super) fn from_wire_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(name));
        if let Some(found) = found {
            return Some(*found);
        }
        let early = [
            ("PAYLOAD_ATTESTATION", Self::PayloadAttestationMessage),
            ("REQUEST_AUTH", Self::BuilderRequestAuth),
        ];
        early.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|pair| pair.1)
    }
}

duty_types! {
    /// A full block in the form of phase 0.
    Block = "BLOCK" => Block,
    /// A block of any fork: full before Bellatrix, its header from Bellatrix on.
    BlockV2 = "BLOCK_V2" => Block,
    /// An attestation's data.
    Attestation = "ATTESTATION" => Attestation,
    /// The slot whose signature selects attestation aggregators.
    AggregationSlot = "AGGREGATION_SLOT" => SelectionProof,
    /// An aggregate attestation with its selection proof.
    AggregateAndProof = "AGGREGATE_AND_PROOF" => Aggregate,
    /// The same, as a versioned object.
    AggregateAndProofV2 = "AGGREGATE_AND_PROOF_V2" => Aggregate,
    /// The epoch whose signature is the proposer's randomness.
    RandaoReveal = "RANDAO_REVEAL" => Block,
    /// A validator's exit.
    VoluntaryExit = "VOLUNTARY_EXIT" => Background,
    /// A deposit message.
    Deposit = "DEPOSIT" => Background,
    /// A sync committee member's vote for a block root.
    SyncCommitteeMessage = "SYNC_COMMITTEE_MESSAGE" => Attestation,
    /// The slot and subcommittee whose signature selects sync committee aggregators.
    SyncCommitteeSelectionProof = "SYNC_COMMITTEE_SELECTION_PROOF" => SelectionProof,
    /// A sync committee contribution with its selection proof.
    SyncCommitteeContributionAndProof = "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF" => Aggregate,
    /// A fee recipient and gas limit for external builders.
    ValidatorRegistration = "VALIDATOR_REGISTRATION" => Background,
    /// A builder's bid for a slot's payload (Gloas).
    ExecutionPayloadBid = "EXECUTION_PAYLOAD_BID" => Block,
    /// The payload that a bid promised (Gloas).
    ExecutionPayloadEnvelope = "EXECUTION_PAYLOAD_ENVELOPE" => Block,
    /// A payload timeliness committee member's vote (Gloas).
    PayloadAttestationMessage = "PAYLOAD_ATTESTATION_MESSAGE" => Attestation,
    /// A proposer's wishes to builders for one slot (Gloas).
    ProposerPreferences = "PROPOSER_PREFERENCES" => Background,
    /// A proposer's proof of identity to a builder (Gloas).
    BuilderRequestAuth = "BUILDER_REQUEST_AUTH" => Background,
    /// An object known by its root alone, with its domain (remote-signing-api, pull requests 29
    /// and 30).
    Generic = "GENERIC" => Background,
}
