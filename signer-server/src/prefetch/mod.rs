//! Duty-aware prefetch: the signer asks beacon nodes when its keys are on duty, and makes their
//! selection proofs some slots ahead, so that unmodified validator clients find them ready.
//!
//! The way of a duty: `node` asks one beacon node over HTTP and reads a bounded answer, `answers` are
//! its forms, `chain` says whether the node is on the chain of this signer, `directory` knows the
//! validators' indices, `book` holds the duties of this epoch and the next, `plan` takes from it
//! what is due soon, `worker` does all that once a slot, and the proofs are made by
//! [`SigningService::foresee`](crate::signing::SigningService::foresee).
//!
//! Whatever beacon nodes say is a hint. It decides for which slots proofs are made early, and nothing
//! else: the only thing that is ever signed from it is a selection proof, which can't be slashed, of
//! the chain that the signer knows by itself, with a fork version that it knows by itself. A node
//! that lies can only have proofs made that nobody asks for, at most one for each key, slot and
//! subcommittee, when no other job waits.
//!
//! Memory is bounded by the number of loaded keys and nodes, whatever nodes answer.

mod address;
mod answers;
mod book;
mod chain;
mod directory;
mod moment;
mod node;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::time::Duration;

pub use address::{BadAddress, BeaconAddress};
pub use chain::Chain;
pub use node::NodeFailure;
pub use status::{PrefetchReport, PrefetchState, PrefetchStatus};
pub use worker::start;

/// How duties are asked for, and when proofs are made.
#[derive(Clone, Debug)]
pub struct PrefetchOptions {
    /// The beacon nodes, the preferred one first.
    pub nodes: Vec<BeaconAddress>,
    /// How many slots after the present one.
    pub look_ahead_slots: u64,
    /// When in a slot proofs are made, in percent of it: 1 to 99.
    pub slot_percent: u8,
    /// How long a beacon node may take for one answer, its body included.
    pub request_timeout: Duration,
}
