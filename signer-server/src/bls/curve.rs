//! The calls into blst's C library that signing needs, each behind a safe function.
//!
//! blst's safe Rust interface keeps the scalar inside its own type and hashes the message anew for
//! every signature. Both are unwanted here, so these functions work on a scalar where it lies,
//! without a copy, and on a point hashed before. blst itself wipes what it derives from the scalar
//! on the stack.

#![expect(unsafe_code, reason = "blst's safe interface can neither sign a point nor sign in place")]

use std::ptr;

use blst::{blst_fp2, blst_p1_affine, blst_p2, blst_p2_affine, blst_scalar};
use zeroize::Zeroize as _;

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

/// `first`, twice `first`, three times `first` and so on, and once more the last of them twice.
/// Nothing of it is secret.
pub(super) fn multiples<const COUNT: usize>(first: &blst_p2) -> ([blst_p2_affine; COUNT], blst_p2) {
    let mut points = [*first; COUNT];
    for index in 1..COUNT {
        let (earlier, later) = points.split_at_mut(index);
        // SAFETY: all three are references to points of blst's own type; the result overlaps none
        // of the others.
        unsafe {
            blst::blst_p2_add_or_double(&raw mut later[0], &raw const earlier[index - 1], first);
        };
    }
    let mut twice = blst_p2::default();
    let mut affine = [blst_p2_affine::default(); COUNT];
    let pointers = points.each_ref().map(ptr::from_ref);
    // SAFETY: blst reads `COUNT` pointers, each to a point that lives until the call returns, and
    // writes as many affine points to an array of that length.
    unsafe {
        blst::blst_p2_double(&raw mut twice, &raw const points[COUNT - 1]);
        blst::blst_p2s_to_affine(affine.as_mut_ptr(), pointers.as_ptr(), COUNT);
    }
    (affine, twice)
}

/// A running sum that a secret scalar decides about. Wiped when dropped.
pub(super) struct SecretSum(blst_p2);

impl SecretSum {
    /// The point at infinity.
    pub(super) fn zero() -> Self {
        Self(blst_p2::default())
    }

    /// Adds a point or, when `negative`, its opposite; all zeros stand for the point at infinity.
    /// Takes the same way through the same code whatever the values are, also if the sum and the
    /// point are the same.
    pub(super) fn add(&mut self, point: &mut blst_p2_affine, negative: bool) {
        let sum = &raw mut self.0;
        let y = &raw mut point.y;
        // SAFETY: the pointers come from exclusive references to values of blst's own types. Both
        // calls allow that the result lies where an operand lies.
        unsafe {
            blst::blst_fp2_cneg(y, y, negative);
            blst::blst_p2_add_or_double_affine(sum, sum, point);
        }
    }

    /// The sum as a compressed signature.
    pub(super) fn compressed(&self) -> [u8; 96] {
        let mut affine = blst_p2_affine::default();
        let mut compressed = [0; 96];
        // SAFETY: references to values of blst's own types, and 96 bytes for a compressed point.
        unsafe {
            blst::blst_p2_to_affine(&raw mut affine, &raw const self.0);
            blst::blst_p2_affine_compress(compressed.as_mut_ptr(), &raw const affine);
        }
        compressed
    }
}

impl Drop for SecretSum {
    fn drop(&mut self) {
        for coordinate in [&mut self.0.x, &mut self.0.y, &mut self.0.z] {
            wipe(coordinate);
        }
    }
}

/// Overwrites a coordinate with zeros, in a way that the compiler does not leave out.
pub(super) fn wipe(coordinate: &mut blst_fp2) {
    for element in &mut coordinate.fp {
        element.l.zeroize();
    }
}
