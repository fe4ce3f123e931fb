//! The JSON of the signing API, as validator clients send it and the signer answers it.

pub mod primitives;

pub use primitives::{
    Address, Epoch, ForkVersion, HexError, PublicKey, QuotedU64, Root, Signature, Slot,
};
