//! Why a snapshot is refused as a whole.

use signer_client::wire::{Fork, Slot};

use super::MAX_LANE_BYTES;
use crate::duty::DutyError;

/// Why a snapshot is refused as a whole: what is wrong with the envelope, never with an entry.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The body is not JSON of the schema.
    #[error("the body is no snapshot: {path}: {reason}")]
    Json {
        /// The member that is wrong; a full stop for the body itself.
        path: String,
        /// What is wrong with it, with line and column.
        reason: String,
    },
    /// The body is not SSZ of the schema.
    #[error("the body is no snapshot in SSZ: {place}{source}")]
    Ssz {
        /// The part, with a colon behind it, or nothing for the envelope.
        place: String,
        /// What is wrong with it.
        source: libssz::DecodeError,
    },
    /// A number in SSZ has a value that stands for nothing.
    #[error("the body is no snapshot in SSZ: {place} is {found}")]
    SszValue {
        /// The member.
        place: String,
        /// Its value.
        found: u64,
    },
    /// The schema has another version.
    #[error("version is {found}; only version 1 is known")]
    Version {
        /// The version.
        found: u64,
    },
    /// There is nothing to do.
    #[error("groups is empty")]
    NoGroups,
    /// The fork of the slot hashes aggregates otherwise than the one that is named.
    #[error("fork_name is {claimed}, but fork_info and slot make it {fork}")]
    WrongFork {
        /// The fork that was named.
        claimed: Fork,
        /// That of the slot.
        fork: Fork,
    },
    /// The slot is not the present one or near it.
    #[error("slot {slot} is outside of the window from {first} to {last}")]
    SlotOutsideWindow {
        /// The slot.
        slot: Slot,
        /// First slot that is accepted now.
        first: Slot,
        /// Last slot that is accepted now.
        last: Slot,
    },
    /// The name of a lane is not one.
    #[error("lane must be 1 to {MAX_LANE_BYTES} letters, digits, dots, dashes and underscores")]
    Lane,
    /// The deadline is too far away, or nothing at all.
    #[error("deadline_ms is {found}; it must be from 1 to {max}")]
    Deadline {
        /// What was asked for, in milliseconds.
        found: u64,
        /// Longest time that a job may have, in milliseconds.
        max: u64,
    },
    /// The number of positions is not possible.
    #[error("groups[{group}].{member} is {found}; it must be from 1 to 2048")]
    Positions {
        /// Place of the group, from 0.
        group: usize,
        /// The member.
        member: &'static str,
        /// The number.
        found: u64,
    },
    /// There is no such subcommittee.
    #[error(
        "groups[{group}].subcommittee_index: there is no subcommittee {found}; they are 0 to 3"
    )]
    Subcommittee {
        /// Place of the group, from 0.
        group: usize,
        /// The index.
        found: u64,
    },
    /// There is no such committee.
    #[error("groups[{group}].committee_index is {found}; a slot has at most {max} committees")]
    Committee {
        /// Place of the group, from 0.
        group: usize,
        /// The index.
        found: u64,
        /// Most committees of a slot.
        max: usize,
    },
    /// The vote is for another slot.
    #[error("groups[{group}].data.slot is {found}, not the snapshot's slot {slot}")]
    OtherSlot {
        /// Place of the group, from 0.
        group: usize,
        /// Slot of the vote.
        found: Slot,
        /// Slot of the snapshot.
        slot: Slot,
    },
    /// The index of the vote does not fit fork and committee.
    #[error("groups[{group}].data.index is {found}; {expected}")]
    DataIndex {
        /// Place of the group, from 0.
        group: usize,
        /// The index.
        found: u64,
        /// What it must be.
        expected: &'static str,
    },
    /// The message can't be signed in this fork.
    #[error("groups[{group}]: {source}")]
    Duty {
        /// Place of the group, from 0.
        group: usize,
        /// Why.
        source: DutyError,
    },
    /// Two groups are for the same message and committee.
    #[error("groups[{group}] is for the same message and committee as groups[{first}]")]
    SameSubject {
        /// Place of the second, from 0.
        group: usize,
        /// Place of the first.
        first: usize,
    },
    /// More keys are given than there are positions.
    #[error("groups[{group}].{member} has {found} keys for {positions} positions")]
    TooManyKeys {
        /// Place of the group, from 0.
        group: usize,
        /// Where the keys were given.
        member: &'static str,
        /// Number of keys.
        found: usize,
        /// Number of positions.
        positions: u16,
    },
    /// A signature is asked for where none can be made.
    #[error("groups[{group}].sign: {reason}")]
    Sign {
        /// Place of the group, from 0.
        group: usize,
        /// Why.
        reason: &'static str,
    },
    /// No such table of public keys is here.
    #[error(
        "table_unknown: groups[{group}].pubkey_table names a table that is not here: put it, then submit again"
    )]
    TableUnknown {
        /// Place of the group, from 0.
        group: usize,
    },
}

/// What kind of refusal an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The body can't be read.
    Malformed,
    /// The body can be read and makes no sense here.
    Unprocessable,
    /// Something that it names is not here.
    TableUnknown,
}

impl SnapshotError {
    /// What kind of refusal it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Json { .. } | Self::Ssz { .. } | Self::SszValue { .. } => Fault::Malformed,
            Self::TableUnknown { .. } => Fault::TableUnknown,
            _ => Fault::Unprocessable,
        }
    }
}
