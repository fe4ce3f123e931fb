//! A validator's secret key.

use signer_client::wire::{PublicKey, Root, Signature};
use zeroize::Zeroizing;

use super::CIPHERSUITE;

/// A secret scalar, 32 bytes, zeroised when dropped. Has no `Debug`, no `Clone` and no accessor
/// for its bytes, so that it can't reach a log or a second place in memory.
pub struct SecretKey(blst::min_pk::SecretKey);

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
        blst::min_pk::SecretKey::from_bytes(bytes.as_slice())
            .map(Self)
            .map_err(|_| InvalidSecretKey)
    }

    /// The compressed public key, 48 bytes. Costs about 0.15 ms.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk().compress())
    }

    /// Signs a 32-byte signing root. Costs about 0.4 ms: call it on a signing thread only.
    pub fn sign(&self, signing_root: &Root) -> Signature {
        self.sign_bytes(signing_root.as_bytes())
    }

    /// Signs a message of any length, for the extension endpoint, which signs the request's text.
    pub fn sign_bytes(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, CIPHERSUITE, &[]).compress())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last_byte: u8) -> Result<SecretKey, InvalidSecretKey> {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[31] = last_byte;
        SecretKey::from_bytes(&bytes)
    }

    #[test]
    fn zero_and_the_group_order_are_refused() {
        assert!(key(0).is_err());
        let order = const_hex::decode_to_array(
            "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001",
        )
        .unwrap();
        assert!(SecretKey::from_bytes(&Zeroizing::new(order)).is_err());
    }

    #[test]
    fn public_key_of_one_is_the_generator() {
        // The compressed generator of G1, as the curve's definition gives it.
        let generator = "0x97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
        assert_eq!(key(1).unwrap().public_key().to_string(), generator);
    }

    #[test]
    fn signatures_verify() {
        let key = key(7).unwrap();
        let root = Root([9; 32]);
        let signature = blst::min_pk::Signature::from_bytes(&key.sign(&root).0).unwrap();
        let public_key = blst::min_pk::PublicKey::from_bytes(&key.public_key().0).unwrap();
        let result = signature.verify(true, root.as_bytes(), CIPHERSUITE, &[], &public_key, true);
        assert_eq!(result, blst::BLST_ERROR::BLST_SUCCESS);
    }
}
