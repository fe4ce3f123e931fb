//! A snapshot: everything that one job needs, taken from a request's body and checked.
//!
//! `json` and `ssz` read the two forms of one schema into an [`envelope`]; `check` turns it into a
//! [`Snapshot`] and says what is wrong with it, `entries` what with a single or child; `identity`
//! gives it its name. A bad single or child is no error: it keeps its place, with a note of what is
//! wrong, and spoils nothing else. What is wrong with the envelope (everything around the entries)
//! refuses the whole.
//!
//! Invariant: a snapshot owns its bytes and never changes. The worker decodes points from them, so
//! nothing that a caller, a cache or another job does can reach into a running job.

mod check;
mod entries;
mod envelope;
mod error;
mod identity;
mod json;
mod json_entries;
mod ssz;

use std::{collections::BTreeMap, time::Duration};

use midslot_aggregation::{Entry, Group, Options, RejectReason};
use signer_client::wire::{AttestationData, Fork, ForkInfo, PublicKey, Root, Signature, Slot};

pub(crate) use self::json::{reason as json_reason, shortened};
pub use self::{
    check::Surroundings,
    error::{Fault, SnapshotError},
    identity::JobId,
};

/// Most groups of a job.
pub const MAX_GROUPS: usize = 64;
/// Most singles of a group.
pub const MAX_SINGLES: usize = 2048;
/// Most children of a group.
pub const MAX_CHILDREN: usize = 16;
/// Most positions of one single: all of a payload timeliness committee or of a sync committee.
pub const MAX_POSITIONS_OF_SINGLE: usize = 512;
/// Longest tag of an entry, in bytes.
pub const MAX_TAG_BYTES: usize = 64;
/// Longest name of a lane, in bytes.
pub const MAX_LANE_BYTES: usize = 64;
/// Longest time that a job may have, in milliseconds: one slot of mainnet.
pub const MAX_DEADLINE_MS: u64 = 12_000;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/octet-stream`.
    Ssz,
}

/// A job as it was submitted.
#[derive(Debug)]
pub struct Submission {
    /// Name of the snapshot.
    pub id: JobId,
    /// What is to be proved.
    pub snapshot: Snapshot,
    /// How, which is no part of the job's name.
    pub delivery: Delivery,
}

/// When and where a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Until when, if the caller said so.
    pub deadline: Option<Deadline>,
    /// The lane; jobs of one lane displace each other.
    pub lane: String,
    /// What becomes of it when the lane is busy.
    pub on_busy: OnBusy,
}

/// Until when a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// So long after its submission.
    After(Duration),
    /// Until this time, in milliseconds since 1970.
    AtUnixMs(u64),
}

/// What becomes of a job when its lane has one running and one pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// It takes the place of the pending one, unless that is for a later slot.
    #[default]
    Replace,
    /// It is refused.
    Reject,
}

/// What is to be proved. `'static`: it borrows nothing.
#[derive(Debug)]
pub struct Snapshot {
    /// Where the messages are signed.
    pub fork_info: ForkInfo,
    /// The fork of the slot.
    pub fork: Fork,
    /// The slot that all groups belong to.
    pub slot: Slot,
    /// A number of the caller's choice that makes two otherwise equal snapshots two jobs.
    pub attempt: u32,
    /// How to prove each group.
    pub options: Options,
    /// Aggregates of fewer positions are not released.
    pub min_coverage: u16,
    /// Which entries the result lists.
    pub report: Report,
    /// The groups, in the caller's order: the first is proved first.
    pub groups: Vec<SnapshotGroup>,
}

/// Which entries a result lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// All of them.
    #[default]
    All,
    /// Those that are rejected or not in the aggregate.
    Failed,
    /// None.
    None,
}

/// One message, and the signatures on it.
#[derive(Debug)]
pub struct SnapshotGroup {
    /// What the message is.
    pub subject: Subject,
    /// The message and its entries, each in the caller's place.
    pub inputs: Group,
    /// What was wrong with entries when they were read.
    pub notes: BTreeMap<Entry, Note>,
    /// The caller's names of entries.
    pub tags: BTreeMap<Entry, Box<str>>,
    /// What to sign once the group is verified.
    pub sign: Option<SignWish>,
}

/// What was wrong with an entry when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The reason in the result.
    pub reason: RejectReason,
    /// The same for people.
    pub detail: String,
}

/// What a group's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The vote of one committee. Bits are an SSZ bitlist.
    Attestation {
        /// The vote, unless only its signing root is known.
        data: Option<AttestationData>,
        /// The committee of the slot.
        committee_index: u64,
    },
    /// The head as a part of the sync committee sees it. Bits are an SSZ bitvector.
    SyncContribution {
        /// The head.
        beacon_block_root: Root,
        /// The part, 0 to 3.
        subcommittee_index: u64,
    },
    /// Anything. Bits are an SSZ bitlist.
    Raw,
}

/// The aggregate to be signed as well, by a key of this signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignWish {
    /// The key of the aggregator.
    pub aggregator_pubkey: PublicKey,
    /// Index of the aggregator in the validator registry.
    pub aggregator_index: u64,
    /// Its selection proof, unless it is to be made.
    pub selection_proof: Option<Signature>,
    /// Whether to sign anew what was signed before.
    pub resign: bool,
}

impl Snapshot {
    /// Number of entries of all groups.
    pub fn entries(&self) -> usize {
        self.groups.iter().map(SnapshotGroup::entries).sum()
    }

    /// Number of entries of all groups with nothing wrong when they were read.
    pub fn accepted_entries(&self) -> usize {
        self.groups.iter().map(|group| group.entries() - group.notes.len()).sum()
    }
}

impl SnapshotGroup {
    /// Number of singles and children.
    pub fn entries(&self) -> usize {
        self.inputs.singles.len() + self.inputs.children.len()
    }
}

/// Reads a submission. Takes 10 to 100 ms for the largest bodies.
///
/// # Errors
/// When the envelope is malformed or makes no sense here; never for an entry.
pub fn read(
    body: &[u8],
    format: Format,
    surroundings: &Surroundings<'_>,
) -> Result<Submission, SnapshotError> {
    let envelope = match format {
        Format::Json => json::read(body)?,
        Format::Ssz => ssz::read(body)?,
    };
    check::check(envelope, surroundings)
}
