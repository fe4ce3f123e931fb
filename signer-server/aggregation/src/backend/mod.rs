//! The arithmetic of the prove step, behind one trait.

mod bls;

pub use bls::Bls;

use crate::outcome::RejectReason;

/// A signature scheme whose signatures on one message can be added up.
///
/// [`Bls`] is the only implementation. What a post-quantum prover would have to offer to stand in
/// its place, as far as the lean consensus clients show it today:
///
/// * **Signatures are proofs.** `sum` becomes proving: leaf signatures and earlier proofs go in, one
///   proof comes out, with `participants` that are a union. `SUBTRACTS` is false, since nothing can
///   be taken out of a proof, and a position that counts twice in a sum counts once in a union.
/// * **Proving takes seconds and cannot be interrupted.** A [`Checkpoint`](crate::Checkpoint) is
///   asked between calls only. A job of such a backend must be cut so that one call fits the time
///   that is left, its first call must always be allowed, and its worker needs threads and memory of
///   its own, which never go back to the system.
/// * **Proofs are not reproducible.** Two runs over the same inputs give different bytes. Whatever
///   compares outcomes has to compare participants and verify, not compare bytes; a result is known
///   by the hash of its snapshot, never by its own.
/// * **One false input spoils the proof without saying which.** Every leaf has to be verified singly
///   before it goes in (`all_hold` with one entry), which is cheap there.
/// * **One leaf of a key may sign one message, ever.** That is no matter of this trait: the prove
///   step sees signatures, not keys. The side that signs needs a durable ledger of used leaves that
///   is written before the signature is made (EIP-8310), as the slashing record is for BLS.
///
/// Sizes in bytes are those of BLS throughout the crate (48 for keys, 96 for signatures); another
/// scheme also widens the entry types.
pub trait Backend {
    /// A public key that has passed the scheme's validation.
    type Key: Copy + core::fmt::Debug;
    /// A signature, decoded.
    type Signature: Copy + core::fmt::Debug;
    /// A message, prepared for many checks.
    type Message;

    /// Whether a part can be taken out of a sum again.
    const SUBTRACTS: bool;

    /// Prepares a message of 32 bytes.
    fn message(&self, message: &[u8; 32]) -> Self::Message;

    /// Decodes a public key and validates it wholly; `None` if it is none.
    fn key(&self, bytes: &[u8; 48]) -> Option<Self::Key>;

    /// Decodes a signature that is a point of the curve and not infinity. Does not look whether it is
    /// in the group.
    fn signature(&self, bytes: &[u8; 96]) -> Result<Self::Signature, RejectReason>;

    /// The bytes of a signature.
    fn encode(&self, signature: &Self::Signature) -> [u8; 96];

    /// Whether a decoded signature is in the group of prime order. Blinded checks are sound only for
    /// those: the cofactor of G2 has small factors, so a small random multiple lets a part of small
    /// order through.
    fn in_group(&self, signature: &Self::Signature) -> bool;

    /// The sum of keys; `None` for no keys and for keys that cancel out.
    fn sum_keys(&self, keys: &[Self::Key]) -> Option<Self::Key>;

    /// The sum of `added` less the sum of `removed`; `None` if nothing is left of it.
    fn sum(
        &self,
        added: &[Self::Signature],
        removed: &[Self::Signature],
    ) -> Option<Self::Signature>;

    /// Whether a signature, which need not be in the group, is in the group and the signature of a
    /// message by a key.
    fn verify(&self, message: &Self::Message, key: &Self::Key, signature: &Self::Signature)
    -> bool;

    /// Whether each signature is the one of its key, in one check with an error of at most 2^-64.
    /// `blinds` holds 8 bytes per entry, each of them not zero, that nobody who made an entry could
    /// foresee. All signatures are in the group, and the three slices match and are not empty.
    fn all_hold(
        &self,
        message: &Self::Message,
        keys: &[Self::Key],
        signatures: &[Self::Signature],
        blinds: &[u8],
    ) -> bool;
}
