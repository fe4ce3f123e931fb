//! Whether a proof selects its maker as an aggregator.

use sha2::{Digest, Sha256};

use crate::wire::Signature;

/// Aggregators aimed at in each committee (consensus-specs, phase0
/// `TARGET_AGGREGATORS_PER_COMMITTEE`).
const TARGET_AGGREGATORS_PER_COMMITTEE: u64 = 16;
/// Subcommittees of a sync committee (consensus-specs, altair `SYNC_COMMITTEE_SUBNET_COUNT`).
const SYNC_COMMITTEE_SUBNET_COUNT: u64 = 4;
/// Aggregators aimed at in each subcommittee (consensus-specs, altair
/// `TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE`).
const TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE: u64 = 16;

/// Whether a proof for a slot makes its validator an aggregator of its committee of
/// `committee_length` members (consensus-specs, phase0 `is_aggregator`).
pub fn is_aggregator(committee_length: u64, proof: &Signature) -> bool {
    selects(proof, committee_length / TARGET_AGGREGATORS_PER_COMMITTEE)
}

/// Whether a proof for a slot and subcommittee makes its validator an aggregator there, in a sync
/// committee of `sync_committee_size` members (512 in the mainnet preset, 32 in the minimal one;
/// consensus-specs, altair `is_sync_committee_aggregator`).
pub fn is_sync_committee_aggregator(sync_committee_size: u64, proof: &Signature) -> bool {
    let subcommittee = sync_committee_size / SYNC_COMMITTEE_SUBNET_COUNT;
    selects(proof, subcommittee / TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE)
}

/// One proof in `modulo` selects; all do if that is zero.
fn selects(proof: &Signature, modulo: u64) -> bool {
    let hash = Sha256::digest(proof.as_bytes());
    let mut low = [0; 8];
    low.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(low).is_multiple_of(modulo.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proofs made of one repeated byte, with what Python's `hashlib` finds for them.
    #[test]
    fn known_answers() {
        // Byte, committee length, aggregator of the committee, aggregator of a subcommittee of 512.
        let cases = [
            (160, 488, true, true),
            (198, 488, true, true),
            (22, 488, true, false),
            (52, 488, true, false),
            (2, 488, false, true),
            (12, 488, false, true),
            (0, 488, false, false),
            (1, 488, false, false),
            (250, 2048, true, true),
            (2, 2048, false, true),
            (12, 2048, false, true),
            (0, 2048, false, false),
            (1, 2048, false, false),
            (2, 33, true, true),
            (12, 33, true, true),
            (0, 33, true, false),
            (3, 33, true, false),
            (1, 33, false, false),
            (5, 33, false, false),
        ];
        for (byte, length, of_committee, of_subcommittee) in cases {
            let proof = Signature([byte; 96]);
            assert_eq!(is_aggregator(length, &proof), of_committee, "{byte} {length}");
            assert_eq!(is_sync_committee_aggregator(512, &proof), of_subcommittee, "{byte}");
        }
    }

    #[test]
    fn everybody_aggregates_in_small_committees() {
        for byte in 0..=255 {
            let proof = Signature([byte; 96]);
            assert!(is_aggregator(0, &proof));
            assert!(is_aggregator(31, &proof));
            assert!(is_sync_committee_aggregator(32, &proof));
        }
    }
}
