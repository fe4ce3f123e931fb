//! Jobs and groups as JSON.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use midslot_aggregation::{
    Aggregate, Counts, Entry, GroupEnd, GroupOutcome, KeepReason, Kept, RejectReason, Rejected,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    job::{DropReason, Ending, GroupStatus, JobState, Phases, phase_name},
    snapshot::{JobId, Note, Report, Snapshot, SnapshotGroup, Subject},
};

/// JSON text that is written once, by whoever has the time, and only shared from then on.
#[derive(Clone, Debug)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Writes a value.
    pub fn of(value: &impl Serialize) -> Self {
        serde_json::value::to_raw_value(value).map_or_else(
            |error| {
                // Integers and texts under names that are texts.
                tracing::error!(%error, "a result could not be written as JSON");
                Self(RawValue::NULL.to_owned().into())
            },
            |text| Self(text.into()),
        )
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

/// A job as JSON.
#[derive(Debug, Serialize)]
pub struct JobView {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub job_id: JobId,
    /// Where it stands.
    pub status: &'static str,
    /// Why it ended so; only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Whether every group was dealt with; only when it has run to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// The job that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Its slot.
    pub slot: String,
    /// Its lane.
    pub lane: String,
    /// Number of entries of all groups.
    pub entries: usize,
    /// Number of entries of all groups with nothing wrong when they were read.
    pub accepted_entries: usize,
    /// The groups that are finished, in the order of the snapshot.
    pub groups: Vec<Json>,
    /// What was signed of the groups that wanted it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<SignedView>,
    /// Where the time went, in milliseconds.
    pub phases_ms: JobPhases,
}

/// What was signed of a group.
#[derive(Debug, Serialize)]
pub struct SignedView {
    /// The group's place.
    pub group: usize,
    /// What became of it.
    pub result: Json,
}

impl JobView {
    /// How many bytes it has as JSON, but for a few hundred.
    pub fn json_bytes(&self) -> usize {
        let signed = self.signed.iter().map(|signed| &signed.result);
        self.groups.iter().chain(signed).map(|json| json.get().len()).sum()
    }

    /// The times of a job that is over, as the header `Server-Timing` has them; else nothing.
    pub fn server_timing(&self) -> String {
        let JobPhases { queue, total, phases: PhasesView(phases), sign } = &self.phases_ms;
        let (Some(queue), Some(total)) = (queue, total) else { return String::new() };
        let part = |name: &str, took: Duration| {
            let micros = took.as_micros();
            format!("{name};dur={}.{:03}", micros / 1000, micros % 1000)
        };
        let phases = Phases::ALL.iter().map(|phase| part(phase_name(*phase), phases.of(*phase)));
        let parts: Vec<_> = [part("queue", queue.0)]
            .into_iter()
            .chain(phases)
            .chain(sign.map(|sign| part("sign", sign.0)))
            .chain([part("total", total.0)])
            .collect();
        parts.join(", ")
    }
}

/// Times of a job, in milliseconds.
#[derive(Debug, Serialize)]
pub struct JobPhases {
    /// From its submission to its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Milliseconds>,
    /// From its submission to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Milliseconds>,
    /// Sums over its groups.
    #[serde(flatten)]
    pub phases: PhasesView,
    /// From when its groups were proved until what it wanted was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<Milliseconds>,
}

/// A duration as a number of milliseconds with three decimals.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = u32::try_from(self.0.as_micros()).unwrap_or(u32::MAX);
        serializer.serialize_f64(f64::from(micros) / 1000.0)
    }
}

/// Times of phases, by name.
#[derive(Clone, Copy, Debug)]
pub struct PhasesView(pub Phases);

impl Serialize for PhasesView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Phases::ALL.len()))?;
        for phase in Phases::ALL {
            map.serialize_entry(phase_name(phase), &Milliseconds(self.0.of(phase)))?;
        }
        map.end()
    }
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// Why a job that ended is not complete, and who took its place.
pub(super) fn ending_view(state: JobState) -> (Option<bool>, Option<String>) {
    match state.ending() {
        Some(Ending::Complete) => (Some(true), None),
        Some(Ending::PartlyByDeadline | Ending::PartlyByFailure) => (Some(false), None),
        Some(Ending::Dropped(DropReason::Superseded { by })) => (None, Some(by.to_string())),
        _ => (None, None),
    }
}

