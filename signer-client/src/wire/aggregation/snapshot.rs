//! What a job is given: a self-contained snapshot of signatures and partial aggregates.

use serde::{Deserialize, Serialize};

use super::SignAggregate;
use crate::wire::{
    AttestationData, Fork, ForkInfo, HexBytes, PublicKey, QuotedU64, Root, Signature, Slot,
};

/// The body of `POST /midslot/v1/aggregation/jobs`.
///
/// Two requests that say the same are one job; `deadline`, `lane` and `on_busy` do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationRequest {
    /// Chain and fork of the slot.
    pub fork_info: ForkInfo,
    /// The slot's fork, for networks whose fork versions the signer does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork_name: Option<Fork>,
    /// The slot of every group.
    pub slot: Slot,
    /// A number of the caller's choice that makes two otherwise equal requests two jobs.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// Until when the result is worth something; the signer's default without one.
    #[serde(flatten)]
    pub deadline: Option<AggregationDeadline>,
    /// The lane; jobs of one lane displace each other. The signer's default without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// What becomes of it when the lane is busy.
    pub on_busy: OnBusy,
    /// How to prove the groups.
    pub options: AggregationOptions,
    /// The groups: the first is proved first. At most 64.
    pub groups: Vec<AggregationGroup>,
}

impl AggregationRequest {
    /// A job with the signer's defaults.
    pub fn new(fork_info: ForkInfo, slot: Slot, groups: Vec<AggregationGroup>) -> Self {
        Self {
            fork_info,
            fork_name: None,
            slot,
            attempt: 0,
            deadline: None,
            lane: None,
            on_busy: OnBusy::default(),
            options: AggregationOptions::default(),
            groups,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Until when a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AggregationDeadline {
    /// Milliseconds after its submission.
    #[serde(rename = "deadline_ms")]
    AfterMs(QuotedU64),
    /// Milliseconds since 1970.
    #[serde(rename = "deadline_unix_ms")]
    AtUnixMs(QuotedU64),
}

/// What becomes of a job when its lane has one running and one pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// It takes the place of the pending one, unless that is for a later slot.
    #[default]
    Replace,
    /// It is refused.
    Reject,
}

/// How to prove groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregationOptions {
    /// What is verified.
    pub verify: Verify,
    /// What becomes of aggregates that share positions.
    pub overlap: Overlap,
    /// Aggregates of fewer positions are not released.
    pub min_coverage: u16,
    /// Which entries the result lists.
    pub report: Report,
}

/// What is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// The aggregate; entries only when it fails.
    #[default]
    Aggregate,
    /// Every entry, and the aggregate.
    Each,
    /// Nothing: the result is marked so, and is never signed.
    None,
}

/// What becomes of aggregates that share positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The best set of aggregates that share none is taken.
    #[default]
    Disjoint,
    /// Shared positions whose single signatures are known are subtracted once.
    Subtract,
}

/// Which entries a result lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// All of them.
    #[default]
    All,
    /// Those that are rejected or not in the aggregate.
    Failed,
    /// None: only how many.
    None,
}

/// One message, and the signatures on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationGroup {
    /// What was signed.
    #[serde(flatten)]
    pub subject: AggregationSubject,
    /// The public keys by position. Those that are not known are `None`; none at all behind the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pubkeys: Vec<Option<PublicKey>>,
    /// In place of `pubkeys`: the SHA-256 of a table that was put before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubkey_table: Option<Root>,
    /// Signatures of single validators. At most 2048.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub singles: Vec<AggregationSingle>,
    /// Partial aggregates, such as the answers of several beacon nodes. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<AggregationChild>,
    /// Who signs the aggregate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<SignAggregate>,
}

impl AggregationGroup {
    /// A group with nothing in it yet.
    pub const fn new(subject: AggregationSubject) -> Self {
        Self {
            subject,
            pubkeys: Vec::new(),
            pubkey_table: None,
            singles: Vec::new(),
            children: Vec::new(),
            sign: None,
        }
    }
}

/// What the members of a group signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AggregationSubject {
    /// The vote of one committee. Bits are a bitlist.
    Attestation {
        /// The vote.
        data: AttestationData,
        /// The committee of the slot; before Electra it is in `data` as well.
        committee_index: QuotedU64,
        /// Members of the committee.
        committee_len: QuotedU64,
    },
    /// The head as a part of the sync committee sees it. Bits are a bitvector.
    SyncContribution {
        /// The head.
        beacon_block_root: Root,
        /// The part, 0 to 3.
        subcommittee_index: QuotedU64,
    },
    /// Anything, by its signing root. Bits are a bitlist.
    Raw {
        /// What was signed.
        signing_root: Root,
        /// The number of positions.
        bits_len: QuotedU64,
    },
}

/// The signature of one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationSingle {
    /// Where it sits in the committee.
    pub pos: GroupPositions,
    /// What it signed.
    pub signature: Signature,
    /// Its key, where the group does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<PublicKey>,
    /// The caller's name of it, at most 64 bytes: it comes back with the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl AggregationSingle {
    /// The signature of the validator at that position.
    pub const fn new(position: u16, signature: Signature) -> Self {
        Self { pos: GroupPositions::One(position), signature, pubkey: None, tag: None }
    }
}

/// Where a validator sits in a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GroupPositions {
    /// At one position.
    One(u16),
    /// At several positions of a sync subcommittee.
    Several(Vec<u16>),
}

/// A partial aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationChild {
    /// Who signed: the bytes of the SSZ bitlist or bitvector.
    pub bits: HexBytes,
    /// Their signatures, added up.
    pub signature: Signature,
    /// The caller's name of it, at most 64 bytes: it comes back with the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}
