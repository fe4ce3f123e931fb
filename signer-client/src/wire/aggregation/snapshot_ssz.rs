//! A job in SSZ (consensus-specs, simple-serialize): the same as its JSON in half of the size, and
//! without text for the signer to read.
//!
//! The containers below are the schema. A list of at most one element stands for a member that need
//! not be there. 0 in a number that counts from 1, and all zeros in a key or a proof, say the same; so
//! there are a few requests that only JSON can say, and these have no SSZ form.

use libssz::SszEncode as _;
use libssz_derive::SszEncode;

use super::{
    AggregationChild, AggregationDeadline, AggregationGroup, AggregationRequest, AggregationSingle,
    AggregationSubject, GroupPositions, OnBusy, Overlap, Report, SignAggregate, Verify,
};
use crate::wire::{AttestationData, Checkpoint, Epoch, PublicKey, QuotedU64, Root, Slot};

/// The version of the schema.
const VERSION: u64 = 1;

#[derive(SszEncode)]
struct SnapshotSsz {
    version: u64,
    previous_version: [u8; 4],
    current_version: [u8; 4],
    fork_epoch: u64,
    genesis_validators_root: [u8; 32],
    /// 0, or the number of a fork, phase 0 being 1.
    fork_name: u8,
    slot: u64,
    attempt: u32,
    /// In milliseconds; 0 for none.
    deadline_ms: u64,
    /// In milliseconds; 0 for none.
    deadline_unix_ms: u64,
    on_busy: u8,
    verify: u8,
    overlap: u8,
    min_coverage: u16,
    report: u8,
    /// Empty for the usual one.
    lane: Vec<u8>,
    groups: Vec<GroupSsz>,
}

#[derive(SszEncode)]
struct GroupSsz {
    kind: u8,
    /// All zero unless it is an attestation.
    data: AttestationDataSsz,
    /// The signing root, or the block root of a sync contribution.
    root: [u8; 32],
    /// The committee or the subcommittee.
    index: u64,
    /// `committee_len` or `bits_len`.
    positions: u64,
    pubkey_table: Vec<[u8; 32]>,
    /// All zero for a position without a key.
    pubkeys: Vec<[u8; 48]>,
    singles: Vec<SingleSsz>,
    children: Vec<ChildSsz>,
    sign: Vec<SignSsz>,
}

#[derive(SszEncode)]
struct AttestationDataSsz {
    slot: u64,
    index: u64,
    beacon_block_root: [u8; 32],
    source_epoch: u64,
    source_root: [u8; 32],
    target_epoch: u64,
    target_root: [u8; 32],
}

#[derive(SszEncode)]
struct SingleSsz {
    signature: [u8; 96],
    pos: Vec<u16>,
    pubkey: Vec<[u8; 48]>,
    tag: Vec<u8>,
}

#[derive(SszEncode)]
struct ChildSsz {
    signature: [u8; 96],
    bits: Vec<u8>,
    tag: Vec<u8>,
}

#[derive(SszEncode)]
struct SignSsz {
    aggregator_pubkey: [u8; 48],
    aggregator_index: u64,
    /// All zero if it is to be made.
    selection_proof: [u8; 96],
    resign: bool,
}

impl AggregationRequest {
    /// The body of `application/octet-stream`.
    ///
    /// `None` for what only JSON can say: a deadline of 0, an empty lane or tag, a public key or a
    /// selection proof of zeros. None of these is of any use. And for more than the 4 GiB that SSZ has
    /// offsets for.
    pub fn to_ssz_bytes(&self) -> Option<Vec<u8>> {
        let (deadline_ms, deadline_unix_ms) = match self.deadline {
            None => (0, 0),
            Some(AggregationDeadline::AfterMs(QuotedU64(ms))) => (not_zero(ms)?, 0),
            Some(AggregationDeadline::AtUnixMs(QuotedU64(ms))) => (0, not_zero(ms)?),
        };
        let fork = &self.fork_info.fork;
        let snapshot = SnapshotSsz {
            version: VERSION,
            previous_version: *fork.previous_version.as_bytes(),
            current_version: *fork.current_version.as_bytes(),
            fork_epoch: fork.epoch.0,
            genesis_validators_root: *self.fork_info.genesis_validators_root.as_bytes(),
            fork_name: self.fork_name.map_or(0, |fork| 1 + fork as u8),
            slot: self.slot.0,
            attempt: self.attempt,
            deadline_ms,
            deadline_unix_ms,
            on_busy: match self.on_busy {
                OnBusy::Replace => 0,
                OnBusy::Reject => 1,
            },
            verify: match self.options.verify {
                Verify::Aggregate => 0,
                Verify::Each => 1,
                Verify::None => 2,
            },
            overlap: match self.options.overlap {
                Overlap::Disjoint => 0,
                Overlap::Subtract => 1,
            },
            min_coverage: self.options.min_coverage,
            report: match self.options.report {
                Report::All => 0,
                Report::Failed => 1,
                Report::None => 2,
            },
            lane: text(self.lane.as_deref())?,
            groups: self.groups.iter().map(group).collect::<Option<_>>()?,
        };
        u32::try_from(snapshot.encoded_len()).ok()?;
        Some(snapshot.to_ssz())
    }
}

