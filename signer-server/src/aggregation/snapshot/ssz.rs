//! The SSZ form of a snapshot: the same schema, half the size, no text to read.
//!
//! The containers below are the schema, in consensus-specs' types. A list of at most one element
//! stands for a member that need not be there; 0 in a number that counts from 1 and all zeros in a key
//! or a proof say the same. Groups and entries are taken apart one by one, so that a bad entry is only
//! a bad one, and every list is bounded before its elements are read.

use std::time::Duration;

use libssz::{DecodeError, SszDecode, decode_list_with_max};
use libssz_derive::SszDecode;
use midslot_aggregation::{
    KeyBytes, MAX_POSITIONS, Overlap, Positions, RejectReason, SignatureBytes, VerifyMode,
};
use signer_client::wire::{
    AttestationData, Checkpoint, Epoch, Fork, ForkInfo, ForkVersion, ForkVersions, PublicKey,
    QuotedU64, Root, Signature, Slot,
};

use super::{
    Deadline, Delivery, MAX_CHILDREN, MAX_GROUPS, MAX_LANE_BYTES, MAX_SINGLES, MAX_TAG_BYTES, Note,
    OnBusy, Report, SignWish, SnapshotError,
    envelope::{
        Envelope, EnvelopeChild, EnvelopeGroup, EnvelopeSingle, EnvelopeSubject, Keys, Vote,
    },
    json::DEFAULT_LANE,
};

const MAX_KEYS: usize = MAX_POSITIONS as usize;
/// A bitlist of the most positions, with its length bit.
const MAX_BITS_BYTES: usize = MAX_KEYS / 8 + 1;

#[derive(SszDecode)]
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
    /// 0 replace, 1 reject.
    on_busy: u8,
    /// 0 aggregate, 1 each, 2 none.
    verify: u8,
    /// 0 disjoint, 1 subtract.
    overlap: u8,
    min_coverage: u16,
    /// 0 all, 1 failed, 2 none.
    report: u8,
    /// Empty for the usual one.
    lane: UpTo<u8, MAX_LANE_BYTES>,
    groups: UpTo<Part, MAX_GROUPS>,
}

#[derive(SszDecode)]
struct GroupSsz {
    /// 0 attestation, 1 attestation by its signing root, 2 sync contribution, 3 raw.
    kind: u8,
    /// All zero unless `kind` is 0.
    data: AttestationDataSsz,
    /// The signing root, or the block root of a sync contribution; all zero if `kind` is 0.
    root: [u8; 32],
    /// The committee or the subcommittee; 0 if `kind` is 3.
    index: u64,
    /// `committee_len` or `bits_len`; 0 if `kind` is 2.
    positions: u64,
    pubkey_table: UpTo<[u8; 32], 1>,
    /// All zero for a position without a key.
    pubkeys: UpTo<[u8; 48], MAX_KEYS>,
    singles: UpTo<Part, MAX_SINGLES>,
    children: UpTo<Part, MAX_CHILDREN>,
    sign: UpTo<SignSsz, 1>,
}

#[derive(SszDecode)]
struct AttestationDataSsz {
    slot: u64,
    index: u64,
    beacon_block_root: [u8; 32],
    source_epoch: u64,
    source_root: [u8; 32],
    target_epoch: u64,
    target_root: [u8; 32],
}

#[derive(SszDecode)]
struct SingleSsz {
    signature: [u8; 96],
    pos: UpTo<u16, MAX_KEYS>,
    pubkey: UpTo<[u8; 48], 1>,
    tag: UpTo<u8, MAX_TAG_BYTES>,
}

#[derive(SszDecode)]
struct ChildSsz {
    signature: [u8; 96],
    /// A bitlist, or a bitvector for a sync contribution.
    bits: UpTo<u8, MAX_BITS_BYTES>,
    tag: UpTo<u8, MAX_TAG_BYTES>,
}

#[derive(SszDecode)]
struct SignSsz {
    aggregator_pubkey: [u8; 48],
    aggregator_index: u64,
    /// All zero if it is to be made.
    selection_proof: [u8; 96],
    resign: bool,
}

