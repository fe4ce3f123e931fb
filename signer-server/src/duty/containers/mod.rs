//! Hash tree roots of objects whose shape depends on fork or preset.
//!
//! The objects themselves are the wire types of `signer-client`; here the fork chooses how they
//! are hashed. Roots that depend on neither are derived beside the types.

mod aggregate;
mod block;

pub(super) use aggregate::{AggregateShape, aggregate_and_proof_root};
pub(super) use block::block_root;
use signer_client::wire::Bitvector;

use super::DutyError;

/// Refuses a bit vector that has not exactly that many bits.
pub(super) fn check_bits(
    path: &'static str,
    bits: &Bitvector,
    expected: usize,
) -> Result<(), DutyError> {
    if bits.has_bits(expected) {
        Ok(())
    } else {
        Err(DutyError::WrongBits { path, expected, found_bytes: bits.0.len() })
    }
}
