//! The message's half of a signature.

use blst::blst_p2;
use signer_client::wire::Root;

use super::curve;

/// A message hashed to a point of the curve's group G2, ready to be signed by any number of keys.
/// 288 bytes; nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePoint(blst_p2);

impl MessagePoint {
    /// Hashes a signing root. Costs about 0.2 ms, half of a signature: call it on a signing thread
    /// only, and through [`PointCache`](super::PointCache) where other keys may sign the same root.
    pub fn of_root(signing_root: &Root) -> Self {
        Self::of_bytes(signing_root.as_bytes())
    }

    /// Hashes a message of any length.
    pub fn of_bytes(message: &[u8]) -> Self {
        Self(curve::hash_to_g2(message))
    }

    /// The point in blst's form.
    pub(super) fn as_blst(&self) -> &blst_p2 {
        &self.0
    }
}
