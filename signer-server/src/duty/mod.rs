//! What a request asks for: from the JSON body to a [`Duty`] with its class, signing root and
//! slashable part.

mod duty_type;

pub use duty_type::DutyType;
use signer_client::wire::{Epoch, Root, Slot};

/// One thing to sign, complete: everything after this point trusts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// What kind of object is signed.
    pub duty_type: DutyType,
    /// The 32 bytes that the key signs: `compute_signing_root(object, domain)`, always computed
    /// here.
    pub signing_root: Root,
    /// Where in the chain's time the object belongs, when it says so.
    pub position: Option<Position>,
    /// What slashing protection must decide and record before a signature may leave.
    pub protection: Protection,
}

/// Where an object belongs in the chain's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The object names a slot.
    Slot(Slot),
    /// The object names only an epoch.
    Epoch(Epoch),
}

/// The slashable part of a duty (EIP-3076 protects blocks and attestations, nothing else).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Signing this can't be slashed.
    Unprotected,
    /// A beacon block proposal.
    Block {
        /// Slot of the block.
        slot: Slot,
        /// Chain the request claims to be on.
        genesis_validators_root: Root,
    },
    /// An attestation vote.
    Attestation {
        /// Epoch of the source checkpoint.
        source: Epoch,
        /// Epoch of the target checkpoint.
        target: Epoch,
        /// Chain the request claims to be on.
        genesis_validators_root: Root,
    },
}
