//! A validator's secret key.

#[cfg(test)]
mod copies;
#[cfg(test)]
mod tests;

use signer_client::wire::{PublicKey, Root, Signature};
use zeroize::Zeroizing;

use super::{MessagePoint, curve, memory::LockedScalar, point_table::PointTable};

/// A secret scalar, 32 bytes in locked memory, zeroised when dropped. Has no `Debug`, no `Clone`
/// and no accessor for its bytes, so that it can't reach a log or a second place in memory:
///
/// ```compile_fail,E0277
/// fn needs_debug<T: std::fmt::Debug>() {}
/// needs_debug::<signer_server::bls::SecretKey>();
/// ```
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<signer_server::bls::SecretKey>();
/// ```
pub struct SecretKey(LockedScalar);

/// The 32 bytes are zero or not below the order of the curve's subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a BLS12-381 secret key: the value must be above zero and below the group order")]
pub struct InvalidSecretKey;

impl SecretKey {
    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    /// When the value is zero or not below the group order.
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, InvalidSecretKey> {
        let mut scalar = LockedScalar::zero();
        if curve::read_secret_key(bytes, scalar.get_mut()) {
            Ok(Self(scalar))
        } else {
            Err(InvalidSecretKey)
        }
    }

    /// The compressed public key, 48 bytes. Costs about 0.15 ms.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(curve::public_key(self.0.get()))
    }

    /// Signs a message that is hashed already. Costs about 0.2 ms: call it on a signing thread
    /// only.
    pub fn sign_point(&self, point: &MessagePoint) -> Signature {
        Signature(curve::sign(point.as_blst(), self.0.get()))
    }

    /// Signs the message of a table.
    pub(super) fn sign_with(&self, table: &PointTable) -> Signature {
        table.sign(self.0.get())
    }

    /// Signs a 32-byte signing root. Costs about 0.4 ms: call it on a signing thread only.
    pub fn sign(&self, signing_root: &Root) -> Signature {
        self.sign_point(&MessagePoint::of_root(signing_root))
    }

    /// Signs a message of any length, for the extension endpoint, which signs the request's text.
    pub fn sign_bytes(&self, message: &[u8]) -> Signature {
        self.sign_point(&MessagePoint::of_bytes(message))
    }
}
