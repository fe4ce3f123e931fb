//! The name of a proof.

use signer_client::wire::{PublicKey, Root, Slot};

use crate::duty::{Duty, DutyType, Position, Protection};

/// Names one proof of one key. Ordered by slot, so that the nearest one comes first.
///
/// The signing root stands for fork version, genesis validators root, subcommittee and slot: it is
/// the hash of all of them and of nothing else (consensus-specs, `compute_signing_root`). And
/// whatever it was computed from, a BLS signature is a function of key and signing root alone. So a
/// proof that is found under this name is, byte for byte, what signing afresh would give; a request
/// on another fork or chain has another root and finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofId {
    slot: Slot,
    signing_root: Root,
    key: PublicKey,
}

impl ProofId {
    /// The name of the proof that this duty asks of a key; `None` for a duty that is no selection
    /// proof. So nothing that could be slashed is ever looked up or kept.
    pub fn of(key: PublicKey, duty: &Duty) -> Option<Self> {
        match (duty.duty_type, duty.position, duty.protection) {
            (
                DutyType::AggregationSlot | DutyType::SyncCommitteeSelectionProof,
                Some(Position::Slot(slot)),
                Protection::Unprotected,
            ) => Some(Self { slot, signing_root: duty.signing_root, key }),
            _ => None,
        }
    }

    /// The slot in which the validator may aggregate.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}
