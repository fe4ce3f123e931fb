//! The JSON form of a snapshot.
//!
//! The envelope is read strictly and an error names its place. Entries and keys are first taken as
//! raw text and then read one by one (`json_entries`). Every list has a bound
//! that holds while it is read: a body can't make its reader hold more than a few times its size.

use std::{borrow::Cow, fmt, marker::PhantomData, time::Duration};

use midslot_aggregation::{MAX_POSITIONS, Overlap, VerifyMode};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use signer_client::wire::{
    AttestationData, Fork, ForkInfo, PublicKey, QuotedU64, Root, Signature, Slot,
};

use super::{
    Deadline, Delivery, MAX_CHILDREN, MAX_GROUPS, MAX_SINGLES, OnBusy, Report, SignWish,
    SnapshotError,
    envelope::{Envelope, EnvelopeGroup, EnvelopeSubject, Keys, VERSION, Vote},
    json_entries::{child, listed_key, single},
};

/// The lane of a job that names none.
pub(super) const DEFAULT_LANE: &str = "default";

/// Longest part of a parser's message that is repeated about an entry, in characters.
const MAX_DETAIL: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    version: Option<QuotedU64>,
    fork_info: ForkInfo,
    fork_name: Option<ForkName>,
    slot: Slot,
    #[serde(default)]
    attempt: u32,
    deadline_ms: Option<QuotedU64>,
    deadline_unix_ms: Option<QuotedU64>,
    lane: Option<String>,
    #[serde(default)]
    on_busy: OnBusyName,
    #[serde(default)]
    options: Options,
    #[serde(borrow)]
    groups: UpTo<Group<'a>, MAX_GROUPS>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    verify: VerifyName,
    overlap: OverlapName,
    min_coverage: u16,
    report: ReportName,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerifyName {
    #[default]
    Aggregate,
    Each,
    None,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OverlapName {
    #[default]
    Disjoint,
    Subtract,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReportName {
    #[default]
    All,
    Failed,
    None,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnBusyName {
    #[default]
    Replace,
    Reject,
}

/// A fork's name in any case, as beacon nodes write it in lower case.
struct ForkName(Fork);

impl<'de> Deserialize<'de> for ForkName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        name.to_ascii_uppercase().parse().map(Self).map_err(de::Error::custom)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Attestation,
    SyncContribution,
    Raw,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupMembers<'a> {
    kind: Kind,
    data: Option<AttestationData>,
    signing_root: Option<Root>,
    committee_index: Option<QuotedU64>,
    committee_len: Option<QuotedU64>,
    beacon_block_root: Option<Root>,
    subcommittee_index: Option<QuotedU64>,
    bits_len: Option<QuotedU64>,
    #[serde(borrow, default)]
    singles: UpTo<&'a RawValue, MAX_SINGLES>,
    #[serde(borrow, default)]
    children: UpTo<&'a RawValue, MAX_CHILDREN>,
    #[serde(borrow)]
    pubkeys: Option<UpTo<&'a RawValue, { MAX_POSITIONS as usize }>>,
    pubkey_table: Option<Root>,
    sign: Option<SignMembers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignMembers {
    aggregator_pubkey: PublicKey,
    aggregator_index: QuotedU64,
    selection_proof: Option<Signature>,
    #[serde(default)]
    resign: bool,
}

/// A group whose members fit each other.
struct Group<'a> {
    subject: EnvelopeSubject,
    members: GroupMembers<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Group<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = GroupMembers::deserialize(deserializer)?;
        let subject = members.subject().map_err(de::Error::custom)?;
        if members.pubkeys.is_some() && members.pubkey_table.is_some() {
            return Err(de::Error::custom("pubkeys and pubkey_table exclude each other"));
        }
        Ok(Self { subject, members })
    }
}

impl GroupMembers<'_> {
    /// What the kind needs, and nothing else.
    fn subject(&self) -> Result<EnvelopeSubject, String> {
        let needed = |value: Option<QuotedU64>, name: &str| {
            value.map(|value| value.0).ok_or_else(|| format!("missing field `{name}`"))
        };
        let unwanted: &[(&str, bool)] = &[
            ("data", self.data.is_some()),
            ("signing_root", self.signing_root.is_some()),
            ("committee_index", self.committee_index.is_some()),
            ("committee_len", self.committee_len.is_some()),
            ("beacon_block_root", self.beacon_block_root.is_some()),
            ("subcommittee_index", self.subcommittee_index.is_some()),
            ("bits_len", self.bits_len.is_some()),
        ];
        let (kind, wanted, subject): (_, &[&str], _) = match self.kind {
            Kind::Attestation => {
                let vote = match (self.data, self.signing_root) {
                    (Some(data), None) => Vote::Data(data),
                    (None, Some(root)) => Vote::SigningRoot(root),
                    _ => return Err("an attestation has either data or signing_root".to_owned()),
                };
                (
                    "an attestation",
                    &["data", "signing_root", "committee_index", "committee_len"],
                    EnvelopeSubject::Attestation {
                        vote,
                        committee_index: needed(self.committee_index, "committee_index")?,
                        committee_len: needed(self.committee_len, "committee_len")?,
                    },
                )
            }
            Kind::SyncContribution => (
                "a sync contribution",
                &["beacon_block_root", "subcommittee_index"],
                EnvelopeSubject::SyncContribution {
                    beacon_block_root: self
                        .beacon_block_root
                        .ok_or("missing field `beacon_block_root`")?,
                    subcommittee_index: needed(self.subcommittee_index, "subcommittee_index")?,
                },
            ),
            Kind::Raw => (
                "a raw group",
                &["signing_root", "bits_len"],
                EnvelopeSubject::Raw {
                    signing_root: self.signing_root.ok_or("missing field `signing_root`")?,
                    bits_len: needed(self.bits_len, "bits_len")?,
                },
            ),
        };
        match unwanted.iter().find(|(name, is_there)| *is_there && !wanted.contains(name)) {
            Some((name, _)) => Err(format!("{kind} has no field `{name}`")),
            None => Ok(subject),
        }
    }
}

