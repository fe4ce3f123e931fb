//! Blinding scalars: what keeps two false entries from cancelling out in a common check.
//!
//! They are a pseudo-random function of a seed that nobody outside knows, of what is checked, and of
//! the entry's place. So they need no randomness here, no entry can be made to suit its scalar, and
//! one seed may serve many groups.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

/// Bytes of a blinding scalar: an error of 2^-64 per check.
pub(super) const BLIND_BYTES: usize = 8;

const DIGEST_TAG: &[u8] = b"midslot aggregation suspects v1";
const BLIND_TAG: &[u8] = b"midslot aggregation blinds v1";

/// Fills `blinds` with a scalar for each of `count` suspects.
pub(super) fn derive(
    seed: &[u8; 32],
    suspects_digest: &[u8; 32],
    count: usize,
    blinds: &mut Vec<u8>,
) {
    blinds.clear();
    let keyed = Sha256::new_with_prefix(BLIND_TAG).chain_update(seed).chain_update(suspects_digest);
    for block in 0u64.. {
        if blinds.len() >= count * BLIND_BYTES {
            break;
        }
        blinds.extend_from_slice(&keyed.clone().chain_update(block.to_le_bytes()).finalize());
    }
    blinds.truncate(count * BLIND_BYTES);
    for scalar in blinds.chunks_exact_mut(BLIND_BYTES) {
        // Zero would leave its entry out of the check.
        if scalar.iter().all(|&byte| byte == 0) {
            scalar[0] = 1;
        }
    }
}

/// The digest of what is checked together: the message, the round, and each suspect's positions and
/// signature.
pub(super) fn digest_of_suspects<'s>(
    message: &[u8; 32],
    round: u8,
    suspects: impl Iterator<Item = (&'s crate::bits::Bits, &'s [u8; 96])>,
) -> [u8; 32] {
    let mut digest =
        Sha256::new_with_prefix(DIGEST_TAG).chain_update(message).chain_update([round]);
    for (bits, signature) in suspects {
        // The number of positions first, so that no two lists give the same bytes.
        digest.update(bits.count().to_le_bytes());
        for position in bits.iter() {
            digest.update(position.to_le_bytes());
        }
        digest.update(signature);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suspect_has_its_own_scalar_that_depends_on_seed_and_digest() {
        let scalars = |seed: u8, digest: u8| {
            let mut blinds = Vec::new();
            derive(&[seed; 32], &[digest; 32], 513, &mut blinds);
            assert_eq!(blinds.len(), 513 * BLIND_BYTES);
            blinds
        };
        let mut all: Vec<_> = [(1, 1), (1, 2), (2, 1)]
            .into_iter()
            .flat_map(|(seed, digest)| {
                let blinds = scalars(seed, digest);
                blinds.chunks(BLIND_BYTES).map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .collect();
        assert!(all.iter().all(|scalar| scalar.iter().any(|&byte| byte != 0)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * 513);
        assert_eq!(scalars(1, 1), scalars(1, 1));
    }
}
