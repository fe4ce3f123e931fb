//! Everything that left the signers of a test, with its signatures.

use std::collections::{BTreeMap, btree_map::Entry};

use serde_json::Value;

use crate::{
    key_files,
    released::{Proposal, Vote, slashable_proposals, slashable_votes},
    requests, signing_roots,
};

/// A duty that one key may be asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slashable {
    /// An attestation.
    Vote(Vote),
    /// A block.
    Proposal(Proposal),
}

impl Slashable {
    /// Number of the key.
    pub fn key(&self) -> u64 {
        match self {
            Self::Vote(vote) => vote.key,
            Self::Proposal(proposal) => proposal.key,
        }
    }

    /// The signing request.
    pub fn body(&self) -> Value {
        match self {
            Self::Vote(vote) => requests::attestation(vote.source, vote.target, vote.root),
            Self::Proposal(proposal) => requests::block(proposal.slot, proposal.root),
        }
    }

    /// The same duty for another block: never to be signed beside this one.
    #[must_use]
    pub fn conflict(&self) -> Self {
        match *self {
            Self::Vote(vote) => Self::Vote(Vote { root: vote.root ^ 0x80, ..vote }),
            Self::Proposal(proposal) => {
                Self::Proposal(Proposal { root: proposal.root ^ 0x80, ..proposal })
            }
        }
    }

    /// What must be signed, computed without the signer.
    ///
    /// # Panics
    /// Never: the body is this module's own.
    pub fn signing_root(&self) -> [u8; 32] {
        let body = self.body();
        match self {
            Self::Vote(_) => signing_roots::attestation(&body),
            Self::Proposal(_) => signing_roots::block_header(&body),
        }
        .expect("a body of this shape")
    }
}

/// Released signatures.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    signatures: BTreeMap<Slashable, String>,
}

impl Ledger {
    /// Adds a signature that left.
    ///
    /// # Panics
    /// When another signature of the same duty left before: BLS has only one.
    pub fn add(&mut self, duty: Slashable, signature: String) {
        match self.signatures.entry(duty) {
            Entry::Vacant(place) => {
                place.insert(signature);
            }
            Entry::Occupied(earlier) => {
                assert_eq!(*earlier.get(), signature, "two signatures of {duty:?}");
            }
        }
    }

    /// Adds all of another ledger.
    ///
    /// # Panics
    /// As [`Self::add`].
    pub fn merge(&mut self, other: Self) {
        for (duty, signature) in other.signatures {
            self.add(duty, signature);
        }
    }

    /// Duties with their signatures.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Slashable, &String)> {
        self.signatures.iter()
    }

    /// How many different duties were signed.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether nothing left.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// Demands that no two of the duties are slashable.
    ///
    /// # Panics
    /// When two are.
    pub fn assert_not_slashable(&self) {
        let (mut votes, mut proposals) = (Vec::new(), Vec::new());
        for duty in self.signatures.keys() {
            match duty {
                Slashable::Vote(vote) => votes.push(*vote),
                Slashable::Proposal(proposal) => proposals.push(*proposal),
            }
        }
        assert_eq!(slashable_votes(&votes), None);
        assert_eq!(slashable_proposals(&proposals), None);
    }

    /// Demands that each signature is that of its key over its duty.
    ///
    /// # Panics
    /// When one is not.
    pub fn assert_signed(&self) {
        for (duty, signature) in &self.signatures {
            key_files::assert_signed(duty.key(), &duty.signing_root(), signature);
        }
    }
}
