//! Which keys the signer holds: they must be interop keys, every one.
//!
//! The load signs blocks and attestations of a made-up chain. With a real key that would bind its
//! slashing protection to that chain at least, so a signer with any other key is refused.

use std::collections::HashMap;

use blst::min_pk::SecretKey;

use crate::{interop::interop_secret_key, wire::PublicKey};

/// How many interop keys beyond as many as the signer holds are looked at, for signers that lack
/// some.
const SPARE_KEYS: u64 = 1024;

/// Why a signer is not played against.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyCheckError {
    /// A key is not among the interop keys: it may be somebody's.
    #[error(
        "the signer holds {unknown} of {held} keys that are not among the first interop keys, such \
         as {example}: this load is for signers with interop keys only, never for real validators"
    )]
    NotInterop {
        /// Keys that are not interop keys.
        unknown: usize,
        /// Keys that it holds.
        held: usize,
        /// One of them.
        example: PublicKey,
    },
    /// It has too few keys.
    #[error("{wanted} validators need as many keys; the signer holds {held}")]
    TooFew {
        /// Validators that are wanted.
        wanted: u32,
        /// Keys that it holds.
        held: usize,
    },
}

/// The public key of an interop key.
///
/// # Panics
/// Never: every interop key is valid.
pub fn interop_public_key(index: u64) -> PublicKey {
    let secret = interop_secret_key(index);
    let secret = SecretKey::from_bytes(secret.as_slice()).expect("interop keys are valid");
    PublicKey(secret.sk_to_pk().compress())
}

/// The first `wanted` keys in the order of their interop indices, if all keys that the signer holds
/// are interop keys.
///
/// # Errors
/// See [`KeyCheckError`].
pub fn check_keys(held: &[PublicKey], wanted: u32) -> Result<Vec<PublicKey>, KeyCheckError> {
    let count = held.len() as u64 + SPARE_KEYS;
    let indices: HashMap<PublicKey, u64> = derive(count).into_iter().zip(0..).collect();
    let mut unknown = held.iter().filter(|key| !indices.contains_key(*key)).peekable();
    if let Some(example) = unknown.peek().copied().copied() {
        return Err(KeyCheckError::NotInterop {
            unknown: unknown.count(),
            held: held.len(),
            example,
        });
    }
    let mut keys = held.to_vec();
    keys.sort_by_key(|key| indices.get(key).copied());
    keys.dedup();
    if keys.len() < wanted as usize {
        return Err(KeyCheckError::TooFew { wanted, held: keys.len() });
    }
    keys.truncate(wanted as usize);
    Ok(keys)
}

/// The first interop keys, on all cores.
fn derive(count: u64) -> Vec<PublicKey> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let share = count.div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let range = core * share..((core + 1) * share).min(count);
                scope.spawn(move || range.map(interop_public_key).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u64>) -> Vec<PublicKey> {
        range.map(interop_public_key).collect()
    }

    #[test]
    fn interop_keys_are_taken_in_their_order() {
        let mut held = keys(0..6);
        held.reverse();
        assert_eq!(check_keys(&held, 6).unwrap(), keys(0..6));
        assert_eq!(check_keys(&held, 2).unwrap(), keys(0..2));
        // Some may be missing.
        assert_eq!(check_keys(&keys(3..6), 3).unwrap(), keys(3..6));
    }

    #[test]
    fn one_other_key_is_one_too_many() {
        let mut held = keys(0..5);
        let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
        let real = PublicKey(secret.sk_to_pk().compress());
        held.insert(3, real);
        let error = check_keys(&held, 2).unwrap_err();
        assert_eq!(error, KeyCheckError::NotInterop { unknown: 1, held: 6, example: real });
        assert!(error.to_string().contains("never for real validators"));
    }

    #[test]
    fn too_few_keys_are_too_few() {
        let error = check_keys(&keys(0..3), 4).unwrap_err();
        assert_eq!(error, KeyCheckError::TooFew { wanted: 4, held: 3 });
        // A key that is listed twice is one key.
        let twice = [keys(0..2), keys(0..2)].concat();
        assert!(check_keys(&twice, 3).is_err());
        assert!(check_keys(&[], 1).is_err());
    }
}
