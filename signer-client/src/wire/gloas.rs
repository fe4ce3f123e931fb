//! Objects that Gloas adds: payloads apart from blocks, and talks with builders.
//!
//! Source: consensus-specs v1.7.0-beta.0 (`specs/gloas`: beacon-chain.md, p2p-interface.md), and
//! for [`BuilderRequestAuth`] builder-specs (`specs/gloas/validator.md`, September 2026); JSON as
//! in remote-signing-api v1.4.0. The fork is not final: whatever it may still change is here.
//! Containers marked progressive follow EIP-7495, lists without limit EIP-7916.

use serde::{Deserialize, Serialize};

use super::{
    collections::{ByteList, HexBytes, ProgressiveList},
    primitives::{
        Address, KzgCommitment, LogsBloom, PublicKey, QuotedU64, Root, Signature, Slot, Uint256,
    },
};

/// What a payload timeliness committee member votes for (`PayloadAttestationData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct PayloadAttestationData {
    /// The block whose payload is voted on.
    pub beacon_block_root: Root,
    /// Slot of the block.
    pub slot: Slot,
    /// Whether the payload was seen in time.
    pub payload_present: bool,
    /// Whether its blobs are available.
    pub blob_data_available: bool,
}

/// A proposer's wishes to builders for one slot (`ProposerPreferences`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct ProposerPreferences {
    /// Root that the proposer shuffling depends on.
    pub dependent_root: Root,
    /// Slot of the proposal.
    pub proposal_slot: Slot,
    /// Validator index of the proposer.
    pub validator_index: QuotedU64,
    /// Address that the builder pays to.
    pub fee_recipient: Address,
    /// Wished gas limit; early drafts call it `gas_limit`.
    #[serde(alias = "gas_limit")]
    pub target_gas_limit: QuotedU64,
}

/// A proposer's proof of identity to a builder (builder-specs `BuilderRequestAuth`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BuilderRequestAuth {
    /// What builder and proposer agreed on, by default the builder's URL
    /// (`MAX_BUILDER_AUTH_DATA_SIZE` is 4096 bytes).
    pub data: ByteList<4096>,
    /// Slot of the request.
    pub slot: Slot,
}

/// A builder's bid for a slot's payload (`ExecutionPayloadBid`, progressive).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(progressive_container))]
pub struct ExecutionPayloadBid {
    /// Hash of the parent payload.
    pub parent_block_hash: Root,
    /// Root of the parent block.
    pub parent_block_root: Root,
    /// Hash of the promised payload.
    pub block_hash: Root,
    /// Randomness that the payload uses.
    pub prev_randao: Root,
    /// Address that receives the payment.
    pub fee_recipient: Address,
    /// Gas limit of the payload.
    pub gas_limit: QuotedU64,
    /// The builder.
    pub builder_index: QuotedU64,
    /// Slot bid for.
    pub slot: Slot,
    /// Payment on the consensus layer, in gwei.
    pub value: QuotedU64,
    /// Trusted payment on the execution layer, in gwei.
    pub execution_payment: QuotedU64,
    /// Commitments to the payload's blobs.
    pub blob_kzg_commitments: ProgressiveList<KzgCommitment>,
    /// Root of the payload's requests.
    pub execution_requests_root: Root,
}

/// The payload that a bid promised (`ExecutionPayloadEnvelope`, progressive).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(progressive_container))]
pub struct ExecutionPayloadEnvelope {
    /// The payload.
    pub payload: ExecutionPayload,
    /// Its requests to the consensus layer.
    pub execution_requests: ExecutionRequests,
    /// The builder.
    pub builder_index: QuotedU64,
    /// Root of the block that took the bid.
    pub beacon_block_root: Root,
    /// Root of that block's parent.
    pub parent_beacon_block_root: Root,
}