#[derive(Serialize)]
struct GroupView<'a> {
    group: usize,
    status: &'static str,
    /// The message that was signed.
    signing_root: String,
    bits_len: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<AggregateView>,
    used: Listed<'a>,
    covered: Listed<'a>,
    rejected: Listed<'a>,
    unprocessed: Listed<'a>,
    counts: CountsView,
    phases_ms: PhasesView,
}

#[derive(Serialize)]
struct AggregateView {
    /// A bitlist for attestations and raw groups, a bitvector for sync contributions.
    bits: String,
    signature: String,
    verified: bool,
    /// Number of its positions.
    coverage: u32,
    /// How many of them the best child does not have.
    gained: u32,
}

#[derive(Serialize)]
struct CountsView {
    entries: u32,
    decompressed: u32,
    cache_hits: u32,
    pairings: u32,
    bisect_checks: u32,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { entries, decompressed, cache_hits, pairings, bisect_checks } = counts;
        Self { entries, decompressed, cache_hits, pairings, bisect_checks }
    }
}

/// Entries with one verdict: how many, and which if the caller wants to know.
#[derive(Serialize)]
struct Listed<'a> {
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<EntryView<'a>>>,
}

#[derive(Serialize)]
struct EntryView<'a> {
    kind: &'static str,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
}

/// A group's result as JSON. Written once, by the worker.
pub(super) fn group_json(
    place: usize,
    status: GroupStatus,
    snapshot: &Snapshot,
    aggregate: Option<&Aggregate>,
    outcome: Option<&GroupOutcome>,
    phases: Phases,
) -> Json {
    let group = &snapshot.groups[place];
    let lists = Lists { group, report: snapshot.report };
    let empty = GroupOutcome::without_entries(GroupEnd::Complete);
    let outcome = outcome.unwrap_or(&empty);
    let is_released = status != GroupStatus::TooFewSigners;
    let view = GroupView {
        group: place,
        status: status.name(),
        signing_root: const_hex::encode_prefixed(group.inputs.message),
        bits_len: group.inputs.bits_len.get(),
        aggregate: aggregate.map(|aggregate| aggregate_view(group, aggregate)),
        used: lists.good(if is_released { &outcome.used } else { &[] }),
        covered: lists.good(if is_released { &outcome.covered } else { &[] }),
        rejected: lists.rejected(&outcome.rejected),
        unprocessed: match status {
            GroupStatus::Internal => lists.all_failed(),
            // Their aggregate is not released, so the caller must keep them.
            GroupStatus::TooFewSigners => lists.withheld(outcome),
            _ => lists.kept(&outcome.unprocessed),
        },
        counts: outcome.counts.into(),
        phases_ms: PhasesView(phases),
    };
    Json::of(&view)
}

fn aggregate_view(group: &SnapshotGroup, aggregate: &Aggregate) -> AggregateView {
    let bits = match group.subject {
        Subject::SyncContribution { .. } => aggregate.bits.to_ssz_bitvector(),
        Subject::Attestation { .. } | Subject::Raw => aggregate.bits.to_ssz_bitlist(),
    };
    AggregateView {
        bits: const_hex::encode_prefixed(bits),
        signature: const_hex::encode_prefixed(aggregate.signature),
        verified: aggregate.verified,
        coverage: aggregate.bits.count(),
        gained: gained(group, aggregate),
    }
}

/// How many positions an aggregate has beyond the best child that came with it.
pub(crate) fn gained(group: &SnapshotGroup, aggregate: &Aggregate) -> u32 {
    let children = group.inputs.children.iter().filter_map(|child| child.bits.as_ref());
    let best = children.map(midslot_aggregation::Bits::count).max().unwrap_or(0);
    aggregate.bits.count().saturating_sub(best)
}

