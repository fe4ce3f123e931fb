//! Points that were decoded before.
//!
//! A cache saves time and changes nothing else: what is kept in it can only be made in this crate,
//! after the checks that its type stands for.

use crate::backend::{Backend, Bls};

/// Where decoded points live between groups and jobs. Both maps go from the bytes that were
/// decoded; an implementation must give back what it was given for exactly these bytes, or nothing.
pub trait PointCache<B: Backend = Bls> {
    /// The public key of these bytes, if it is known.
    fn key(&mut self, bytes: &[u8; 48]) -> Option<ValidKey<B>>;

    /// Keeps a public key. 96 bytes for BLS.
    fn keep_key(&mut self, bytes: &[u8; 48], key: ValidKey<B>);

    /// The signature of these bytes, if it is known.
    fn signature(&mut self, bytes: &[u8; 96]) -> Option<DecodedSignature<B>>;

    /// Keeps a signature; comes again for the same bytes once more is known of it. 200 bytes for
    /// BLS.
    fn keep_signature(&mut self, bytes: &[u8; 96], signature: DecodedSignature<B>);
}

/// A public key that has passed `KeyValidate` (draft-irtf-cfrg-bls-signature, section 2.5).
#[derive(Debug)]
pub struct ValidKey<B: Backend = Bls>(pub(crate) B::Key);

/// A signature that is a point of the curve and not infinity, and maybe known to be in the group.
#[derive(Debug)]
pub struct DecodedSignature<B: Backend = Bls> {
    pub(crate) point: B::Signature,
    pub(crate) in_group: bool,
}

impl<B: Backend> Clone for ValidKey<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for ValidKey<B> {}

impl<B: Backend> Clone for DecodedSignature<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for DecodedSignature<B> {}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl<B: Backend> PointCache<B> for NoCache {
    fn key(&mut self, _bytes: &[u8; 48]) -> Option<ValidKey<B>> {
        None
    }

    fn keep_key(&mut self, _bytes: &[u8; 48], _key: ValidKey<B>) {}

    fn signature(&mut self, _bytes: &[u8; 96]) -> Option<DecodedSignature<B>> {
        None
    }

    fn keep_signature(&mut self, _bytes: &[u8; 96], _signature: DecodedSignature<B>) {}
}
