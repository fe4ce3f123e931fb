//! What a caller knows of one message: raw signatures, partial aggregates and public keys.
//!
//! A group owns plain bytes and nothing else. Whatever else the caller frees or changes while a
//! worker proves, nothing in here can dangle or differ: points are decoded from these bytes by the
//! one that uses them.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use crate::bits::{Bits, BitsLen};

/// One message and all that is claimed to be signed on it.
#[derive(Clone, Debug)]
pub struct Group {
    /// What was signed: the signing root, 32 bytes.
    pub message: [u8; 32],
    /// How many positions the committee has.
    pub bits_len: BitsLen,
    /// The public keys of the positions.
    pub keys: Arc<KeyTable>,
    /// Signatures of single validators, in any order.
    pub singles: Vec<Single>,
    /// Aggregates that exist already, in any order.
    pub children: Vec<Child>,
}

/// The public keys of a committee, by position. Positions behind its end have no key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTable(pub Vec<KeyBytes>);

impl KeyTable {
    /// The key of a position.
    pub fn get(&self, position: u16) -> KeyBytes {
        self.0.get(usize::from(position)).copied().unwrap_or(KeyBytes::Missing)
    }
}

/// A public key as the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBytes {
    /// None was given: what is signed by this position cannot be verified.
    Missing,
    /// 48 bytes, a compressed point of G1 if it is one.
    Compressed([u8; 48]),
    /// Something was given that is not 48 bytes.
    Unreadable,
}

/// A signature as the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureBytes {
    /// 96 bytes, a compressed point of G2 if it is one.
    Compressed([u8; 96]),
    /// Another number of bytes.
    WrongLength,
    /// No bytes at all, such as text that is not hexadecimal.
    Unreadable,
}

impl SignatureBytes {
    /// What these bytes are.
    pub fn from_slice(bytes: &[u8]) -> Self {
        bytes.try_into().map_or(Self::WrongLength, Self::Compressed)
    }
}

/// The signature of one validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// Where the validator sits.
    pub positions: Positions,
    /// What it signed.
    pub signature: SignatureBytes,
}

/// Where a validator sits in the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Positions {
    /// At one position, as everywhere but in sync committees.
    One(u16),
    /// At several positions of a sync subcommittee: its signature counts once for each. The
    /// positions differ and have the same public key.
    Several(Box<[u16]>),
}

impl Positions {
    /// All of them, in the caller's order.
    pub fn as_slice(&self) -> &[u16] {
        match self {
            Self::One(position) => core::slice::from_ref(position),
            Self::Several(positions) => positions,
        }
    }
}

/// A partial aggregate that exists already: the sum of the signatures of its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Who signed. `None` if the bytes were no bit field of any length.
    pub bits: Option<Bits>,
    /// Their signatures, added up.
    pub signature: SignatureBytes,
}
