//! What a job answers: how it stands, and what became of each group and entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::GroupSigning;
use crate::wire::{HexBytes, Root, Signature, Slot};

/// A job that was taken, or that was there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedJob {
    /// Its name: the same for the same snapshot.
    pub job_id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it ended so, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<JobReason>,
    /// Jobs of its lane before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// Entries with nothing wrong when they were read.
    pub accepted_entries: usize,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregationJob {
    /// Its name.
    pub job_id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it ended so; only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<JobReason>,
    /// Whether every group was dealt with; only of a job that ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// The job that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Its slot.
    pub slot: Slot,
    /// Its lane.
    pub lane: String,
    /// Entries of all groups.
    pub entries: usize,
    /// Entries with nothing wrong when they were read.
    pub accepted_entries: usize,
    /// The groups that are finished, in the order of the request.
    pub groups: Vec<GroupReport>,
    /// What became of the groups that were to be signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<GroupSigning>,
    /// Where the time went, in milliseconds, by phase.
    #[serde(default)]
    pub phases_ms: BTreeMap<String, f64>,
}

impl AggregationJob {
    /// The result of the group at that place of the request.
    pub fn group(&self, place: usize) -> Option<&GroupReport> {
        self.groups.iter().find(|report| report.group == place)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of_variant])* $variant,)*
            /// One that this version does not know.
            #[serde(other)]
            Other,
        }
    };
}

named!(
    /// Where a job stands.
    JobStatus {
        /// It waits for its turn.
        Queued,
        /// It is being worked on.
        Running,
        /// It ran; what is finished of it is in the result.
        Done,
        /// Somebody cancelled it.
        Cancelled,
        /// Its deadline came before a group was finished.
        Expired,
        /// Every group failed inside.
        Failed,
        /// It did no work.
        Dropped,
    }
);

impl JobStatus {
    /// Whether it will not change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

named!(
    /// Why a job ended as it did.
    JobReason {
        /// Every group was dealt with.
        Complete,
        /// The deadline came.
        Deadline,
        /// A fault of the signer.
        Internal,
        /// Somebody cancelled it.
        Cancelled,
        /// The deadline came before it was started.
        BeforeStart,
        /// Another one took its place.
        Superseded,
        /// One of a later slot was pending.
        Stale,
        /// The signer was stopped.
        Shutdown,
    }
);

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// It stands there now.
    Status(JobStatus),
    /// A group is finished.
    Group(Box<GroupReport>),
    /// It is over. Nothing comes after this.
    Done(Box<AggregationJob>),
}

/// An event with its place in the life of its job.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedEvent {
    /// Its number, from 0. Who has been cut off goes on behind the last one that it has.
    pub number: u64,
    /// What happened.
    pub event: JobEvent,
}

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Its place in the request, from 0.
    pub group: usize,
    /// How it ended.
    pub status: GroupStatus,
    /// The message that was signed.
    pub signing_root: Root,
    /// The number of its positions.
    pub bits_len: u16,
    /// The aggregate, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<AggregateReport>,
    /// Entries that are part of the aggregate: they may be deleted.
    pub used: ReportedEntries,
    /// Entries whose positions are in the aggregate through others: they may be deleted.
    pub covered: ReportedEntries,
    /// Entries with something wrong: they may be deleted.
    pub rejected: ReportedEntries,
    /// Entries that are not in the aggregate and not known to be wrong: they must be kept.
    pub unprocessed: ReportedEntries,
    /// Where the time went, in milliseconds, by phase.
    #[serde(default)]
    pub phases_ms: BTreeMap<String, f64>,
}

named!(
    /// How a group ended.
    GroupStatus {
        /// There is an aggregate.
        Complete,
        /// No entry was good.
        Empty,
        /// The aggregate has fewer positions than was asked for and is withheld.
        TooFewSigners,
        /// The deadline came first.
        Deadline,
        /// The job was cancelled.
        Cancelled,
        /// The aggregate did not verify and is withheld.
        SelfCheckFailed,
        /// A fault of the signer.
        Internal,
    }
);

/// Signatures of several positions, added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateReport {
    /// Who signed: the bytes of an SSZ bitlist, or of a bitvector for sync contributions.
    pub bits: HexBytes,
    /// Their signatures, added up.
    pub signature: Signature,
    /// Whether the signature was verified against exactly these bits.
    pub verified: bool,
    /// Number of its positions.
    pub coverage: u32,
    /// How many of them the best partial aggregate of the request does not have.
    pub gained: u32,
}

/// Entries with one verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedEntries {
    /// How many.
    pub count: usize,
    /// Which, unless the request said that it does not want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryReport>>,
}

/// An entry with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReport {
    /// In which list of the group it is.
    pub kind: EntryKind,
    /// Its place there, from 0.
    pub index: usize,
    /// The caller's name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Why it is rejected or unprocessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EntryReason>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// `singles`.
    Single,
    /// `children`.
    Child,
}

named!(
    /// Why an entry is rejected, or not in the aggregate.
    EntryReason {
        /// The signature is not 96 bytes long.
        BadLength,
        /// Something of it can't be read.
        BadEncoding,
        /// The signature is no point of the curve.
        NotOnCurve,
        /// The signature is outside of the group of prime order.
        NotInGroup,
        /// The signature is the point at infinity.
        Infinity,
        /// It has no position, or one behind the end.
        PositionOutOfRange,
        /// It is there before.
        Duplicate,
        /// Another signature was taken for its position, or another key is known for it.
        Conflict,
        /// There is no public key for one of its positions.
        PubkeyMissing,
        /// The public key of one of its positions is none.
        PubkeyInvalid,
        /// Its positions did not sign this.
        InvalidSignature,
        /// Its bits are not those of the group.
        ChildBitsLength,
        /// It has no bit.
        ChildEmpty,
        /// It shares positions with better ones and can't be merged with them.
        Overlap,
        /// The deadline came first.
        Deadline,
        /// The job was cancelled.
        Cancelled,
        /// The aggregate did not verify.
        SelfCheckFailed,
        /// The aggregate has fewer positions than was asked for.
        TooFewSigners,
        /// A fault of the signer.
        Internal,
    }
);

/// What the worker is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregationStatus {
    /// Threads that prove.
    pub threads: usize,
    /// Busy lanes.
    pub lanes: Vec<LaneStatus>,
    /// Jobs that are kept.
    pub jobs: usize,
    /// Tables of public keys.
    pub tables: usize,
    /// Public keys in the cache.
    pub cached_pubkeys: usize,
    /// Signatures in the cache.
    pub cached_signatures: usize,
    /// Jobs that were taken since the start.
    pub accepted: u64,
    /// Of these, those that ended, by how: `done`, `incomplete` (some of its groups are), `cancelled`,
    /// `expired`, `failed`, `dropped`.
    pub ended: BTreeMap<String, u64>,
    /// Jobs that did no work, by why: `superseded`, `stale`, `rejected`, `shutdown`.
    pub dropped: BTreeMap<String, u64>,
    /// Jobs that were not taken, by why: `malformed`, `unprocessable`, `table_unknown`, `busy`,
    /// `overloaded`, `shutdown`, `internal`.
    pub refused: BTreeMap<String, u64>,
}

/// A busy lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The job that runs.
    pub running: Option<String>,
    /// Its slot.
    pub running_slot: Option<Slot>,
    /// The job that comes next.
    pub pending: Option<String>,
    /// Its slot.
    pub pending_slot: Option<Slot>,
}
