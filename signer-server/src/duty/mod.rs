//! What a request asks for: from the JSON body to a [`Duty`] with its class, signing root and
//! slashable part.

//!
//! [`classify`] is the only way in: `request` takes the body apart, `kinds` reads the object and
//! chooses its domain, `fork_rule` says which fork the object belongs to, `containers` hash what
//! depends on it. All of it is pure, works on the one body and never panics.

mod aggregates;
mod containers;
mod domain;
mod duty_type;
mod error;
mod fork_rule;
mod json;
mod kinds;
pub mod members;
mod network;
mod request;
mod selection;
#[cfg(test)]
mod tests;

pub use aggregates::{aggregate_and_proof, committee_bits, contribution_and_proof};
pub use duty_type::DutyType;
pub use error::{DutyError, DutyFailure, ForkSource, GenericError};
pub use network::{FAR_FUTURE_EPOCH, Network, NetworkClock, NetworkError, Preset, ScheduledFork};
pub use selection::selection_proof;
pub use signer_client::wire::Fork;
use signer_client::wire::{Epoch, Root, Slot};

use self::{kinds::Message, request::Request};

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

/// What becomes of a `GENERIC` request whose domain is that of blocks or attestations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlashableGeneric {
    /// It is refused.
    #[default]
    Refused,
    /// It is accepted with the block header or the attestation beside the root, which slashing
    /// protection then decides about.
    WithObject,
}

/// Says what a request's body asks for. `GENERIC` requests for blocks and attestations are refused.
///
/// Every failure is the client's (status 400): the text of the error is one line for it.
pub fn classify(body: &[u8], network: &Network) -> Result<Duty, DutyFailure> {
    classify_with(body, network, SlashableGeneric::Refused)
}

/// As [`classify`], with a choice about `GENERIC` requests for blocks and attestations.
pub fn classify_with(
    body: &[u8],
    network: &Network,
    slashable_generic: SlashableGeneric,
) -> Result<Duty, DutyFailure> {
    let request = Request::parse(body).map_err(|error| DutyFailure { duty_type: None, error })?;
    let duty_type = request.duty_type;
    complete(&request, network, slashable_generic)
        .map_err(|error| DutyFailure { duty_type: Some(duty_type), error })
}

fn complete(
    request: &Request<'_>,
    network: &Network,
    slashable_generic: SlashableGeneric,
) -> Result<Duty, DutyError> {
    let (Message { object_root, domain, position }, protection) =
        kinds::read(request, network, slashable_generic)?;
    let signing_root = domain.signing_root(object_root);
    for sent in request.sent_roots()? {
        if sent != signing_root {
            return Err(DutyError::RootMismatch {
                sent,
                computed: signing_root,
                domain: Box::new(domain.bytes),
                version: domain.version,
            });
        }
    }
    Ok(Duty { duty_type: request.duty_type, signing_root, position, protection })
}