/// An execution payload (`ExecutionPayload`, progressive).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(progressive_container))]
pub struct ExecutionPayload {
    /// Hash of the parent payload.
    pub parent_hash: Root,
    /// Address that receives the fees.
    pub fee_recipient: Address,
    /// Root of the execution state.
    pub state_root: Root,
    /// Root of the receipts.
    pub receipts_root: Root,
    /// Bloom filter of the logs.
    pub logs_bloom: LogsBloom,
    /// Randomness of the previous block.
    pub prev_randao: Root,
    /// Height of the payload.
    pub block_number: QuotedU64,
    /// Gas limit.
    pub gas_limit: QuotedU64,
    /// Gas used.
    pub gas_used: QuotedU64,
    /// Unix time in seconds.
    pub timestamp: QuotedU64,
    /// Free text of the builder.
    pub extra_data: ByteList<32>,
    /// Base fee in wei.
    pub base_fee_per_gas: Uint256,
    /// Hash of the payload.
    pub block_hash: Root,
    /// Transactions, each an opaque byte string.
    pub transactions: ProgressiveList<HexBytes>,
    /// Withdrawals.
    pub withdrawals: ProgressiveList<Withdrawal>,
    /// Blob gas used.
    pub blob_gas_used: QuotedU64,
    /// Blob gas above the target.
    pub excess_blob_gas: QuotedU64,
    /// Serialised block access list (EIP-7928).
    pub block_access_list: HexBytes,
    /// Slot of the payload (EIP-7843).
    pub slot_number: Slot,
}

/// A withdrawal (capella `Withdrawal`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct Withdrawal {
    /// Running number.
    pub index: QuotedU64,
    /// Validator or builder that is paid.
    pub validator_index: QuotedU64,
    /// Where to.
    pub address: Address,
    /// Amount in gwei.
    pub amount: QuotedU64,
}

/// A payload's requests to the consensus layer (`ExecutionRequests`, progressive).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot), ssz(progressive_container))]
pub struct ExecutionRequests {
    /// Deposits (EIP-6110).
    pub deposits: ProgressiveList<DepositRequest>,
    /// Withdrawals (EIP-7002).
    pub withdrawals: ProgressiveList<WithdrawalRequest>,
    /// Consolidations (EIP-7251).
    pub consolidations: ProgressiveList<ConsolidationRequest>,
    /// Deposits of builders (EIP-8282).
    pub builder_deposits: ProgressiveList<BuilderDepositRequest>,
    /// Exits of builders (EIP-8282).
    pub builder_exits: ProgressiveList<BuilderExitRequest>,
}

/// A deposit (electra `DepositRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct DepositRequest {
    /// Key of the validator.
    pub pubkey: PublicKey,
    /// Withdrawal credentials, 32 bytes.
    pub withdrawal_credentials: Root,
    /// Amount in gwei.
    pub amount: QuotedU64,
    /// Signature of the deposit message.
    pub signature: Signature,
    /// Running number.
    pub index: QuotedU64,
}

/// A withdrawal asked for on the execution layer (electra `WithdrawalRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct WithdrawalRequest {
    /// Who asks.
    pub source_address: Address,
    /// Key of the validator.
    pub validator_pubkey: PublicKey,
    /// Amount in gwei.
    pub amount: QuotedU64,
}

/// A consolidation of two validators (electra `ConsolidationRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct ConsolidationRequest {
    /// Who asks.
    pub source_address: Address,
    /// Key of the validator that ends.
    pub source_pubkey: PublicKey,
    /// Key of the validator that grows.
    pub target_pubkey: PublicKey,
}

/// A builder's deposit (`BuilderDepositRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BuilderDepositRequest {
    /// Key of the builder.
    pub pubkey: PublicKey,
    /// Withdrawal credentials, 32 bytes.
    pub withdrawal_credentials: Root,
    /// Amount in gwei.
    pub amount: QuotedU64,
    /// Signature of the deposit message.
    pub signature: Signature,
}

/// A builder's exit (`BuilderExitRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BuilderExitRequest {
    /// Who asks.
    pub source_address: Address,
    /// Key of the builder.
    pub pubkey: PublicKey,
}
