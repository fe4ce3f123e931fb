//! The four calls into blst's C library that signing needs, each behind a safe function.
//!
//! blst's safe Rust interface keeps the scalar inside its own type and hashes the message anew for
//! every signature. Both are unwanted here, so these functions work on a scalar where it lies,
//! without a copy, and on a point hashed before. blst itself wipes what it derives from the scalar
//! on the stack.

#![expect(unsafe_code, reason = "blst's safe interface can neither sign a point nor sign in place")]

use std::ptr;

use blst::{blst_p1_affine, blst_p2, blst_p2_affine, blst_scalar};

/// Domain separation tag of the ciphersuite (draft-irtf-cfrg-bls-signature, section 4.2.3).
pub const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A secret scalar as blst keeps it: 32 bytes, little-endian.
pub(super) type Scalar = [u8; 32];

/// `blst_scalar` is these bytes under another name; the casts below depend on it.
const _: () = assert!(
    size_of::<blst_scalar>() == size_of::<Scalar>()
        && align_of::<blst_scalar>() == align_of::<Scalar>()
);

/// Writes big-endian bytes to `scalar` and tells whether they are a secret key: above zero and
/// below the order of the group.
pub(super) fn read_secret_key(big_endian: &[u8; 32], scalar: &mut Scalar) -> bool {
    let scalar = scalar.as_mut_ptr().cast::<blst_scalar>();
    // SAFETY: both pointers come from references to 32 bytes, the size and alignment of what blst
    // writes and reads.
    unsafe {
        blst::blst_scalar_from_bendian(scalar, big_endian.as_ptr());
        blst::blst_sk_check(scalar)
    }
}

/// The compressed public key of a scalar.
pub(super) fn public_key(scalar: &Scalar) -> [u8; 48] {
    let mut point = blst_p1_affine::default();
    let mut compressed = [0; 48];
    // SAFETY: the scalar is 32 readable bytes, `point` is a local of blst's own type, the result
    // has the 48 bytes of a compressed point of G1; blst leaves out a result whose pointer is null.
    unsafe {
        blst::blst_sk_to_pk2_in_g1(ptr::null_mut(), &raw mut point, scalar.as_ptr().cast());
        blst::blst_p1_affine_compress(compressed.as_mut_ptr(), &raw const point);
    }
    compressed
}

/// Hashes a message to a point of G2 (RFC 9380, with [`CIPHERSUITE`] as its tag).
pub(super) fn hash_to_g2(message: &[u8]) -> blst_p2 {
    let mut point = blst_p2::default();
    // SAFETY: `point` is a local of blst's own type; each pointer to bytes comes with the length of
    // the slice it was taken from, and blst reads nothing of the absent augmentation of length 0.
    unsafe {
        blst::blst_hash_to_g2(
            &raw mut point,
            message.as_ptr(),
            message.len(),
            CIPHERSUITE.as_ptr(),
            CIPHERSUITE.len(),
            ptr::null(),
            0,
        );
    }
    point
}

/// Multiplies a hashed message with a secret scalar: the compressed signature.
pub(super) fn sign(point: &blst_p2, scalar: &Scalar) -> [u8; 96] {
    let mut signature = blst_p2_affine::default();
    let mut compressed = [0; 96];
    // SAFETY: the scalar is 32 readable bytes, `point` and `signature` are of blst's own types, the
    // result has the 96 bytes of a compressed point of G2; blst leaves out a result whose pointer
    // is null.
    unsafe {
        blst::blst_sign_pk2_in_g1(
            ptr::null_mut(),
            &raw mut signature,
            point,
            scalar.as_ptr().cast(),
        );
        blst::blst_p2_affine_compress(compressed.as_mut_ptr(), &raw const signature);
    }
    compressed
}
