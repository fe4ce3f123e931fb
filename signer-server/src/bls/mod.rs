//! BLS12-381 keys and signatures: minimal public keys, proof-of-possession ciphersuite
//! (consensus-specs, phase0, "BLS signatures").
//!
//! A signature is the message, hashed to a point of the curve, times the secret scalar; each half
//! takes about as long. So the two halves are apart here: a [`MessagePoint`] is made once per
//! signing root by the [`PointCache`] and serves every key that signs the root. A root that many
//! keys sign gets a `point_table` besides, which makes the second half cheaper, too.
//! The scalars of all keys live together in locked memory, which `memory` hands out.
//!
//! The only `unsafe` code of the program is in `curve` (calls into blst) and `memory::page`.

mod curve;
mod memory;
mod message_point;
mod point_cache;
mod point_table;
mod sealed;
mod secret_key;
mod verify;

pub use curve::CIPHERSUITE;
pub use memory::{LockedMemory, locked_memory};
pub use message_point::MessagePoint;
pub use point_cache::{PointCache, PointLookup};
pub use sealed::{Sealed, WrongClearance};
pub use secret_key::{InvalidSecretKey, SecretKey};
pub use verify::verify;
