//! The small objects to sign whose shape is the same in every fork.
//!
//! The member names are those of the JSON and, in this order, of the SSZ containers in
//! consensus-specs and builder-specs.

use serde::{Deserialize, Serialize};

use super::primitives::{Address, Epoch, ForkVersion, PublicKey, QuotedU64, Root, Slot};

/// A finality checkpoint (consensus-specs, phase0 `Checkpoint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct Checkpoint {
    /// Epoch.
    pub epoch: Epoch,
    /// Root of the block at the epoch's start.
    pub root: Root,
}

/// What an attestation votes for (consensus-specs, phase0 `AttestationData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct AttestationData {
    /// Slot of the vote.
    pub slot: Slot,
    /// Committee index; 0 since Electra, payload status since Gloas.
    pub index: QuotedU64,
    /// Head vote.
    pub beacon_block_root: Root,
    /// Source of the finality vote.
    pub source: Checkpoint,
    /// Target of the finality vote.
    pub target: Checkpoint,
}

/// A block with its body replaced by the body's root (consensus-specs, phase0
/// `BeaconBlockHeader`); its hash tree root equals the block's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BeaconBlockHeader {
    /// Slot of the block.
    pub slot: Slot,
    /// Validator index of the proposer.
    pub proposer_index: QuotedU64,
    /// Root of the parent block.
    pub parent_root: Root,
    /// Root of the state after the block.
    pub state_root: Root,
    /// Root of the body.
    pub body_root: Root,
}

/// An object known by its root alone, with what it is signed for (consensus-specs, phase0
/// `SigningData`); its hash tree root is the signing root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SigningData {
    /// Hash tree root of the object.
    pub object_root: Root,
    /// Domain: 4 bytes of type, 28 bytes of the root of fork version and chain.
    pub domain: Root,
}

/// The slot that an attestation aggregator is selected for; its SSZ form is the slot alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(transparent))]
pub struct AggregationSlot {
    /// Slot of the duty.
    pub slot: Slot,
}

/// The epoch that a proposer mixes randomness into; its SSZ form is the epoch alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(transparent))]
pub struct RandaoReveal {
    /// Epoch of the proposal.
    pub epoch: Epoch,
}

/// A validator's exit (consensus-specs, phase0 `VoluntaryExit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct VoluntaryExit {
    /// First epoch in which the exit may be processed.
    pub epoch: Epoch,
    /// The validator that exits.
    pub validator_index: QuotedU64,
}

/// What a deposit request carries: the signed [`DepositMessage`] and the version to sign it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// The message itself.
    #[serde(flatten)]
    pub message: DepositMessage,
    /// Genesis fork version of the chain deposited on.
    pub genesis_fork_version: ForkVersion,
}

/// What a depositor signs (consensus-specs, phase0 `DepositMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct DepositMessage {
    /// Key of the validator.
    pub pubkey: PublicKey,
    /// Withdrawal credentials, 32 bytes.
    pub withdrawal_credentials: Root,
    /// Amount in gwei.
    pub amount: QuotedU64,
}

/// A sync committee member's vote; what is signed is the block root alone (consensus-specs,
/// altair validator guide).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCommitteeMessage {
    /// Head vote.
    pub beacon_block_root: Root,
    /// Slot of the vote.
    pub slot: Slot,
}

/// What selects a sync committee aggregator (consensus-specs, altair
/// `SyncAggregatorSelectionData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SyncAggregatorSelectionData {
    /// Slot of the duty.
    pub slot: Slot,
    /// Subcommittee, 0 to 3.
    pub subcommittee_index: QuotedU64,
}

/// A validator's wishes to external builders (builder-specs, bellatrix
/// `ValidatorRegistrationV1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct ValidatorRegistration {
    /// Address that receives the fees.
    pub fee_recipient: Address,
    /// Wished gas limit.
    pub gas_limit: QuotedU64,
    /// Unix time in seconds.
    pub timestamp: QuotedU64,
    /// Key of the validator.
    pub pubkey: PublicKey,
}
