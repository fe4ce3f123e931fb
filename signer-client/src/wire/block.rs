//! Blocks: full ones of phase 0 and Altair, headers since Bellatrix.

use serde::{Deserialize, Serialize};

use super::{
    collections::{Bitlist, Bitvector, List},
    containers::{AttestationData, BeaconBlockHeader, VoluntaryExit},
    fork::Fork,
    primitives::{PublicKey, QuotedU64, Root, Signature, Slot},
};

/// The object of a `BLOCK_V2` request: the full block up to Altair, its header since Bellatrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BlockV2 {
    /// A full block.
    Full {
        /// `PHASE0` or `ALTAIR`.
        version: Fork,
        /// The block.
        block: Box<BeaconBlock>,
    },
    /// The header of a block.
    Header {
        /// `BELLATRIX` or later.
        version: Fork,
        /// The header.
        block_header: BeaconBlockHeader,
    },
}

/// A full block of phase 0 or Altair (consensus-specs, `BeaconBlock`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconBlock {
    /// Slot of the block.
    pub slot: Slot,
    /// Validator index of the proposer.
    pub proposer_index: QuotedU64,
    /// Root of the parent block.
    pub parent_root: Root,
    /// Root of the state after the block.
    pub state_root: Root,
    /// The body.
    pub body: BeaconBlockBody,
}

/// The body of a block of phase 0 or Altair (consensus-specs, `BeaconBlockBody`). The limits are
/// the same in every preset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconBlockBody {
    /// The proposer's randomness.
    pub randao_reveal: Signature,
    /// Vote on the deposit contract.
    pub eth1_data: Eth1Data,
    /// Free text of the proposer, 32 bytes.
    pub graffiti: Root,
    /// Proposers that signed two blocks for one slot.
    pub proposer_slashings: List<ProposerSlashing, 16>,
    /// Attesters that voted twice.
    pub attester_slashings: List<AttesterSlashing, 2>,
    /// Aggregate attestations.
    pub attestations: List<BlockAttestation, 128>,
    /// Deposits.
    pub deposits: List<BlockDeposit, 16>,
    /// Exits.
    pub voluntary_exits: List<SignedVoluntaryExit, 16>,
    /// Since Altair: the sync committee's votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_aggregate: Option<SyncAggregate>,
}

/// State of the deposit contract (consensus-specs, phase0 `Eth1Data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct Eth1Data {
    /// Root of the deposit tree.
    pub deposit_root: Root,
    /// Number of deposits.
    pub deposit_count: QuotedU64,
    /// Block hash on the execution layer.
    pub block_hash: Root,
}

/// A header with its proposer's signature (consensus-specs, phase0 `SignedBeaconBlockHeader`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SignedBeaconBlockHeader {
    /// The header.
    pub message: BeaconBlockHeader,
    /// Its signature.
    pub signature: Signature,
}

/// Proof of two blocks for one slot (consensus-specs, phase0 `ProposerSlashing`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct ProposerSlashing {
    /// One header.
    pub signed_header_1: SignedBeaconBlockHeader,
    /// The other header.
    pub signed_header_2: SignedBeaconBlockHeader,
}

/// An attestation that lists its attesters (consensus-specs, phase0 `IndexedAttestation`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct IndexedAttestation {
    /// Validator indices of the attesters.
    pub attesting_indices: List<QuotedU64, 2048>,
    /// What they vote for.
    pub data: AttestationData,
    /// Their aggregate signature.
    pub signature: Signature,
}

/// Proof of contradicting votes (consensus-specs, phase0 `AttesterSlashing`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct AttesterSlashing {
    /// One vote.
    pub attestation_1: IndexedAttestation,
    /// The other vote.
    pub attestation_2: IndexedAttestation,
}

/// An aggregate attestation inside a block (consensus-specs, phase0 `Attestation`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BlockAttestation {
    /// Who took part.
    pub aggregation_bits: Bitlist<2048>,
    /// What they vote for.
    pub data: AttestationData,
    /// Their aggregate signature.
    pub signature: Signature,
}

/// A deposit inside a block (consensus-specs, phase0 `Deposit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct BlockDeposit {
    /// The 33 nodes from the deposit to the deposit root.
    pub proof: DepositProof,
    /// The deposit.
    pub data: DepositData,
}

/// A Merkle branch of exactly 33 nodes (`DEPOSIT_CONTRACT_TREE_DEPTH + 1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "List<Root, { DepositProof::LENGTH }>")]
pub struct DepositProof(Vec<Root>);

impl DepositProof {
    /// Number of nodes.
    pub const LENGTH: usize = 33;

    /// The nodes, leaf side first.
    pub fn nodes(&self) -> &[Root] {
        &self.0
    }
}

/// A deposit proof has not 33 nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a deposit proof of {} nodes, found {found}", DepositProof::LENGTH)]
pub struct WrongProofLength {
    /// Number of nodes found.
    pub found: usize,
}

impl TryFrom<List<Root, { DepositProof::LENGTH }>> for DepositProof {
    type Error = WrongProofLength;

    fn try_from(nodes: List<Root, { Self::LENGTH }>) -> Result<Self, WrongProofLength> {
        let nodes = nodes.into_vec();
        if nodes.len() == Self::LENGTH {
            Ok(Self(nodes))
        } else {
            Err(WrongProofLength { found: nodes.len() })
        }
    }
}

/// A signed deposit message (consensus-specs, phase0 `DepositData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct DepositData {
    /// Key of the validator.
    pub pubkey: PublicKey,
    /// Withdrawal credentials, 32 bytes.
    pub withdrawal_credentials: Root,
    /// Amount in gwei.
    pub amount: QuotedU64,
    /// Signature of the first three members.
    pub signature: Signature,
}

/// A signed exit (consensus-specs, phase0 `SignedVoluntaryExit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SignedVoluntaryExit {
    /// The exit.
    pub message: VoluntaryExit,
    /// Its signature.
    pub signature: Signature,
}

/// The sync committee's votes for the parent block (consensus-specs, altair `SyncAggregate`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssz", derive(libssz_derive::HashTreeRoot))]
pub struct SyncAggregate {
    /// Who took part: as many bits as the preset's sync committee has members.
    pub sync_committee_bits: Bitvector,
    /// Their aggregate signature.
    pub sync_committee_signature: Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deposit_proofs_have_33_nodes() {
        let proof = |nodes: usize| {
            serde_json::from_str::<DepositProof>(&format!(
                "[\"0x01\"{}]",
                ",\"\"".repeat(nodes - 1)
            ))
        };
        assert_eq!(proof(33).unwrap().nodes().len(), 33);
        for (nodes, expected) in
            [(32, "a deposit proof of 33 nodes, found 32"), (34, "at most 33 elements, found 34")]
        {
            let error = proof(nodes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
