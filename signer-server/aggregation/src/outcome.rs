//! What became of a group and of each of its entries.
//!
//! Every entry is in exactly one of the four lists of [`GroupOutcome`]. What is used, covered or
//! rejected the caller may delete; what is kept it must keep, or its positions are lost.

use alloc::vec::Vec;

use crate::{bits::Bits, checkpoint::StopReason};

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOutcome {
    /// How it ended.
    pub end: GroupEnd,
    /// The best aggregate there is; `None` if no entry was good, or if the group did not complete.
    pub aggregate: Option<Aggregate>,
    /// Entries that are part of the aggregate.
    pub used: Vec<Entry>,
    /// Entries whose positions are all in the aggregate through others.
    pub covered: Vec<Entry>,
    /// Entries with something wrong.
    pub rejected: Vec<Rejected>,
    /// Entries with nothing known to be wrong that are not in the aggregate.
    pub unprocessed: Vec<Kept>,
    /// What it took. The only part that depends on caches.
    pub counts: Counts,
}

impl GroupOutcome {
    /// The outcome of a group of which no entry was looked at.
    pub fn without_entries(end: GroupEnd) -> Self {
        Self {
            end,
            aggregate: None,
            used: Vec::new(),
            covered: Vec::new(),
            rejected: Vec::new(),
            unprocessed: Vec::new(),
            counts: Counts::default(),
        }
    }
}

/// How a group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEnd {
    /// All entries have been dealt with.
    Complete,
    /// The checkpoint stopped it; there is no aggregate.
    Stopped(StopReason),
    /// The finished aggregate did not verify though all of its parts did: a fault of this program
    /// or of the machine, or keys that cancel each other out, which keys with a proof of possession
    /// cannot. Nothing is released and every good entry is kept.
    SelfCheckFailed,
}

/// Signatures of several positions, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Who signed.
    pub bits: Bits,
    /// Compressed point of G2, 96 bytes.
    pub signature: [u8; 96],
    /// Whether `signature` has been verified against exactly `bits`. Only then may it be signed or
    /// published.
    pub verified: bool,
}

/// An entry of a group, by its place in the caller's list. Singles come before children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// In [`Group::singles`](crate::Group::singles).
    Single(usize),
    /// In [`Group::children`](crate::Group::children).
    Child(usize),
}

/// An entry with something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which one.
    pub entry: Entry,
    /// What is wrong.
    pub reason: RejectReason,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// The signature is not 96 bytes long.
    BadLength,
    /// The signature cannot be read, or is no canonical compressed point: wrong flags, or a
    /// coordinate that is not below the modulus.
    BadEncoding,
    /// The signature is no point of the curve.
    NotOnCurve,
    /// The signature is a point of the curve outside the group of prime order.
    NotInGroup,
    /// The signature is the point at infinity, which nobody's signature is.
    Infinity,
    /// A single has no position, or one from the group's length on.
    PositionOutOfRange,
    /// The same signature for the same positions is there before, or a single names one of its
    /// positions twice.
    Duplicate,
    /// Another signature was taken for its position: the one that verified or, if nothing is
    /// verified, the first in order. Or its positions have different keys.
    Conflict,
    /// There is no public key for one of its positions.
    PubkeyMissing,
    /// The public key of one of its positions is no valid key.
    PubkeyInvalid,
    /// Its positions did not sign this message so.
    InvalidSignature,
    /// A child's bit field is unreadable or has another length than the group.
    ChildBitsLength,
    /// A child has no position.
    ChildEmpty,
}

/// An entry that is neither in the aggregate nor wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which one.
    pub entry: Entry,
    /// Why it is not in the aggregate.
    pub reason: KeepReason,
}

/// Why an entry that may be good is not in the aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeepReason {
    /// A child shares positions with better ones and cannot be merged with them; it has positions
    /// that the aggregate has not.
    Overlap,
    /// The deadline came first.
    Deadline,
    /// The job was cancelled.
    Cancelled,
    /// The group ended with [`GroupEnd::SelfCheckFailed`].
    SelfCheckFailed,
}

/// What a group took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Singles and children.
    pub entries: u32,
    /// Signatures and public keys decoded from their bytes.
    pub decompressed: u32,
    /// Signatures and public keys that the cache had.
    pub cache_hits: u32,
    /// Checks of two pairings each, of all kinds.
    pub pairings: u32,
    /// Those of them that were made to find out which entries are false, after a first one failed.
    pub bisect_checks: u32,
}
