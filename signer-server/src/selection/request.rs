//! The body of a pre-request: which proofs, for which slots.
//!
//! Everything is checked before anything is signed, and a body that is wrong anywhere is refused as
//! a whole, with the place.

use std::{collections::HashSet, fmt};

use serde::Deserialize;
use signer_client::wire::{ForkInfo, PublicKey, QuotedU64, Slot};

use crate::{
    duty::{Duty, DutyError, Network, selection_proof},
    keys::parse_identifier,
};

/// Subcommittees of a sync committee (consensus-specs, altair `SYNC_COMMITTEE_SUBNET_COUNT`).
const SUBCOMMITTEES: u64 = 4;

/// How much one pre-request may ask for.
#[derive(Clone, Copy, Debug)]
pub struct PreRequestLimits {
    /// Most keys of one slot.
    pub max_keys: usize,
    /// Most proofs of all slots.
    pub max_proofs: usize,
    /// The slots that may be named; `None` when the present slot is not known.
    pub window: Option<Window>,
}

/// The present slot and how far ahead one may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The present slot.
    pub now: Slot,
    /// Most slots after it.
    pub max_slots_ahead: u64,
}

/// A pre-request that makes sense.
#[derive(Debug)]
pub struct PreRequest {
    /// The client waits for the proofs.
    pub wait: bool,
    /// The slots, as the client named them.
    pub slots: Vec<SlotProofs>,
}

/// The proofs of one slot and, for a sync committee, one subcommittee.
#[derive(Debug)]
pub struct SlotProofs {
    /// The slot.
    pub slot: Slot,
    /// The subcommittee; `None` for attestations.
    pub subcommittee_index: Option<QuotedU64>,
    /// What each key signs.
    pub duty: Duty,
    /// The keys, with the text that the client wrote.
    pub keys: Vec<(String, PublicKey)>,
}

/// Why a pre-request was refused. Nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum PreRequestError {
    /// The body is not of the form that the endpoint takes.
    #[error("the body is no pre-request: {path}: {source}")]
    Body {
        /// The member that is wrong; a full stop for the body itself.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// No slot is named.
    #[error("slots is empty")]
    NoSlots,
    /// No key is named for a slot.
    #[error("slots[{place}].identifiers is empty")]
    NoKeys {
        /// Position in `slots`, from 0.
        place: usize,
    },
    /// More keys are named for one slot than it may have.
    #[error("slots[{place}].identifiers names {found} keys; one slot may have {max}")]
    TooManyKeys {
        /// Position in `slots`, from 0.
        place: usize,
        /// Number of keys that were named.
        found: usize,
        /// Largest number that is allowed.
        max: usize,
    },
    /// More proofs are asked for than are kept.
    #[error("{found} proofs are asked for; one pre-request may have {max}")]
    TooManyProofs {
        /// Number of proofs, all slots together.
        found: usize,
        /// Largest number that is allowed.
        max: usize,
    },
    /// A slot lies further ahead than duties are known.
    #[error(
        "slots[{place}].slot: slot {slot} is more than {} slots after the present slot {}",
        window.max_slots_ahead,
        window.now
    )]
    TooFarAhead {
        /// Position in `slots`, from 0.
        place: usize,
        /// The slot.
        slot: Slot,
        /// What was allowed.
        window: Window,
    },
    /// There is no such subcommittee.
    #[error("slots[{place}].subcommittee_index: there is no subcommittee {found}; they are 0 to 3")]
    Subcommittee {
        /// Position in `slots`, from 0.
        place: usize,
        /// The index that was given.
        found: QuotedU64,
    },
    /// The same proofs are asked for in two places.
    #[error("slots[{place}] names {what} again")]
    DuplicateSlot {
        /// Position in `slots`, from 0.
        place: usize,
        /// The slot and the subcommittee.
        what: SlotName,
    },
    /// An identifier is no public key.
    #[error("slots[{place}].identifiers[{index}] is no public key of 48 bytes")]
    Identifier {
        /// Position in `slots`, from 0.
        place: usize,
        /// Position in `identifiers`, from 0.
        index: usize,
    },
    /// A key is named twice for a slot, in whatever case.
    #[error("slots[{place}].identifiers[{index}] names {key} again")]
    DuplicateKey {
        /// Position in `slots`, from 0.
        place: usize,
        /// Position in `identifiers`, from 0.
        index: usize,
        /// The key.
        key: PublicKey,
    },
    /// The slot's fork has no such proofs.
    #[error("slots[{place}]: {source}")]
    Duty {
        /// Position in `slots`, from 0.
        place: usize,
        /// Why.
        source: DutyError,
    },
    /// Proofs can't be kept, so nobody would ever get those that nobody waits for.
    #[error(
        "proofs are kept only when the genesis time of the network is known: ask with \
         \"wait\": true, or add MIDSLOT_GENESIS_TIME (Unix seconds) to the network's file"
    )]
    NoClock,
}

