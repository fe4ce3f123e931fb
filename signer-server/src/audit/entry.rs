//! One row of the audit trail.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};
use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use crate::duty::DutyType;

/// Reason of a row that was written with its slashing record and not completed since: the process
/// ended before it knew whether the signature reached the client. Count it as signed.
pub const UNCONFIRMED: &str = "recorded; the process ended before the answer was confirmed";

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// How a signing request ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Outcome {
            $($(#[$doc])* $variant,)*
        }

        impl Outcome {
            /// Every outcome.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the database and in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The outcome of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|outcome| outcome.name() == name)
            }
        }
    };
}

outcomes! {
    /// The signature was made and handed out.
    Signed = "signed",
    /// The same message as on record was signed again and handed out.
    Repeated = "repeated",
    /// Slashing protection said no.
    Refused = "refused",
    /// No such key is loaded.
    UnknownKey = "unknown_key",
    /// The client may not use this key for this.
    Forbidden = "forbidden",
    /// Too much work was waiting.
    Shed = "shed",
    /// The request made no sense.
    Malformed = "malformed",
    /// The signer could not do its work.
    Failed = "failed",
    /// The client went away before the answer.
    Abandoned = "abandoned",
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Who sent a request, as far as is known. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Address of the connection's other end.
    pub address: Option<IpAddr>,
    /// Name from its certificate or token.
    #[serde(serialize_with = "as_optional_text")]
    pub name: Option<Arc<str>>,
    /// Fingerprint of its certificate.
    #[serde(serialize_with = "as_optional_text")]
    pub fingerprint: Option<Arc<str>>,
}

impl Client {
    /// Whether this is its address, its name or, in any case, its fingerprint.
    pub fn is_called(&self, text: &str) -> bool {
        self.address.is_some_and(|address| address.to_string() == text)
            || self.name.as_deref() == Some(text)
            || self.fingerprint.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(text))
    }
}

/// One signing request and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Ascends in the order in which requests arrived; also the cursor for reading.
    #[serde(serialize_with = "super::id_text::serialize")]
    pub id: i64,
    /// Microseconds since 1970-01-01 UTC; in JSON as RFC 3339 text.
    #[serde(rename = "time", serialize_with = "as_rfc3339")]
    pub received_at_us: i64,
    /// Name of the signer process.
    #[serde(serialize_with = "as_text")]
    pub instance: Arc<str>,
    /// Who asked.
    pub client: Client,
    /// The requested key.
    pub key: Option<PublicKey>,
    /// What the request named, when that is no public key; at most 128 characters of it.
    pub identifier: Option<String>,
    /// What was asked for; absent when the request was not understood that far.
    #[serde(rename = "type", serialize_with = "as_duty_name")]
    pub duty_type: Option<DutyType>,
    /// Slot of the signed object. Slots and epochs above 2^63 - 1 are written as that.
    pub slot: Option<Slot>,
    /// Epoch of the signed object, when it has no slot; of an attestation: its target.
    pub epoch: Option<Epoch>,
    /// The signed 32 bytes.
    pub signing_root: Option<Root>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in words, where the outcome does not say it all.
    pub reason: Option<String>,
    /// Microseconds waited for a signing thread.
    pub queue_us: Option<u64>,
    /// Microseconds from asking slashing protection to its durable answer.
    pub database_us: Option<u64>,
    /// Microseconds of the signature itself.
    pub bls_us: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn as_rfc3339<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_microsecond(*micros) {
        Ok(time) => serializer.collect_str(&format_args!("{time:.6}")),
        Err(_) => serializer.serialize_i64(*micros),
    }
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn as_optional_text<S: Serializer>(
    text: &Option<Arc<str>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn as_duty_name<S: Serializer>(
    duty_type: &Option<DutyType>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duty_type.map(DutyType::name).serialize(serializer)
}

/// Whole microseconds, below 2^63.
pub(super) fn micros(duration: Duration) -> u64 {
    let largest = i64::MAX.cast_unsigned();
    u64::try_from(duration.as_micros()).map_or(largest, |micros| micros.min(largest))
}