/// Reads the body.
pub(super) fn read(body: &[u8]) -> Result<Envelope, SnapshotError> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|source| {
        // Only now read once more, keeping track of members: it would slow down every body.
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let path = serde_path_to_error::deserialize::<_, Body<'_>>(&mut deserializer)
            .err()
            .map_or_else(|| ".".to_owned(), |error| shortened(&error.path().to_string()));
        SnapshotError::Json { path, reason: reason(&source) }
    })?;
    let deadline = match (body.deadline_ms, body.deadline_unix_ms) {
        (Some(QuotedU64(ms)), None) => Some(Deadline::After(Duration::from_millis(ms))),
        (None, Some(QuotedU64(at))) => Some(Deadline::AtUnixMs(at)),
        (None, None) => None,
        (Some(_), Some(_)) => {
            let reason = "deadline_ms and deadline_unix_ms exclude each other".to_owned();
            return Err(SnapshotError::Json { path: ".".to_owned(), reason });
        }
    };
    Ok(Envelope {
        version: body.version.map_or(VERSION, |version| version.0),
        fork_info: body.fork_info,
        fork_name: body.fork_name.map(|name| name.0),
        slot: body.slot,
        attempt: body.attempt,
        verify: match body.options.verify {
            VerifyName::Aggregate => VerifyMode::Aggregate,
            VerifyName::Each => VerifyMode::Each,
            VerifyName::None => VerifyMode::None,
        },
        overlap: match body.options.overlap {
            OverlapName::Disjoint => Overlap::Disjoint,
            OverlapName::Subtract => Overlap::Subtract,
        },
        min_coverage: body.options.min_coverage,
        report: match body.options.report {
            ReportName::All => Report::All,
            ReportName::Failed => Report::Failed,
            ReportName::None => Report::None,
        },
        delivery: Delivery {
            deadline,
            lane: body.lane.unwrap_or_else(|| DEFAULT_LANE.to_owned()),
            on_busy: match body.on_busy {
                OnBusyName::Replace => OnBusy::Replace,
                OnBusyName::Reject => OnBusy::Reject,
            },
        },
        groups: body.groups.0.into_iter().map(group).collect(),
    })
}

fn group(Group { subject, members }: Group<'_>) -> EnvelopeGroup {
    let keys = if let Some(hash) = members.pubkey_table {
        Keys::Table(hash.0)
    } else {
        let listed = members.pubkeys.map_or(Vec::new(), |listed| listed.0);
        Keys::Listed(listed.into_iter().map(listed_key).collect())
    };
    EnvelopeGroup {
        subject,
        keys,
        singles: members.singles.0.into_iter().map(single).collect(),
        children: members.children.0.into_iter().map(child).collect(),
        sign: members.sign.map(|sign| SignWish {
            aggregator_pubkey: sign.aggregator_pubkey,
            aggregator_index: sign.aggregator_index.0,
            selection_proof: sign.selection_proof,
            resign: sign.resign,
        }),
    }
}

/// What a parser says, with line and column, however long the text is that it repeats.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => shortened(reason) + &place,
        None => shortened(&text),
    }
}

/// The text on one line and not longer than a message should be.
pub(crate) fn shortened(text: &str) -> String {
    let one_line = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(MAX_DETAIL).map(one_line).collect()
}

/// A list that is refused as soon as it is too long.
struct UpTo<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for UpTo<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for UpTo<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = UpTo<T, MAX>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a list of at most {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MAX {
                        return Err(de::Error::invalid_length(MAX + 1, &self));
                    }
                    items.push(item);
                }
                Ok(UpTo(items))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}