/// A list of at most so many elements.
struct UpTo<T, const MAX: usize>(Vec<T>);

impl<T: SszDecode, const MAX: usize> SszDecode for UpTo<T, MAX> {
    fn is_fixed_size() -> bool {
        false
    }

    fn fixed_size() -> usize {
        0
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_list_with_max(bytes, MAX).map(Self)
    }
}

/// An element of variable size that is read later.
struct Part(Vec<u8>);

impl SszDecode for Part {
    fn is_fixed_size() -> bool {
        false
    }

    fn fixed_size() -> usize {
        0
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(bytes.to_vec()))
    }
}

/// Reads the body.
pub(super) fn read(body: &[u8]) -> Result<Envelope, SnapshotError> {
    let body = SnapshotSsz::from_ssz_bytes(body)
        .map_err(|source| SnapshotError::Ssz { place: String::new(), source })?;
    let lane = String::from_utf8(body.lane.0).map_err(|_| SnapshotError::Lane)?;
    let deadline = match (body.deadline_ms, body.deadline_unix_ms) {
        (0, 0) => None,
        (ms, 0) => Some(Deadline::After(Duration::from_millis(ms))),
        (0, at) => Some(Deadline::AtUnixMs(at)),
        (_, found) => {
            let place = "deadline_unix_ms beside deadline_ms".to_owned();
            return Err(SnapshotError::SszValue { place, found });
        }
    };
    Ok(Envelope {
        version: body.version,
        fork_info: ForkInfo {
            fork: ForkVersions {
                previous_version: ForkVersion(body.previous_version),
                current_version: ForkVersion(body.current_version),
                epoch: Epoch(body.fork_epoch),
            },
            genesis_validators_root: Root(body.genesis_validators_root),
        },
        fork_name: match body.fork_name {
            0 => None,
            number => Some(choice("fork_name", number - 1, &Fork::ALL)?),
        },
        slot: Slot(body.slot),
        attempt: body.attempt,
        verify: choice(
            "verify",
            body.verify,
            &[VerifyMode::Aggregate, VerifyMode::Each, VerifyMode::None],
        )?,
        overlap: choice("overlap", body.overlap, &[Overlap::Disjoint, Overlap::Subtract])?,
        min_coverage: body.min_coverage,
        report: choice("report", body.report, &[Report::All, Report::Failed, Report::None])?,
        delivery: Delivery {
            deadline,
            lane: if lane.is_empty() { DEFAULT_LANE.to_owned() } else { lane },
            on_busy: choice("on_busy", body.on_busy, &[OnBusy::Replace, OnBusy::Reject])?,
        },
        groups: body
            .groups
            .0
            .into_iter()
            .enumerate()
            .map(|(place, Part(bytes))| group(place, &bytes))
            .collect::<Result<_, _>>()?,
    })
}

fn choice<T: Copy>(place: &str, number: u8, choices: &[T]) -> Result<T, SnapshotError> {
    let value = SnapshotError::SszValue { place: place.to_owned(), found: number.into() };
    choices.get(usize::from(number)).copied().ok_or(value)
}

fn group(place: usize, bytes: &[u8]) -> Result<EnvelopeGroup, SnapshotError> {
    let group = GroupSsz::from_ssz_bytes(bytes)
        .map_err(|source| SnapshotError::Ssz { place: format!("groups[{place}]: "), source })?;
    let subject = subject(place, &group)?;
    let keys = match (group.pubkey_table.0.first(), group.pubkeys.0.len()) {
        (Some(hash), 0) => Keys::Table(*hash),
        (Some(_), found) => {
            let place = format!("groups[{place}].pubkeys beside pubkey_table");
            return Err(SnapshotError::SszValue { place, found: found as u64 });
        }
        (None, _) => Keys::Listed(group.pubkeys.0.into_iter().map(key).collect()),
    };
    Ok(EnvelopeGroup {
        subject,
        keys,
        singles: group.singles.0.iter().map(|Part(bytes)| single(bytes)).collect(),
        children: group.children.0.iter().map(|Part(bytes)| child(bytes)).collect(),
        sign: group.sign.0.first().map(|sign| SignWish {
            aggregator_pubkey: PublicKey(sign.aggregator_pubkey),
            aggregator_index: sign.aggregator_index,
            selection_proof: (sign.selection_proof != [0; 96])
                .then_some(Signature(sign.selection_proof)),
            resign: sign.resign,
        }),
    })
}

