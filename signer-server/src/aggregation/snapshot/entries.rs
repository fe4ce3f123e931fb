//! Which singles and children can't be used, and why: they keep their places, with a note.

use std::{collections::BTreeMap, sync::Arc};

use midslot_aggregation::{
    Bits, BitsLen, Child, Entry, Group, KeyBytes, KeyTable, Positions, RejectReason,
    SignatureBytes, Single,
};

use super::{
    MAX_POSITIONS_OF_SINGLE, Note,
    envelope::{EnvelopeChild, EnvelopeSingle},
};

/// How a group's bits are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BitsForm {
    List,
    Vector,
}

/// Notes and names of entries, as they are read.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) notes: BTreeMap<Entry, Note>,
    pub(super) tags: BTreeMap<Entry, Box<str>>,
}

impl Entries {
    fn keep(&mut self, entry: Entry, tag: Option<Box<str>>, note: Option<Note>) {
        self.tags.extend(tag.map(|tag| (entry, tag)));
        self.notes.extend(note.map(|note| (entry, note)));
    }

    /// A single, and the key that it brought.
    pub(super) fn single(
        &mut self,
        place: usize,
        single: EnvelopeSingle,
        bits_len: BitsLen,
        several: bool,
    ) -> (Single, Option<KeyBytes>) {
        let EnvelopeSingle { mut positions, signature, pubkey, tag, mut note } = single;
        let count = positions.as_slice().len();
        let most = MAX_POSITIONS_OF_SINGLE.min(bits_len.get().into());
        let too_many = count > most || (count > 1 && !several);
        if too_many && note.is_none() {
            let detail = if several {
                format!("pos names more positions than the {most} that a single can have")
            } else {
                "pos names several positions, which only sync committees and raw groups have"
                    .to_owned()
            };
            note = Some(Note { reason: RejectReason::PositionOutOfRange, detail });
        }
        if too_many {
            positions = Positions::Several(Box::default());
        }
        self.keep(Entry::Single(place), tag, note);
        (Single { positions, signature }, pubkey)
    }

    pub(super) fn child(
        &mut self,
        place: usize,
        child: EnvelopeChild,
        bits_len: BitsLen,
        form: BitsForm,
    ) -> Child {
        let EnvelopeChild { bits, signature, tag, mut note } = child;
        let read = bits.as_ref().and_then(|bytes| match form {
            BitsForm::List => Bits::from_ssz_bitlist(bytes),
            BitsForm::Vector => Bits::from_ssz_bitvector(bytes, bits_len),
        });
        if note.is_none() && read.is_none_or(|bits| bits.len() != bits_len) {
            let expected = match form {
                BitsForm::List => "an SSZ bitlist",
                BitsForm::Vector => "an SSZ bitvector",
            };
            let detail = match bits {
                Some(_) => format!("bits is not {expected} of {} bits", bits_len.get()),
                None => "bits is not hexadecimal".to_owned(),
            };
            note = Some(Note { reason: RejectReason::ChildBitsLength, detail });
        }
        self.keep(Entry::Child(place), tag, note);
        Child { bits: read, signature }
    }

    /// Puts the keys that singles brought beside those that were listed. The list is right where it
    /// says something; where it does not, singles that contradict each other are all refused. What
    /// is wrong with a single anyway says nothing of a position: it must not spoil a good one.
    pub(super) fn settle_claims(&mut self, inputs: &mut Group, claims: &[Option<KeyBytes>]) {
        for (place, claim) in claims.iter().enumerate() {
            if *claim == Some(KeyBytes::Unreadable) {
                let detail = "pubkey is not 48 bytes in hexadecimal".to_owned();
                let note = Note { reason: RejectReason::PubkeyInvalid, detail };
                self.notes.entry(Entry::Single(place)).or_insert(note);
            }
        }
        let claims: Vec<_> = (0..)
            .zip(claims)
            .map(|(place, claim)| claim.filter(|_| !self.notes.contains_key(&Entry::Single(place))))
            .collect();
        let mut claimed: BTreeMap<u16, Claim> = BTreeMap::new();
        for (single, claim) in inputs.singles.iter().zip(&claims) {
            let Some(claim) = claim else { continue };
            for position in single.positions.as_slice() {
                if *position >= inputs.bits_len.get() {
                    continue;
                }
                let known = inputs.keys.get(*position);
                let start = if known == KeyBytes::Missing {
                    Claim::Brought(*claim)
                } else {
                    Claim::Listed(known)
                };
                claimed.entry(*position).or_insert(start).meet(*claim);
            }
        }
        if claimed.is_empty() {
            return;
        }
        let mut keys = inputs.keys.0.clone();
        for (position, claim) in &claimed {
            let place = usize::from(*position);
            if keys.len() <= place {
                keys.resize(place + 1, KeyBytes::Missing);
            }
            if let Claim::Brought(key) = claim {
                keys[place] = *key;
            }
        }
        inputs.keys = Arc::new(KeyTable(keys));
        for (place, (single, claim)) in inputs.singles.iter().zip(&claims).enumerate() {
            let Some(claim) = claim else { continue };
            let contradicted = single.positions.as_slice().iter().find(|position| {
                claimed.get(*position).is_some_and(|settled| !settled.agrees_with(*claim))
            });
            if let Some(position) = contradicted {
                let detail = format!("pubkey contradicts another one for position {position}");
                let note = Note { reason: RejectReason::Conflict, detail };
                self.notes.entry(Entry::Single(place)).or_insert(note);
            }
        }
    }
}

/// What is said of the key of one position.
enum Claim {
    Listed(KeyBytes),
    Brought(KeyBytes),
    Contradicted,
}

impl Claim {
    fn meet(&mut self, other: KeyBytes) {
        if matches!(self, Self::Brought(key) if *key != other) {
            *self = Self::Contradicted;
        }
    }

    fn agrees_with(&self, other: KeyBytes) -> bool {
        match self {
            Self::Listed(key) | Self::Brought(key) => *key == other,
            Self::Contradicted => false,
        }
    }
}

/// What has a note must not come into an aggregate.
pub(super) fn make_unusable(inputs: &mut Group, entry: Entry) {
    match entry {
        Entry::Single(place) => {
            if let SignatureBytes::Compressed(_) = inputs.singles[place].signature {
                inputs.singles[place].signature = SignatureBytes::Unreadable;
            }
        }
        Entry::Child(place) => {
            if let SignatureBytes::Compressed(_) = inputs.children[place].signature {
                inputs.children[place].signature = SignatureBytes::Unreadable;
            }
        }
    }
}
