//! From an envelope to a snapshot: does it make sense on this network and at this time.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use midslot_aggregation::{BitsLen, Group, KeyTable, Options};
use signer_client::wire::{AttestationData, Fork, ForkInfo, Root, Slot};

use super::{
    Deadline, JobId, MAX_DEADLINE_MS, MAX_LANE_BYTES, Snapshot, SnapshotError, SnapshotGroup,
    Subject, Submission,
    entries::{BitsForm, Entries, make_unusable},
    envelope::{Envelope, EnvelopeGroup, EnvelopeSubject, Keys, VERSION, Vote},
};
use crate::{
    aggregation::tables::Tables,
    duty::{
        Network,
        members::{self, CommitteeNaming},
    },
};

/// What a submission is checked against.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The network.
    pub network: &'a Network,
    /// The slots that are accepted now; `None` if the time of the network is not known.
    pub window: Option<RangeInclusive<u64>>,
    /// The registered tables of public keys.
    pub tables: &'a Tables,
    /// Whether aggregates can be signed here.
    pub can_sign: bool,
}

pub(super) fn check(
    envelope: Envelope,
    surroundings: &Surroundings<'_>,
) -> Result<Submission, SnapshotError> {
    let Envelope { version, fork_info, fork_name, slot, attempt, .. } = envelope;
    if version != VERSION {
        return Err(SnapshotError::Version { found: version });
    }
    check_delivery(&envelope)?;
    check_window(slot, surroundings.window.as_ref())?;
    if envelope.groups.is_empty() {
        return Err(SnapshotError::NoGroups);
    }
    let fork = members::fork_of_slot(surroundings.network, &fork_info, slot, fork_name);
    if let Some(claimed) = fork_name
        && CommitteeNaming::of(claimed) != CommitteeNaming::of(fork)
    {
        return Err(SnapshotError::WrongFork { claimed, fork });
    }
    let context = Context { surroundings, fork_info, fork_name, fork, slot };
    let mut seen = HashMap::new();
    let mut groups = Vec::with_capacity(envelope.groups.len());
    for (place, group) in envelope.groups.into_iter().enumerate() {
        let group = context.group(place, group)?;
        if let Some(first) = seen.insert(grouping_key(&group), place) {
            return Err(SnapshotError::SameSubject { group: place, first });
        }
        groups.push(group);
    }
    let snapshot = Snapshot {
        fork_info,
        fork,
        slot,
        attempt,
        options: Options { verify: envelope.verify, overlap: envelope.overlap },
        min_coverage: envelope.min_coverage,
        report: envelope.report,
        groups,
    };
    Ok(Submission { id: JobId::of(&snapshot), snapshot, delivery: envelope.delivery })
}

fn check_delivery(envelope: &Envelope) -> Result<(), SnapshotError> {
    let delivery = &envelope.delivery;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let lane = &delivery.lane;
    if lane.is_empty() || lane.len() > MAX_LANE_BYTES || !lane.bytes().all(allowed) {
        return Err(SnapshotError::Lane);
    }
    if let Some(Deadline::After(after)) = delivery.deadline
        && !(Duration::from_millis(1)..=Duration::from_millis(MAX_DEADLINE_MS)).contains(&after)
    {
        let found = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        return Err(SnapshotError::Deadline { found, max: MAX_DEADLINE_MS });
    }
    Ok(())
}

fn check_window(slot: Slot, window: Option<&RangeInclusive<u64>>) -> Result<(), SnapshotError> {
    match window {
        Some(window) if !window.contains(&slot.0) => Err(SnapshotError::SlotOutsideWindow {
            slot,
            first: Slot(*window.start()),
            last: Slot(*window.end()),
        }),
        _ => Ok(()),
    }
}

/// What two groups of a snapshot must not share: before Electra the vote's root names its
/// committee, since then both together do.
fn grouping_key(group: &SnapshotGroup) -> ([u8; 32], u64) {
    let part = match group.subject {
        Subject::Attestation { committee_index, .. } => committee_index,
        Subject::SyncContribution { subcommittee_index, .. } => subcommittee_index,
        Subject::Raw => 0,
    };
    (group.inputs.message, part)
}

struct Context<'a> {
    surroundings: &'a Surroundings<'a>,
    fork_info: ForkInfo,
    /// The fork of the slot in the caller's words.
    fork_name: Option<Fork>,
    fork: Fork,
    slot: Slot,
}

