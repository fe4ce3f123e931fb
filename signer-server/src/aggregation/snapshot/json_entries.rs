//! The entries of the JSON form: each read by itself, so that a bad one is only a bad one.

use std::borrow::Cow;

use midslot_aggregation::{KeyBytes, Positions, RejectReason, SignatureBytes};
use serde::Deserialize;
use serde_json::value::RawValue;
use signer_client::wire::{PublicKey, QuotedU64, Signature};

use super::{
    MAX_TAG_BYTES, Note,
    envelope::{EnvelopeChild, EnvelopeSingle},
    json::shortened,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Single<'a> {
    pos: Pos,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(borrow)]
    pubkey: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tag: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a position or a list of positions")]
enum Pos {
    One(QuotedU64),
    Several(Vec<QuotedU64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Child<'a> {
    #[serde(borrow)]
    bits: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    #[serde(borrow)]
    tag: Option<Cow<'a, str>>,
}

pub(super) fn listed_key(raw: &RawValue) -> KeyBytes {
    if raw.get() == "null" {
        return KeyBytes::Missing;
    }
    serde_json::from_str::<Cow<'_, str>>(raw.get()).map_or(KeyBytes::Unreadable, |text| key(&text))
}

pub(super) fn single(raw: &RawValue) -> EnvelopeSingle {
    let single: Single<'_> = match serde_json::from_str(raw.get()) {
        Ok(single) => single,
        Err(error) => {
            return EnvelopeSingle {
                positions: Positions::Several(Box::default()),
                signature: SignatureBytes::Unreadable,
                pubkey: None,
                tag: None,
                note: Some(unreadable(&error)),
            };
        }
    };
    let positions = match single.pos {
        Pos::One(position) => Positions::One(narrow(position)),
        Pos::Several(positions) => Positions::Several(positions.into_iter().map(narrow).collect()),
    };
    let (tag, note) = tag(single.tag);
    let (signature, note) = signature(&single.signature, note);
    EnvelopeSingle { positions, signature, pubkey: single.pubkey.map(|text| key(&text)), tag, note }
}

pub(super) fn child(raw: &RawValue) -> EnvelopeChild {
    match serde_json::from_str::<Child<'_>>(raw.get()) {
        Ok(child) => {
            let (tag, note) = tag(child.tag);
            let (signature, note) = signature(&child.signature, note);
            EnvelopeChild { bits: bytes(&child.bits), signature, tag, note }
        }
        Err(error) => EnvelopeChild {
            bits: None,
            signature: SignatureBytes::Unreadable,
            tag: None,
            note: Some(unreadable(&error)),
        },
    }
}

/// Positions end far below 65,535, which stands for all that lie beyond.
fn narrow(QuotedU64(position): QuotedU64) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}

fn key(text: &str) -> KeyBytes {
    text.parse().map_or(KeyBytes::Unreadable, |PublicKey(bytes)| KeyBytes::Compressed(bytes))
}

/// A signature, with a note if it is none.
fn signature(text: &str, note: Option<Note>) -> (SignatureBytes, Option<Note>) {
    if let Ok(Signature(bytes)) = text.parse() {
        return (SignatureBytes::Compressed(bytes), note);
    }
    let (signature, reason, detail) = match bytes(text) {
        Some(bytes) => (
            SignatureBytes::WrongLength,
            RejectReason::BadLength,
            format!("signature has {} bytes, not 96", bytes.len()),
        ),
        None => (
            SignatureBytes::Unreadable,
            RejectReason::BadEncoding,
            "signature is not hexadecimal".to_owned(),
        ),
    };
    (signature, note.or(Some(Note { reason, detail })))
}

/// Hexadecimal text of any length, with or without its prefix.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // The decoder would take another prefix.
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hexadecimal { const_hex::decode(digits).ok() } else { None }
}

fn tag(tag: Option<Cow<'_, str>>) -> (Option<Box<str>>, Option<Note>) {
    match tag {
        Some(tag) if tag.len() > MAX_TAG_BYTES => {
            let detail = format!("tag has {} bytes; at most {MAX_TAG_BYTES} are kept", tag.len());
            (None, Some(Note { reason: RejectReason::BadEncoding, detail }))
        }
        Some(tag) => (Some(tag.into()), None),
        None => (None, None),
    }
}

fn unreadable(error: &serde_json::Error) -> Note {
    Note { reason: RejectReason::BadEncoding, detail: shortened(&error.to_string()) }
}