struct Lists<'a> {
    group: &'a SnapshotGroup,
    report: Report,
}

impl<'a> Lists<'a> {
    fn good(&self, entries: &[Entry]) -> Listed<'a> {
        let listed = self.report == Report::All;
        Listed {
            count: entries.len(),
            entries: listed.then(|| entries.iter().map(|entry| self.entry(*entry)).collect()),
        }
    }

    fn rejected(&self, rejected: &[Rejected]) -> Listed<'a> {
        let view = |rejected: &Rejected| {
            let note: Option<&Note> = self.group.notes.get(&rejected.entry);
            let reason = reject_reason(note.map_or(rejected.reason, |note| note.reason));
            let detail = note.map(|note| Cow::Borrowed(&*note.detail));
            EntryView { reason: Some(reason), detail, ..self.entry(rejected.entry) }
        };
        self.failed(rejected.len(), rejected.iter().map(view))
    }

    fn withheld(&self, outcome: &GroupOutcome) -> Listed<'a> {
        let GroupOutcome { used, covered, unprocessed, .. } = outcome;
        let reason = Some(GroupStatus::TooFewSigners.name());
        let good = used.iter().chain(covered);
        let good = good.map(|entry| EntryView { reason, ..self.entry(*entry) });
        let kept = unprocessed.iter().map(|kept| self.kept_entry(kept));
        self.failed(used.len() + covered.len() + unprocessed.len(), good.chain(kept))
    }

    fn kept(&self, kept: &[Kept]) -> Listed<'a> {
        self.failed(kept.len(), kept.iter().map(|kept| self.kept_entry(kept)))
    }

    fn kept_entry(&self, kept: &Kept) -> EntryView<'a> {
        EntryView { reason: Some(keep_reason(kept.reason)), ..self.entry(kept.entry) }
    }

    /// Every entry of a group that failed inside: nothing is known of any.
    fn all_failed(&self) -> Listed<'a> {
        let singles = (0..self.group.inputs.singles.len()).map(Entry::Single);
        let entries = singles.chain((0..self.group.inputs.children.len()).map(Entry::Child));
        let view = |entry| EntryView { reason: Some("internal"), ..self.entry(entry) };
        self.failed(self.group.entries(), entries.map(view))
    }

    fn failed(&self, count: usize, views: impl Iterator<Item = EntryView<'a>>) -> Listed<'a> {
        let listed = self.report != Report::None;
        Listed { count, entries: listed.then(|| views.collect()) }
    }

    fn entry(&self, entry: Entry) -> EntryView<'a> {
        let tags: &'a BTreeMap<Entry, Box<str>> = &self.group.tags;
        let (kind, index) = match entry {
            Entry::Single(index) => ("single", index),
            Entry::Child(index) => ("child", index),
        };
        let tag = tags.get(&entry).map(|tag| &**tag);
        EntryView { kind, index, tag, reason: None, detail: None }
    }
}

/// The name of a reason in answers and metrics.
pub const fn reject_reason(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::BadLength => "bad_length",
        RejectReason::BadEncoding => "bad_encoding",
        RejectReason::NotOnCurve => "not_on_curve",
        RejectReason::NotInGroup => "not_in_group",
        RejectReason::Infinity => "infinity",
        RejectReason::PositionOutOfRange => "position_out_of_range",
        RejectReason::Duplicate => "duplicate",
        RejectReason::Conflict => "conflict",
        RejectReason::PubkeyMissing => "pubkey_missing",
        RejectReason::PubkeyInvalid => "pubkey_invalid",
        RejectReason::InvalidSignature => "invalid_signature",
        RejectReason::ChildBitsLength => "child_bits_length",
        RejectReason::ChildEmpty => "child_empty",
    }
}

/// The name of a reason in answers and metrics.
pub const fn keep_reason(reason: KeepReason) -> &'static str {
    match reason {
        KeepReason::Overlap => "overlap",
        KeepReason::Deadline => "deadline",
        KeepReason::Cancelled => "cancelled",
        KeepReason::SelfCheckFailed => "self_check_failed",
    }
}
