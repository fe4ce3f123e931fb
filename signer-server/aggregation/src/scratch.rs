//! Buffers that live from group to group.

use alloc::vec::Vec;

use crate::{
    backend::{Backend, Bls},
    bits::Bits,
    cache::{DecodedSignature, ValidKey},
    outcome::{Entry, RejectReason},
};

/// Buffers that live from group to group, so that a worker that keeps one allocates nothing for its
/// working set after the largest group it has met. Holds no result: a new one gives the same outcome.
#[derive(Debug)]
pub struct Scratch<B: Backend = Bls> {
    /// What is known of the key of each position.
    pub(crate) keys: Vec<KeyState<B>>,
    /// The entries that are well-formed, in canonical order, singles first.
    pub(crate) candidates: Vec<Candidate<B>>,
    /// The singles, those with the same signature side by side.
    pub(crate) by_signature: Vec<usize>,
    /// The single that stands for each position.
    pub(crate) owners: Vec<Option<usize>>,
    /// Live children with their positions.
    pub(crate) children: Vec<(usize, Bits)>,
    /// Those of them that were chosen.
    pub(crate) chosen: Vec<usize>,
    /// Parts of a sum, and what is taken away from it.
    pub(crate) added: Vec<B::Signature>,
    pub(crate) removed: Vec<B::Signature>,
    /// Keys of a sum.
    pub(crate) summed_keys: Vec<B::Key>,
    pub(crate) suspects: Suspects<B>,
}

/// What is vetted together, as slices that match.
#[derive(Debug)]
pub(crate) struct Suspects<B: Backend> {
    pub(crate) candidates: Vec<usize>,
    pub(crate) keys: Vec<B::Key>,
    pub(crate) signatures: Vec<B::Signature>,
    /// 8 bytes for each.
    pub(crate) blinds: Vec<u8>,
    pub(crate) spans: Vec<Span>,
}

/// Suspects from one place to another that wait for a check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: SpanKind,
}

/// What is known of a span before its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanKind {
    /// Nothing.
    Unknown,
    /// It is the left half of a span that failed; the right half lies beneath it.
    LeftHalf,
    /// It fails, because the whole did and the left half did not.
    False,
}

/// What is known of a position's key.
#[derive(Debug)]
pub(crate) enum KeyState<B: Backend> {
    /// Nobody asked yet.
    Unread,
    Bad(RejectReason),
    Valid(ValidKey<B>),
}

/// A well-formed entry.
#[derive(Debug)]
pub(crate) struct Candidate<B: Backend> {
    pub(crate) entry: Entry,
    /// The positions that it stands for.
    pub(crate) bits: Bits,
    pub(crate) bytes: [u8; 96],
    pub(crate) decoded: Option<DecodedSignature<B>>,
    /// What is wrong with it, once that is known.
    pub(crate) fault: Option<RejectReason>,
    /// Whether another signature claims one of its positions.
    pub(crate) contested: bool,
    /// Whether it is known to be valid by itself.
    pub(crate) valid: bool,
}

impl<B: Backend> Candidate<B> {
    pub(crate) fn is_child(&self) -> bool {
        matches!(self.entry, Entry::Child(_))
    }

    /// Not known to be wrong.
    pub(crate) fn is_live(&self) -> bool {
        self.fault.is_none()
    }
}

impl<B: Backend> Default for Scratch<B> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            candidates: Vec::new(),
            by_signature: Vec::new(),
            owners: Vec::new(),
            children: Vec::new(),
            chosen: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            summed_keys: Vec::new(),
            suspects: Suspects {
                candidates: Vec::new(),
                keys: Vec::new(),
                signatures: Vec::new(),
                blinds: Vec::new(),
                spans: Vec::new(),
            },
        }
    }
}

impl<B: Backend> Scratch<B> {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}
