//! The entries of the JSON form: each read by itself, so that a bad one is only a bad one.

use std::{borrow::Cow, fmt};

use midslot_aggregation::{KeyBytes, Positions, RejectReason, SignatureBytes};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use signer_client::wire::{PublicKey, QuotedU64, Signature};

use super::{
    MAX_POSITIONS_OF_SINGLE, MAX_TAG_BYTES, Note,
    envelope::{EnvelopeChild, EnvelopeSingle},
    json,
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

/// One position or several. Of a list, no more are kept than it takes to see that it is too long: a
/// body of 16 MiB has room for eight million of them.
struct Pos(Positions);

impl<'de> Deserialize<'de> for Pos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Pos;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a position or a list of positions")
            }

            fn visit_u64<E: de::Error>(self, position: u64) -> Result<Pos, E> {
                Ok(Pos(Positions::One(narrow(QuotedU64(position)))))
            }

            fn visit_str<E: de::Error>(self, position: &str) -> Result<Pos, E> {
                QuotedU64::deserialize(position.into_deserializer())
                    .map(|position| Pos(Positions::One(narrow(position))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pos, A::Error> {
                let mut positions = Vec::new();
                while let Some(position) = list.next_element()? {
                    if positions.len() <= MAX_POSITIONS_OF_SINGLE {
                        positions.push(narrow(position));
                    }
                }
                Ok(Pos(Positions::Several(positions.into())))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
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
    let Pos(positions) = single.pos;
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
    Note { reason: RejectReason::BadEncoding, detail: json::reason(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(json: &str) -> Result<Positions, String> {
        serde_json::from_str(json).map(|Pos(pos)| pos).map_err(|error| error.to_string())
    }

    #[test]
    fn positions_are_one_or_several_as_numbers_or_texts() {
        assert_eq!(positions("3"), Ok(Positions::One(3)));
        assert_eq!(positions("\"3\""), Ok(Positions::One(3)));
        assert_eq!(positions("70000"), Ok(Positions::One(u16::MAX)));
        assert_eq!(positions("[1, \"2\"]"), Ok(Positions::Several([1, 2].into())));
        assert_eq!(positions("[]"), Ok(Positions::Several([].into())));
        for bad in ["null", "-1", "1.5", "\"x\"", "[null]", "[[1]]", "{}", "true"] {
            let error = positions(bad).unwrap_err();
            assert!(!error.is_empty(), "{bad}");
        }
        assert!(positions("{}").unwrap_err().contains("a position or a list of positions"));
    }

    #[test]
    fn a_list_of_too_many_positions_is_not_kept() {
        let json = format!(r#"{{"pos":[{}0],"signature":"0x"}}"#, "0,".repeat(1_000_000));
        let raw: Box<RawValue> = serde_json::from_str(&json).unwrap();
        assert_eq!(single(&raw).positions.as_slice().len(), MAX_POSITIONS_OF_SINGLE + 1);
    }
}
