//! The publicly known secret keys of Ethereum's interop genesis, for demos, tests and load tools.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Order of the BLS12-381 subgroups, big-endian.
const GROUP_ORDER: [u8; 32] = [
    0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05,
    0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
];

/// The interop secret key of a validator index: 32 big-endian bytes.
///
/// SHA-256 of the index as 32 little-endian bytes, read as a little-endian integer, modulo the
/// group order (ethereum/eth2.0-pm, "Mocked start"). Anyone can compute it: never use it for a
/// validator with value.
pub fn interop_secret_key(index: u64) -> Zeroizing<[u8; 32]> {
    let mut message = [0; 32];
    message[..8].copy_from_slice(&index.to_le_bytes());
    let mut secret = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(message)));
    secret.reverse();
    // Big-endian arrays compare like the integers they are. At most two rounds: 2^256 is less
    // than three times the order.
    while *secret >= GROUP_ORDER {
        subtract(&mut secret, &GROUP_ORDER);
    }
    secret
}

/// `minuend -= subtrahend` on big-endian integers; the minuend must not be the smaller.
fn subtract(minuend: &mut [u8; 32], subtrahend: &[u8; 32]) {
    let mut borrow = false;
    for (digit, &taken) in minuend.iter_mut().zip(subtrahend).rev() {
        let (difference, first) = digit.overflowing_sub(taken);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        *digit = difference;
        borrow = first || second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PublicKey;

    fn public_key(secret: &[u8; 32]) -> PublicKey {
        let secret = blst::min_pk::SecretKey::from_bytes(secret).unwrap();
        PublicKey(secret.sk_to_pk().compress())
    }

    #[test]
    fn index_zero_has_its_known_keys() {
        let secret = interop_secret_key(0);
        assert_eq!(
            const_hex::encode(*secret),
            "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866"
        );
        assert_eq!(
            public_key(&secret).to_string(),
            "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
        );
    }

    #[test]
    fn every_key_is_below_the_order_and_distinct() {
        let keys: std::collections::HashSet<[u8; 32]> =
            (0..500).map(|index| *interop_secret_key(index)).collect();
        assert_eq!(keys.len(), 500);
        assert!(keys.iter().all(|key| *key < GROUP_ORDER));
    }

    #[test]
    fn subtraction_borrows_across_bytes() {
        let mut number = [0; 32];
        number[29] = 1;
        let mut one = [0; 32];
        one[31] = 1;
        subtract(&mut number, &one);
        assert_eq!(number[29..], [0, 0xff, 0xff]);
    }
}
