//! BLS12-381 keys and signatures: minimal public keys, proof-of-possession ciphersuite
//! (consensus-specs, phase0, "BLS signatures").

mod sealed;
mod secret_key;

pub use sealed::{Sealed, WrongClearance};
pub use secret_key::{InvalidSecretKey, SecretKey};

/// Domain separation tag of the ciphersuite (draft-irtf-cfrg-bls-signature, section 4.2.3).
pub const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