/// A slot and perhaps a subcommittee, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotName(Slot, Option<QuotedU64>);

impl fmt::Display for SlotName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(slot, subcommittee) = self;
        write!(formatter, "slot {slot}")?;
        match subcommittee {
            Some(index) => write!(formatter, " with subcommittee {index}"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    fork_info: ForkInfo,
    wait: bool,
    slots: Vec<SlotBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotBody {
    slot: Slot,
    identifiers: Vec<String>,
    subcommittee_index: Option<QuotedU64>,
}

impl PreRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// For whatever is wrong first.
    pub fn read(
        body: &[u8],
        network: &Network,
        limits: PreRequestLimits,
    ) -> Result<Self, PreRequestError> {
        let Body { fork_info, wait, slots } =
            serde_json::from_slice(body).map_err(|source| located(body, source))?;
        if slots.is_empty() {
            return Err(PreRequestError::NoSlots);
        }
        for (place, slot) in slots.iter().enumerate() {
            let (found, max) = (slot.identifiers.len(), limits.max_keys);
            if found > max {
                return Err(PreRequestError::TooManyKeys { place, found, max });
            }
        }
        let (found, max) =
            (slots.iter().map(|slot| slot.identifiers.len()).sum(), limits.max_proofs);
        if found > max {
            return Err(PreRequestError::TooManyProofs { found, max });
        }
        if !wait && limits.window.is_none() {
            return Err(PreRequestError::NoClock);
        }
        let mut seen = HashSet::new();
        let slots = slots.into_iter().enumerate().map(|(place, slot)| {
            let what = SlotName(slot.slot, slot.subcommittee_index);
            if !seen.insert(what) {
                return Err(PreRequestError::DuplicateSlot { place, what });
            }
            slot.check(place, &fork_info, network, limits.window)
        });
        Ok(Self { wait, slots: slots.collect::<Result<_, _>>()? })
    }
}

impl SlotBody {
    fn check(
        self,
        place: usize,
        fork_info: &ForkInfo,
        network: &Network,
        window: Option<Window>,
    ) -> Result<SlotProofs, PreRequestError> {
        let Self { slot, identifiers, subcommittee_index } = self;
        if let Some(window) = window.filter(|window| window.is_before(slot)) {
            return Err(PreRequestError::TooFarAhead { place, slot, window });
        }
        if let Some(found) = subcommittee_index.filter(|index| index.0 >= SUBCOMMITTEES) {
            return Err(PreRequestError::Subcommittee { place, found });
        }
        if identifiers.is_empty() {
            return Err(PreRequestError::NoKeys { place });
        }
        let duty = selection_proof(network, fork_info, None, slot, subcommittee_index)
            .map_err(|source| PreRequestError::Duty { place, source })?;
        let mut seen = HashSet::with_capacity(identifiers.len());
        let mut keys = Vec::with_capacity(identifiers.len());
        for (index, identifier) in identifiers.into_iter().enumerate() {
            let key = parse_identifier(&identifier)
                .ok_or(PreRequestError::Identifier { place, index })?;
            if !seen.insert(key) {
                return Err(PreRequestError::DuplicateKey { place, index, key });
            }
            keys.push((identifier, key));
        }
        Ok(SlotProofs { slot, subcommittee_index, duty, keys })
    }
}

impl Window {
    /// Whether a slot lies after it.
    fn is_before(self, slot: Slot) -> bool {
        slot.0.checked_sub(self.now.0).is_some_and(|ahead| ahead > self.max_slots_ahead)
    }

    /// Whether a slot lies before it: it has passed.
    pub fn is_after(self, slot: Slot) -> bool {
        slot < self.now
    }
}

/// Names the member that can't be read. Reads the body once more, which a good one never needs.
fn located(body: &[u8], source: serde_json::Error) -> PreRequestError {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let path = serde_path_to_error::deserialize::<_, Body>(&mut deserializer)
        .err()
        .map_or_else(|| ".".to_owned(), |error| error.path().to_string());
    PreRequestError::Body { path, source }
}