fn subject(place: usize, group: &GroupSsz) -> Result<EnvelopeSubject, SnapshotError> {
    let root = Root(group.root);
    let AttestationDataSsz { slot, index, beacon_block_root, .. } = group.data;
    let checkpoint = |epoch, root| Checkpoint { epoch: Epoch(epoch), root: Root(root) };
    let attestation = |vote| EnvelopeSubject::Attestation {
        vote,
        committee_index: group.index,
        committee_len: group.positions,
    };
    Ok(match group.kind {
        0 => attestation(Vote::Data(AttestationData {
            slot: Slot(slot),
            index: QuotedU64(index),
            beacon_block_root: Root(beacon_block_root),
            source: checkpoint(group.data.source_epoch, group.data.source_root),
            target: checkpoint(group.data.target_epoch, group.data.target_root),
        })),
        1 => attestation(Vote::SigningRoot(root)),
        2 => EnvelopeSubject::SyncContribution {
            beacon_block_root: root,
            subcommittee_index: group.index,
        },
        3 => EnvelopeSubject::Raw { signing_root: root, bits_len: group.positions },
        kind => {
            let place = format!("groups[{place}].kind");
            return Err(SnapshotError::SszValue { place, found: kind.into() });
        }
    })
}

/// All zero is no point of the curve, so it can stand for a position without a key.
fn key(bytes: [u8; 48]) -> KeyBytes {
    if bytes == [0; 48] { KeyBytes::Missing } else { KeyBytes::Compressed(bytes) }
}

fn single(bytes: &[u8]) -> EnvelopeSingle {
    let unusable = |error: DecodeError| EnvelopeSingle {
        positions: Positions::Several(Box::default()),
        signature: SignatureBytes::Unreadable,
        pubkey: None,
        tag: None,
        note: Some(unreadable(&error)),
    };
    let single = match SingleSsz::from_ssz_bytes(bytes) {
        Ok(single) => single,
        Err(error) => return unusable(error),
    };
    let (tag, note) = tag(single.tag.0);
    EnvelopeSingle {
        positions: match single.pos.0[..] {
            [position] => Positions::One(position),
            _ => Positions::Several(single.pos.0.into()),
        },
        signature: SignatureBytes::Compressed(single.signature),
        pubkey: single.pubkey.0.first().map(|bytes| KeyBytes::Compressed(*bytes)),
        tag,
        note,
    }
}

fn child(bytes: &[u8]) -> EnvelopeChild {
    match ChildSsz::from_ssz_bytes(bytes) {
        Ok(child) => {
            let (tag, note) = tag(child.tag.0);
            let signature = SignatureBytes::Compressed(child.signature);
            EnvelopeChild { bits: Some(child.bits.0), signature, tag, note }
        }
        Err(error) => EnvelopeChild {
            bits: None,
            signature: SignatureBytes::Unreadable,
            tag: None,
            note: Some(unreadable(&error)),
        },
    }
}

fn tag(bytes: Vec<u8>) -> (Option<Box<str>>, Option<Note>) {
    if let Ok(text) = String::from_utf8(bytes) {
        ((!text.is_empty()).then(|| text.into()), None)
    } else {
        let detail = "tag is not UTF-8".to_owned();
        (None, Some(Note { reason: RejectReason::BadEncoding, detail }))
    }
}

fn unreadable(error: &DecodeError) -> Note {
    Note { reason: RejectReason::BadEncoding, detail: error.to_string() }
}
