//! BLS12-381 with minimal public keys, proof-of-possession ciphersuite (consensus-specs, phase0,
//! "BLS signatures"), on blst's safe interface.
//!
//! blst must be built with its feature `no-threads`: otherwise sums and multiplications go to a pool
//! on all cores of the process.

use blst::{
    BLST_ERROR, MultiPoint as _, Pairing, blst_fp12, blst_p1_affine, blst_p2_affine,
    min_pk::{PublicKey, SecretKey, Signature},
};

use crate::{backend::Backend, outcome::RejectReason};

/// Domain separation tag of the ciphersuite (draft-irtf-cfrg-bls-signature, section 4.2.3).
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Bits of a blinding scalar.
const BLIND_BITS: usize = 64;

/// Flags in the first byte of a compressed point (draft-irtf-cfrg-pairing-friendly-curves, appendix
/// C): it is infinity; its y is the larger one.
const INFINITY_FLAG: u8 = 0x40;
const SIGN_FLAG: u8 = 0x20;

/// BLS12-381 on blst.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bls;

impl Backend for Bls {
    type Key = PublicKey;
    type Signature = Signature;
    type Message = blst_p2_affine;

    const SUBTRACTS: bool = true;

    /// Hashes to the curve once for all checks. blst's safe interface does not give out a hashed
    /// message, but a signature by the secret key 1 is just that.
    fn message(&self, message: &[u8; 32]) -> blst_p2_affine {
        let mut one = [0; 32];
        one[31] = 1;
        let one = SecretKey::from_bytes(&one).expect("1 is above zero and below the order");
        one.sign(message, CIPHERSUITE, &[]).into()
    }

    fn key(&self, bytes: &[u8; 48]) -> Option<PublicKey> {
        let key = PublicKey::uncompress(bytes).ok()?;
        key.validate().ok()?;
        Some(key)
    }

    fn signature(&self, bytes: &[u8; 96]) -> Result<Signature, RejectReason> {
        let signature = Signature::uncompress(bytes).map_err(|error| match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => RejectReason::NotOnCurve,
            _ => RejectReason::BadEncoding,
        })?;
        if is_infinity(&signature) { Err(RejectReason::Infinity) } else { Ok(signature) }
    }

    fn encode(&self, signature: &Signature) -> [u8; 96] {
        signature.compress()
    }

    fn in_group(&self, signature: &Signature) -> bool {
        signature.subgroup_check()
    }

    fn sum_keys(&self, keys: &[PublicKey]) -> Option<PublicKey> {
        if keys.is_empty() {
            return None;
        }
        let sum = keys.add().to_public_key();
        (!is_infinity_key(&sum)).then_some(sum)
    }

    fn sum(&self, added: &[Signature], removed: &[Signature]) -> Option<Signature> {
        if added.is_empty() {
            return None;
        }
        let mut sum = added.add();
        if !removed.is_empty() {
            sum.add_aggregate(&blst::min_pk::AggregateSignature::from_signature(&negative(
                &removed.add().to_signature(),
            )));
        }
        let sum = sum.to_signature();
        (!is_infinity(&sum)).then_some(sum)
    }

    fn verify(&self, message: &blst_p2_affine, key: &PublicKey, signature: &Signature) -> bool {
        signature.subgroup_check() && pairings_agree(message, key, signature)
    }

    fn all_hold(
        &self,
        message: &blst_p2_affine,
        keys: &[PublicKey],
        signatures: &[Signature],
        blinds: &[u8],
    ) -> bool {
        if let ([key], [signature]) = (keys, signatures) {
            return pairings_agree(message, key, signature);
        }
        let key = keys.mult(blinds, BLIND_BITS).to_public_key();
        let signature = signatures.mult(blinds, BLIND_BITS).to_signature();
        pairings_agree(message, &key, &signature)
    }
}

/// e(key, message) = e(generator, signature), for a key and a signature that are not infinity.
fn pairings_agree(message: &blst_p2_affine, key: &PublicKey, signature: &Signature) -> bool {
    if is_infinity_key(key) || is_infinity(signature) {
        return false;
    }
    let mut signed = blst_fp12::default();
    Pairing::aggregated(&mut signed, <&blst_p2_affine>::from(signature));
    let expected = blst_fp12::miller_loop(message, key.into());
    blst_fp12::finalverify(&expected, &signed)
}

/// The opposite point. Opposite points differ in the sign of y alone, which is a flag of the
/// compressed form.
fn negative(signature: &Signature) -> Signature {
    let mut bytes = signature.compress();
    if bytes[0] & INFINITY_FLAG == 0 {
        bytes[0] ^= SIGN_FLAG;
    }
    Signature::uncompress(&bytes).expect("the opposite of a point is a point")
}

fn is_infinity(signature: &Signature) -> bool {
    *<&blst_p2_affine>::from(signature) == blst_p2_affine::default()
}

fn is_infinity_key(key: &PublicKey) -> bool {
    *<&blst_p1_affine>::from(key) == blst_p1_affine::default()
}
