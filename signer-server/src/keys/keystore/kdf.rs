//! Key derivation from a password, with bounds that are checked before anything is allocated.

use zeroize::Zeroizing;

use super::{KeystoreError, Password};

/// Bound on `128 * n * r * p` of scrypt, in bytes: four times the usual cost (n = 262144, r = 8).
const MAX_SCRYPT_COST_BYTES: u64 = 1 << 30;
/// Bound on the rounds of PBKDF2: 256 times the usual cost, some ten seconds.
const MAX_PBKDF2_ROUNDS: u32 = 1 << 26;

/// The first 16 bytes are the key of the cipher, the other 16 go into the checksum.
pub(super) type DerivedKey = Zeroizing<[[u8; 16]; 2]>;

/// A key derivation function and its cost (EIP-2335, "KDF").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KdfParameters {
    /// scrypt (RFC 7914).
    Scrypt {
        /// Cost: a power of two above one. Takes `128 * n * r` bytes of memory.
        n: u64,
        /// Block size in units of 128 bytes.
        r: u32,
        /// Repetitions.
        p: u32,
    },
    /// PBKDF2 with HMAC-SHA-256 (RFC 8018).
    Pbkdf2 {
        /// Iterations, `c` in the keystore.
        rounds: u32,
    },
}

impl KdfParameters {
    /// scrypt with the cost that EIP-2335 shows: 256 MiB and about 0.75 s.
    pub const SCRYPT_STANDARD: Self = Self::Scrypt { n: 1 << 18, r: 8, p: 1 };
    /// PBKDF2 with the cost that EIP-2335 shows: about 40 ms.
    pub const PBKDF2_STANDARD: Self = Self::Pbkdf2 { rounds: 1 << 18 };

    /// Refuses parameters that the function does not allow or that cost more than the bounds.
    pub(super) fn check(self) -> Result<Self, KeystoreError> {
        let refuse = |member, rule| Err(KeystoreError::OutOfBounds { member, rule });
        match self {
            Self::Scrypt { n, r, p } => {
                if n < 2 || !n.is_power_of_two() {
                    return refuse("crypto.kdf.params.n", "a power of two above 1");
                }
                if r == 0 {
                    return refuse("crypto.kdf.params.r", "at least 1");
                }
                if p == 0 {
                    return refuse("crypto.kdf.params.p", "at least 1");
                }
                let cost = 128_u64
                    .checked_mul(n)
                    .and_then(|cost| cost.checked_mul(r.into()))
                    .and_then(|cost| cost.checked_mul(p.into()));
                if cost.is_none_or(|cost| cost > MAX_SCRYPT_COST_BYTES) {
                    return refuse(
                        "crypto.kdf.params",
                        "such that 128 * n * r * p is at most 1 GiB (1073741824)",
                    );
                }
            }
            Self::Pbkdf2 { rounds } => {
                if !(1..=MAX_PBKDF2_ROUNDS).contains(&rounds) {
                    return refuse("crypto.kdf.params.c", "from 1 to 67108864");
                }
            }
        }
        Ok(self)
    }

    /// Memory that the derivation takes while it runs, in bytes.
    pub(super) fn memory_bytes(self) -> u64 {
        match self {
            // The table of n blocks, the p blocks that are mixed, and one scratch block.
            Self::Scrypt { n, r, p } => {
                let blocks = n.saturating_add(p.into()).saturating_add(1);
                blocks.saturating_mul(128).saturating_mul(r.into())
            }
            Self::Pbkdf2 { .. } => 0,
        }
    }

    /// Derives 32 bytes. Both functions give the same first 32 bytes for every longer `dklen`, so
    /// no other length is ever computed.
    pub(super) fn derive(
        self,
        password: &Password,
        salt: &[u8],
    ) -> Result<DerivedKey, KeystoreError> {
        let mut derived = DerivedKey::default();
        let output = derived.as_flattened_mut();
        match self.check()? {
            Self::Scrypt { n, r, p } => {
                let out_of_bounds = || KeystoreError::OutOfBounds {
                    member: "crypto.kdf.params",
                    rule: "parameters that scrypt allows",
                };
                let log_n = u8::try_from(n.ilog2()).map_err(|_| out_of_bounds())?;
                let parameters = scrypt::Params::new(log_n, r, p).map_err(|_| out_of_bounds())?;
                scrypt::scrypt(password.as_bytes(), salt, &parameters, output)
                    .map_err(|_| out_of_bounds())?;
            }
            Self::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<pbkdf2::sha2::Sha256>(
                    password.as_bytes(),
                    salt,
                    rounds,
                    output,
                );
            }
        }
        Ok(derived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked_without_overflow() {
        use KdfParameters::{Pbkdf2, Scrypt};
        for good in [
            KdfParameters::SCRYPT_STANDARD,
            KdfParameters::PBKDF2_STANDARD,
            Scrypt { n: 2, r: 1, p: 1 },
            Scrypt { n: 1 << 20, r: 8, p: 1 },
            Pbkdf2 { rounds: 1 },
        ] {
            assert!(good.check().is_ok(), "{good:?}");
        }
        for bad in [
            Scrypt { n: 0, r: 8, p: 1 },
            Scrypt { n: 1, r: 8, p: 1 },
            Scrypt { n: 3, r: 8, p: 1 },
            Scrypt { n: 4, r: 0, p: 1 },
            Scrypt { n: 4, r: 8, p: 0 },
            Scrypt { n: 1 << 20, r: 8, p: 2 },
            Scrypt { n: 1 << 63, r: u32::MAX, p: u32::MAX },
            Pbkdf2 { rounds: 0 },
            Pbkdf2 { rounds: u32::MAX },
        ] {
            assert!(matches!(bad.check(), Err(KeystoreError::OutOfBounds { .. })), "{bad:?}");
            assert!(bad.derive(&Password::new("a"), b"salt").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn memory_follows_the_parameters() {
        let needed = KdfParameters::SCRYPT_STANDARD.memory_bytes();
        assert_eq!(needed, (256 << 20) + 2 * 1024);
        assert_eq!(KdfParameters::PBKDF2_STANDARD.memory_bytes(), 0);
    }
}