fn group(group: &AggregationGroup) -> Option<GroupSsz> {
    let (kind, data, root, index, positions) = match group.subject {
        AggregationSubject::Attestation { data, committee_index, committee_len } => {
            (0, data, Root::ZERO, committee_index.0, committee_len.0)
        }
        AggregationSubject::SyncContribution { beacon_block_root, subcommittee_index } => {
            (2, NO_DATA, beacon_block_root, subcommittee_index.0, 0)
        }
        AggregationSubject::Raw { signing_root, bits_len } => {
            (3, NO_DATA, signing_root, 0, bits_len.0)
        }
    };
    Some(GroupSsz {
        kind,
        data: AttestationDataSsz {
            slot: data.slot.0,
            index: data.index.0,
            beacon_block_root: *data.beacon_block_root.as_bytes(),
            source_epoch: data.source.epoch.0,
            source_root: *data.source.root.as_bytes(),
            target_epoch: data.target.epoch.0,
            target_root: *data.target.root.as_bytes(),
        },
        root: *root.as_bytes(),
        index,
        positions,
        pubkey_table: group.pubkey_table.iter().map(|table| *table.as_bytes()).collect(),
        pubkeys: group.pubkeys.iter().map(|key| listed_key(key.as_ref())).collect::<Option<_>>()?,
        singles: group.singles.iter().map(single).collect::<Option<_>>()?,
        children: group.children.iter().map(child).collect::<Option<_>>()?,
        sign: group.sign.iter().map(sign).collect::<Option<_>>()?,
    })
}

fn listed_key(key: Option<&PublicKey>) -> Option<[u8; 48]> {
    match key {
        None => Some([0; 48]),
        Some(key) => not_zeros(key.as_bytes()),
    }
}

const NO_DATA: AttestationData = AttestationData {
    slot: Slot(0),
    index: QuotedU64(0),
    beacon_block_root: Root::ZERO,
    source: NO_CHECKPOINT,
    target: NO_CHECKPOINT,
};
const NO_CHECKPOINT: Checkpoint = Checkpoint { epoch: Epoch(0), root: Root::ZERO };

fn single(single: &AggregationSingle) -> Option<SingleSsz> {
    Some(SingleSsz {
        signature: *single.signature.as_bytes(),
        pos: match &single.pos {
            GroupPositions::One(position) => vec![*position],
            GroupPositions::Several(positions) => positions.clone(),
        },
        pubkey: single.pubkey.iter().map(|key| not_zeros(key.as_bytes())).collect::<Option<_>>()?,
        tag: text(single.tag.as_deref())?,
    })
}

fn child(child: &AggregationChild) -> Option<ChildSsz> {
    Some(ChildSsz {
        signature: *child.signature.as_bytes(),
        bits: child.bits.0.clone(),
        tag: text(child.tag.as_deref())?,
    })
}

fn sign(wish: &SignAggregate) -> Option<SignSsz> {
    Some(SignSsz {
        aggregator_pubkey: *wish.aggregator_pubkey.as_bytes(),
        aggregator_index: wish.aggregator_index.0,
        selection_proof: match &wish.selection_proof {
            None => [0; 96],
            Some(proof) => not_zeros(proof.as_bytes())?,
        },
        resign: wish.resign,
    })
}

fn not_zero(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

fn not_zeros<const SIZE: usize>(bytes: &[u8; SIZE]) -> Option<[u8; SIZE]> {
    bytes.iter().any(|byte| *byte != 0).then_some(*bytes)
}

/// A text that need not be there.
fn text(text: Option<&str>) -> Option<Vec<u8>> {
    match text {
        None => Some(Vec::new()),
        Some("") => None,
        Some(text) => Some(text.as_bytes().to_vec()),
    }
}
