//! Reading a file one key at a time.
//!
//! Liberal in what carries the same meaning: numbers with or without quotes, hexadecimal text in
//! any case with or without a prefix, members in any order, unknown members, missing lists, and
//! roots that are absent, `null`, empty or zero (all mean: unknown). Strict in everything else: a
//! value that can't be understood is a failure of its key and never skipped.
//!
//! Memory is bounded by the largest key of the file: the text of one element of `data` is taken
//! out of the stream, then read with its types, so that a bad value spoils its key only.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufReader, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::FORMAT_VERSION;
use crate::slashing::{
    refusal::{RecordedAttestation, RecordedBlock},
    rules::LARGEST,
};

/// Longest part of a text from the file that an error repeats, in bytes.
const LONGEST_QUOTE: usize = 120;

/// Why a file can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system says no.
    #[error("can't read the file: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no JSON, is cut off, or is not in the interchange format. Says where.
    #[error("not a slashing protection interchange file: {0}")]
    Malformed(#[source] serde_json::Error),
}

impl FileError {
    fn new(error: serde_json::Error) -> Self {
        if error.is_io() { Self::Unreadable(error.into()) } else { Self::Malformed(error) }
    }
}

/// Why the records of one key can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct KeyFailure {
    /// The key as the file writes it; `None` when it names none.
    pub public_key: Option<String>,
    /// Position in the list `data`, from 0.
    pub index: u64,
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong, with the path inside the element.
    pub reason: String,
}

impl fmt::Display for KeyFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.public_key.as_deref().unwrap_or("a key without a name");
        write!(formatter, "{key} (data[{}], line {}): {}", self.index, self.line, self.reason)
    }
}

/// What one element of `data` says. Lists are as in the file: unsorted, with repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyContent {
    pub(super) key: PublicKey,
    pub(super) blocks: Vec<RecordedBlock>,
    pub(super) attestations: Vec<RecordedAttestation>,
}

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) genesis_validators_root: Root,
}

/// Reads a whole file, handing over each element of `data`. `on_key` returns whether to go on;
/// stopped early, the file counts as malformed.
pub(super) fn read(
    input: impl Read,
    on_key: impl FnMut(Result<KeyContent, KeyFailure>) -> bool,
) -> Result<Metadata, FileError> {
    let line = Cell::new(1);
    let counting = CountingLines { input: BufReader::with_capacity(1 << 16, input), line: &line };
    let mut deserializer = serde_json::Deserializer::from_reader(counting);
    let file = File { line: &line, on_key };
    let metadata = file.deserialize(&mut deserializer).map_err(FileError::new)?;
    deserializer.end().map_err(FileError::new)?;
    Ok(metadata)
}

/// Counts the lines that the reader above it has taken. That one takes single bytes, at most one
/// of them ahead.
struct CountingLines<'a, R> {
    input: BufReader<R>,
    line: &'a Cell<u64>,
}

impl<R: Read> Read for CountingLines<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        let lines = buffer[..length].iter().map(|byte| u64::from(*byte == b'\n'));
        self.line.set(self.line.get() + lines.sum::<u64>());
        Ok(length)
    }
}

/// The object that is the file.
struct File<'a, F> {
    line: &'a Cell<u64>,
    on_key: F,
}

impl<'de, F: FnMut(Result<KeyContent, KeyFailure>) -> bool> DeserializeSeed<'de> for File<'_, F> {
    type Value = Metadata;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Result<KeyContent, KeyFailure>) -> bool> Visitor<'de> for File<'_, F> {
    type Value = Metadata;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with the members metadata and data")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Metadata, A::Error> {
        let (mut metadata, mut has_data) = (None, false);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "metadata" if metadata.is_some() => {
                    return Err(A::Error::duplicate_field("metadata"));
                }
                "metadata" => metadata = Some(members.next_value::<RawMetadata>()?),
                "data" if has_data => return Err(A::Error::duplicate_field("data")),
                "data" => {
                    members.next_value_seed(Keys { line: self.line, on_key: &mut self.on_key })?;
                    has_data = true;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !has_data {
            return Err(A::Error::missing_field("data"));
        }
        let metadata = metadata.ok_or_else(|| A::Error::missing_field("metadata"))?;
        Ok(Metadata { genesis_validators_root: metadata.genesis_validators_root })
    }
}

/// The list `data`.
struct Keys<'a, F> {
    line: &'a Cell<u64>,
    on_key: &'a mut F,
}