impl Context<'_> {
    fn group(&self, place: usize, group: EnvelopeGroup) -> Result<SnapshotGroup, SnapshotError> {
        let (subject, message, bits_len) = self.subject(place, &group.subject)?;
        let several = !matches!(subject, Subject::Attestation { .. });
        let form = match subject {
            Subject::SyncContribution { .. } => BitsForm::Vector,
            Subject::Attestation { .. } | Subject::Raw => BitsForm::List,
        };
        if group.sign.is_some() {
            self.check_sign(place, &subject)?;
        }
        let listed = self.keys(place, group.keys, bits_len)?;
        let mut entries = Entries::default();
        let (singles, claims): (Vec<_>, Vec<_>) = group
            .singles
            .into_iter()
            .enumerate()
            .map(|(place, single)| entries.single(place, single, bits_len, several))
            .unzip();
        let children = group
            .children
            .into_iter()
            .enumerate()
            .map(|(place, child)| entries.child(place, child, bits_len, form))
            .collect();
        let mut inputs = Group { message: message.0, bits_len, keys: listed, singles, children };
        entries.settle_claims(&mut inputs, &claims);
        for entry in entries.notes.keys() {
            make_unusable(&mut inputs, *entry);
        }
        let Entries { notes, tags } = entries;
        Ok(SnapshotGroup { subject, inputs, notes, tags, sign: group.sign })
    }

    fn subject(
        &self,
        place: usize,
        subject: &EnvelopeSubject,
    ) -> Result<(Subject, Root, BitsLen), SnapshotError> {
        let positions = |member, found| {
            let bad = SnapshotError::Positions { group: place, member, found };
            BitsLen::new(found).ok_or(bad)
        };
        let network = self.surroundings.network;
        Ok(match *subject {
            EnvelopeSubject::Attestation { ref vote, committee_index, committee_len } => {
                let bits_len = positions("committee_len", committee_len)?;
                let max = network.preset.max_committees_per_slot();
                if committee_index >= max as u64 {
                    let found = committee_index;
                    return Err(SnapshotError::Committee { group: place, found, max });
                }
                let (data, message) = match *vote {
                    Vote::SigningRoot(root) => (None, root),
                    Vote::Data(data) => {
                        self.check_data(place, &data, committee_index)?;
                        (Some(data), members::attestation_root(&self.fork_info, &data))
                    }
                };
                (Subject::Attestation { data, committee_index }, message, bits_len)
            }
            EnvelopeSubject::SyncContribution { beacon_block_root, subcommittee_index } => {
                if subcommittee_index >= members::SYNC_SUBCOMMITTEES {
                    let found = subcommittee_index;
                    return Err(SnapshotError::Subcommittee { group: place, found });
                }
                let message = members::sync_message_root(
                    network,
                    &self.fork_info,
                    self.fork_name,
                    self.slot,
                    beacon_block_root,
                )
                .map_err(|source| SnapshotError::Duty { group: place, source })?;
                let bits_len =
                    positions("subcommittee", members::sync_subcommittee_len(network) as u64)?;
                (
                    Subject::SyncContribution { beacon_block_root, subcommittee_index },
                    message,
                    bits_len,
                )
            }
            EnvelopeSubject::Raw { signing_root, bits_len } => {
                (Subject::Raw, signing_root, positions("bits_len", bits_len)?)
            }
        })
    }

    fn check_data(
        &self,
        place: usize,
        data: &AttestationData,
        committee_index: u64,
    ) -> Result<(), SnapshotError> {
        if data.slot != self.slot {
            let (found, slot) = (data.slot, self.slot);
            return Err(SnapshotError::OtherSlot { group: place, found, slot });
        }
        let found = data.index.0;
        let (is_right, expected) = match CommitteeNaming::of(self.fork) {
            CommitteeNaming::InData => {
                (found == committee_index, "before Electra it is the committee_index")
            }
            CommitteeNaming::BesideData => (found == 0, "since Electra it is 0"),
            CommitteeNaming::BesideDataWithPayloadStatus => (found < 2, "since Gloas it is 0 or 1"),
        };
        if is_right {
            Ok(())
        } else {
            Err(SnapshotError::DataIndex { group: place, found, expected })
        }
    }

    fn check_sign(&self, place: usize, subject: &Subject) -> Result<(), SnapshotError> {
        let reason = match subject {
            _ if !self.surroundings.can_sign => "this signer aggregates without signing",
            Subject::Attestation { data: None, .. } => "it needs data, not signing_root alone",
            Subject::Raw => "a raw group has no form to be signed in",
            Subject::Attestation { data: Some(_), .. } | Subject::SyncContribution { .. } => {
                return Ok(());
            }
        };
        Err(SnapshotError::Sign { group: place, reason })
    }

    fn keys(
        &self,
        place: usize,
        keys: Keys,
        bits_len: BitsLen,
    ) -> Result<Arc<KeyTable>, SnapshotError> {
        let (member, table) = match keys {
            Keys::Listed(listed) => ("pubkeys", Arc::new(KeyTable(listed))),
            Keys::Table(hash) => {
                let unknown = SnapshotError::TableUnknown { group: place };
                ("pubkey_table", self.surroundings.tables.get(&hash).ok_or(unknown)?)
            }
        };
        let (found, positions) = (table.0.len(), bits_len.get());
        if found > usize::from(positions) {
            return Err(SnapshotError::TooManyKeys { group: place, member, found, positions });
        }
        Ok(table)
    }
}
