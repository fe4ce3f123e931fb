//! Signature domains: what keeps a signature for one purpose, fork and chain from being used for
//! another (consensus-specs, phase0 `compute_domain` and `compute_signing_root`).

use std::fmt;

use libssz_merkle::{HashTreeRoot, Node, Sha2Hasher, hash_nodes};
use signer_client::wire::{ForkVersion, Root};

/// The purpose of a signature, 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DomainType([u8; 4]);

impl DomainType {
    pub(super) const BEACON_PROPOSER: Self = Self([0, 0, 0, 0]);
    pub(super) const BEACON_ATTESTER: Self = Self([1, 0, 0, 0]);
    pub(super) const RANDAO: Self = Self([2, 0, 0, 0]);
    pub(super) const DEPOSIT: Self = Self([3, 0, 0, 0]);
    pub(super) const VOLUNTARY_EXIT: Self = Self([4, 0, 0, 0]);
    pub(super) const SELECTION_PROOF: Self = Self([5, 0, 0, 0]);
    pub(super) const AGGREGATE_AND_PROOF: Self = Self([6, 0, 0, 0]);
    pub(super) const SYNC_COMMITTEE: Self = Self([7, 0, 0, 0]);
    pub(super) const SYNC_COMMITTEE_SELECTION_PROOF: Self = Self([8, 0, 0, 0]);
    pub(super) const CONTRIBUTION_AND_PROOF: Self = Self([9, 0, 0, 0]);
    /// Bids and payloads (consensus-specs, gloas).
    pub(super) const BEACON_BUILDER: Self = Self([0x0b, 0, 0, 0]);
    /// Payload timeliness (consensus-specs, gloas).
    pub(super) const PTC_ATTESTER: Self = Self([0x0c, 0, 0, 0]);
    /// Consensus-specs, gloas.
    pub(super) const PROPOSER_PREFERENCES: Self = Self([0x0d, 0, 0, 0]);
    /// Validator registrations (builder-specs).
    pub(super) const APPLICATION_BUILDER: Self = Self([0, 0, 0, 1]);
    /// Builder-specs, gloas.
    pub(super) const BUILDER_REQUEST_AUTH: Self = Self([0x0b, 0, 0, 1]);
}

/// A domain, 32 bytes, with the fork version that it was made of, when that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    pub(super) bytes: Root,
    pub(super) version: Option<ForkVersion>,
}

impl Domain {
    /// `compute_domain`: the type, then 28 bytes of the root of `ForkData`.
    pub(super) fn compute(
        domain_type: DomainType,
        version: ForkVersion,
        genesis_validators_root: Root,
    ) -> Self {
        let mut version_node = Node::default();
        version_node[..4].copy_from_slice(version.as_bytes());
        let fork_data_root = hash_nodes(&Sha2Hasher, &version_node, &genesis_validators_root.0);
        let mut bytes = Node::default();
        bytes[..4].copy_from_slice(&domain_type.0);
        bytes[4..].copy_from_slice(&fork_data_root[..28]);
        Self { bytes: Root(bytes), version: Some(version) }
    }

    /// A domain that the client made.
    pub(super) const fn made_elsewhere(bytes: Root) -> Self {
        Self { bytes, version: None }
    }

    /// Whether it is of that type, on whatever fork and chain.
    pub(super) fn is_of_type(&self, domain_type: DomainType) -> bool {
        self.bytes.0.starts_with(&domain_type.0)
    }

    /// `compute_signing_root` of an object with that root.
    pub(super) fn signing_root(&self, object_root: Root) -> Root {
        Root(hash_nodes(&Sha2Hasher, &object_root.0, &self.bytes.0))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.bytes, formatter)
    }
}

/// The hash tree root of a container.
pub(super) fn root_of(object: &impl HashTreeRoot) -> Root {
    Root(object.hash_tree_root(&Sha2Hasher))
}