impl<'de, F: FnMut(Result<KeyContent, KeyFailure>) -> bool> DeserializeSeed<'de> for Keys<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Result<KeyContent, KeyFailure>) -> bool> Visitor<'de> for Keys<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of keys with their records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some((line, text)) = elements.next_element_seed(Element(self.line))? {
            if !(self.on_key)(read_key(&text, index, line)) {
                return Err(A::Error::custom("reading was stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// One element of `data` as text, with the line on which it begins.
struct Element<'a>(&'a Cell<u64>);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = (u64, Box<RawValue>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Its first byte is looked at already, so the count stands at its line.
        let line = self.0.get();
        Ok((line, Box::<RawValue>::deserialize(deserializer)?))
    }
}

fn read_key(text: &RawValue, index: u64, line: u64) -> Result<KeyContent, KeyFailure> {
    let mut deserializer = serde_json::Deserializer::from_str(text.get());
    let raw: RawKey = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&position).unwrap_or(&message);
        let reason = match path.as_str() {
            "." | "?" => message.to_owned(),
            _ => format!("{path}: {message}"),
        };
        let line = line + (error.line() as u64).saturating_sub(1);
        KeyFailure { public_key: name_of(text), index, line, reason }
    })?;
    let blocks = raw.signed_blocks.into_iter();
    let attestations = raw.signed_attestations.into_iter();
    Ok(KeyContent {
        key: raw.pubkey,
        blocks: blocks
            .map(|block| RecordedBlock { slot: block.slot, signing_root: block.signing_root })
            .collect(),
        attestations: attestations
            .map(|vote| RecordedAttestation {
                source: vote.source_epoch,
                target: vote.target_epoch,
                signing_root: vote.signing_root,
            })
            .collect(),
    })
}

/// The key that a bad element names, fit to be shown.
fn name_of(text: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        pubkey: String,
    }
    let named: Named = serde_json::from_str(text.get()).ok()?;
    Some(quote(&named.pubkey))
}

/// A text from the file on one line and not too long.
fn quote(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    match escaped.char_indices().find(|(at, _)| *at >= LONGEST_QUOTE) {
        Some((end, _)) => format!("{}...", &escaped[..end]),
        None => escaped,
    }
}

#[derive(Deserialize)]
struct RawMetadata {
    #[serde(rename = "interchange_format_version", deserialize_with = "version")]
    _version: (),
    #[serde(deserialize_with = "root")]
    genesis_validators_root: Root,
}

#[derive(Deserialize)]
struct RawKey {
    #[serde(deserialize_with = "public_key")]
    pubkey: PublicKey,
    #[serde(default, deserialize_with = "null_is_empty")]
    signed_blocks: Vec<RawBlock>,
    #[serde(default, deserialize_with = "null_is_empty")]
    signed_attestations: Vec<RawAttestation>,
}

#[derive(Deserialize)]
struct RawBlock {
    #[serde(deserialize_with = "slot")]
    slot: Slot,
    #[serde(default, deserialize_with = "optional_root")]
    signing_root: Option<Root>,
}

#[derive(Deserialize)]
struct RawAttestation {
    #[serde(deserialize_with = "epoch")]
    source_epoch: Epoch,
    #[serde(deserialize_with = "epoch")]
    target_epoch: Epoch,
    #[serde(default, deserialize_with = "optional_root")]
    signing_root: Option<Root>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Version {
        Text(String),
        Number(u64),
    }
    let found = match Version::deserialize(deserializer) {
        Ok(Version::Text(text)) => text,
        Ok(Version::Number(number)) => number.to_string(),
        Err(_) => return Err(D::Error::custom("interchange_format_version is not a text")),
    };
    if found == FORMAT_VERSION {
        return Ok(());
    }
    Err(D::Error::custom(format!(
        "interchange_format_version is {}, but only version {FORMAT_VERSION} can be read",
        quote(&found)
    )))
}

/// Go writes a list without elements as `null`.
fn null_is_empty<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

fn slot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Slot, D::Error> {
    let slot = Slot::deserialize(deserializer)?;
    storable(slot.0).map(Slot)
}

fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
    let epoch = Epoch::deserialize(deserializer)?;
    storable(epoch.0).map(Epoch)
}

fn storable<E: de::Error>(number: u64) -> Result<u64, E> {
    if number <= LARGEST {
        return Ok(number);
    }
    Err(E::custom(format!(
        "{number} is above {LARGEST} (2^63 - 1), the largest slot or epoch that can be stored"
    )))
}

fn public_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    without_prefix(&text).parse().map_err(|error| D::Error::custom(format!("public key: {error}")))
}

fn root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Root, D::Error> {
    exact_root(&String::deserialize(deserializer)?)
}

fn optional_root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Root>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if without_prefix(&text).is_empty() {
        return Ok(None);
    }
    Ok(Some(exact_root(&text)?).filter(|root| *root != Root::ZERO))
}

/// [`Root`] itself would take fewer digits, too.
fn exact_root<E: de::Error>(text: &str) -> Result<Root, E> {
    let digits = without_prefix(text);
    if digits.len() != 2 * Root::SIZE {
        let found = digits.len();
        return Err(E::custom(format!("expected a root of 64 hexadecimal digits, found {found}")));
    }
    digits.parse().map_err(E::custom)
}

fn without_prefix(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

impl KeyFailure {
    /// The key, when the file names one.
    pub(super) fn key(&self) -> Option<PublicKey> {
        without_prefix(self.public_key.as_deref()?).parse().ok()
    }
}
