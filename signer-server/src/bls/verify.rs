//! Whether a signature is that of a key: for proofs that a client brings along.

use blst::{BLST_ERROR, min_pk};
use signer_client::wire::{PublicKey, Root, Signature};

use super::CIPHERSUITE;

/// Whether `signature` is that of `key` on `signing_root`. Takes about a millisecond. Bytes that are
/// no points of their groups, and the point at infinity, are nobody's.
pub fn verify(key: &PublicKey, signing_root: &Root, signature: &Signature) -> bool {
    let points = min_pk::PublicKey::key_validate(key.as_bytes())
        .and_then(|key| Ok((key, min_pk::Signature::sig_validate(signature.as_bytes(), true)?)));
    points.is_ok_and(|(key, signature)| {
        // Both points are checked by now.
        let verified =
            signature.verify(false, signing_root.as_bytes(), CIPHERSUITE, &[], &key, false);
        verified == BLST_ERROR::BLST_SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> min_pk::SecretKey {
        min_pk::SecretKey::key_gen(&[byte; 32], &[]).unwrap()
    }

    #[test]
    fn only_the_signature_of_that_key_on_that_root_verifies() {
        let public = PublicKey(key(1).sk_to_pk().to_bytes());
        let sign = |byte, root: Root| {
            Signature(key(byte).sign(root.as_bytes(), CIPHERSUITE, &[]).to_bytes())
        };
        let root = Root([7; 32]);
        assert!(verify(&public, &root, &sign(1, root)));
        assert!(!verify(&public, &root, &sign(2, root)));
        assert!(!verify(&public, &root, &sign(1, Root([8; 32]))));
        assert!(!verify(&PublicKey([1; 48]), &root, &sign(1, root)));
        let mut infinity = [0; 96];
        infinity[0] = 0xc0;
        for signature in [infinity, [0; 96], [0xff; 96]] {
            assert!(!verify(&public, &root, &Signature(signature)));
        }
        let mut infinite_key = [0; 48];
        infinite_key[0] = 0xc0;
        assert!(!verify(&PublicKey(infinite_key), &root, &Signature(infinity)));
    }
}
