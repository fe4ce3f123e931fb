//! A signature that must not leave yet.

use signer_client::wire::{PublicKey, Root, Signature};
use zeroize::Zeroizing;

use super::{PointCache, SecretKey};
use crate::slashing::Cleared;

/// A signature under seal: made, but worthless until slashing protection has cleared the same key
/// and root. Zeroised when dropped unopened.
pub struct Sealed {
    public_key: PublicKey,
    signing_root: Root,
    signature: Zeroizing<[u8; Signature::SIZE]>,
}

/// The clearance belongs to another key or another root: a fault in this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clearance does not belong to this signature")]
pub struct WrongClearance;

impl Sealed {
    /// Signs and seals. Costs one signature, or half or a quarter of one if `points` knows the root:
    /// call it on a signing thread only.
    pub fn sign(
        key: &SecretKey,
        points: &PointCache,
        public_key: PublicKey,
        signing_root: Root,
    ) -> Self {
        let signature = Zeroizing::new(points.sign(key, &signing_root).0);
        Self { public_key, signing_root, signature }
    }

    /// Breaks the seal.
    ///
    /// # Errors
    /// When the clearance was given for something else.
    pub fn open(self, cleared: &Cleared) -> Result<Signature, WrongClearance> {
        if *cleared.key() == self.public_key && *cleared.signing_root() == self.signing_root {
            Ok(Signature(*self.signature))
        } else {
            Err(WrongClearance)
        }
    }
}
