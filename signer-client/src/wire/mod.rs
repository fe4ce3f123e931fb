//! The JSON of the signing API, as validator clients send it and the signer answers it.
//!
//! Every container is written once, for both directions. With the feature `ssz` those whose shape
//! is the same in every fork and preset have a hash tree root (`libssz_merkle::HashTreeRoot`); the
//! others ([`AggregateAndProof`], [`BeaconBlock`]) leave it to the caller who knows the fork.
//!
//! Aggregation jobs are apart, in [`aggregation`].

pub mod aggregate;
pub mod aggregation;
pub mod block;
pub mod collections;
pub mod containers;
pub mod fork;
pub mod gloas;
pub mod primitives;
pub mod request;
pub mod response;
pub mod selection;
#[cfg(feature = "ssz")]
mod ssz;

pub use aggregate::{
    AggregateAndProof, AggregationBits, Attestation, ContributionAndProof,
    SyncCommitteeContribution,
};
pub use block::{BeaconBlock, BeaconBlockBody, BlockV2};
pub use collections::{Bitlist, Bitvector, ByteList, HexBytes, List, ProgressiveList};
pub use containers::{
    AggregationSlot, AttestationData, BeaconBlockHeader, Checkpoint, Deposit, DepositMessage,
    RandaoReveal, SigningData, SyncAggregatorSelectionData, SyncCommitteeMessage,
    ValidatorRegistration, VoluntaryExit,
};
pub use fork::{Fork, ForkInfo, ForkVersions, UnknownFork};
pub use gloas::{
    BuilderRequestAuth, ExecutionPayload, ExecutionPayloadBid, ExecutionPayloadEnvelope,
    ExecutionRequests, PayloadAttestationData, ProposerPreferences,
};
pub use primitives::{
    Address, Epoch, ForkVersion, HexError, KzgCommitment, LogsBloom, PublicKey, QuotedU64, Root,
    Signature, Slot, Uint256,
};
pub use request::{SignPayload, SignRequest, Versioned};
pub use response::SignResponse;
pub use selection::{
    BatchSignRequest, KeyError, KeyResult, SelectionProofsAnswer, SelectionProofsRequest, SlotKeys,
    SlotProofs,
};
