//! Filters as people write them: in the query of `GET /midslot/v1/audit` and as options of
//! `signer-server audit`, with the same names and the same forms.

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Filter, Outcome};
use crate::{duty::DutyType, keys::parse_identifier};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The conditions of a [`Filter`] as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterText {
    /// A public key.
    pub key: Option<String>,
    /// A client's address, name or fingerprint.
    pub client: Option<String>,
    /// A type of request, in any case.
    pub duty_type: Option<String>,
    /// An outcome.
    pub outcome: Option<String>,
    /// A time: RFC 3339, a date, or how long ago (`90m`, `36h`, `7d`).
    pub since: Option<String>,
    /// A time in the same forms.
    pub until: Option<String>,
    /// A slot, or a range (`100-200`, `100-`, `-200`) with both ends in it.
    pub slot: Option<String>,
    /// An epoch, or a range of them.
    pub epoch: Option<String>,
}

/// A condition that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}, found {found:?}")]
pub struct BadCondition {
    /// Name of the parameter, and of the option.
    pub name: &'static str,
    /// What its value must be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl FilterText {
    /// The filter that these texts mean at `now_us` (microseconds since 1970-01-01 UTC), without a
    /// limit.
    ///
    /// # Errors
    /// Names the first text that means nothing.
    pub fn parse(&self, now_us: i64) -> Result<Filter, BadCondition> {
        let type_named = |name: &str| {
            DutyType::ALL.iter().copied().find(|known| known.name().eq_ignore_ascii_case(name))
        };
        let types = || one_of(DutyType::ALL.iter().map(|known| known.name()));
        let outcomes = || one_of(Outcome::ALL.iter().map(|known| known.name()));
        let time = |text: &str| time(text, now_us);
        Ok(Filter {
            limit: 0,
            before_id: None,
            key: known("key", self.key.as_ref(), parse_identifier, || "a public key of 48 bytes")?,
            client: known("client", self.client.as_ref(), client, || "a text")?,
            duty_type: known("type", self.duty_type.as_ref(), type_named, types)?,
            outcome: known("outcome", self.outcome.as_ref(), Outcome::from_name, outcomes)?,
            since_us: known("since", self.since.as_ref(), time, || TIME)?,
            until_us: known("until", self.until.as_ref(), time, || TIME)?,
            slots: known("slot", self.slot.as_ref(), range, || RANGE)?,
            epochs: known("epoch", self.epoch.as_ref(), range, || RANGE)?,
        })
    }
}

impl Filter {
    /// The conditions as parameters of `GET /midslot/v1/audit`, which mean the same at any time.
    pub fn to_parameters(&self) -> Vec<(&'static str, String)> {
        let range = |range: &RangeInclusive<u64>| format!("{}-{}", range.start(), range.end());
        let time = |micros: i64| {
            Timestamp::from_microsecond(micros)
                .map_or_else(|_| micros.to_string(), |t| t.to_string())
        };
        let parameters = [
            ("limit", (self.limit > 0).then(|| self.limit.to_string())),
            ("before", self.before_id.map(|id| id.to_string())),
            ("key", self.key.map(|key| key.to_string())),
            ("client", self.client.clone()),
            ("type", self.duty_type.map(|duty_type| duty_type.name().to_owned())),
            ("outcome", self.outcome.map(|outcome| outcome.name().to_owned())),
            ("since", self.since_us.map(time)),
            ("until", self.until_us.map(time)),
            ("slot", self.slots.as_ref().map(range)),
            ("epoch", self.epochs.as_ref().map(range)),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

const TIME: &str = "a time such as 2026-03-01T12:00:04Z, a date such as 2026-03-01 (UTC), or how \
                    long ago, such as 90m, 36h or 7d";
const RANGE: &str = "a number, or a range such as 100-200, 100- or -200";

/// Reads a text that may be absent.
fn known<T, E: Display>(
    name: &'static str,
    text: Option<&String>,
    read: impl Fn(&str) -> Option<T>,
    expected: impl Fn() -> E,
) -> Result<Option<T>, BadCondition> {
    let Some(text) = text else { return Ok(None) };
    match read(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(BadCondition { name, expected: expected().to_string(), found: text.clone() }),
    }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", names.collect::<Vec<_>>().join(", "))
}

/// Addresses are stored in their shortest form.
fn client(text: &str) -> Option<String> {
    let address = text.parse::<IpAddr>().map(|address| address.to_string());
    Some(address.unwrap_or_else(|_| text.to_owned())).filter(|text| !text.is_empty())
}

fn number(text: &str) -> Option<u64> {
    // `u64::from_str` would take a leading plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn range(text: &str) -> Option<RangeInclusive<u64>> {
    let Some((first, last)) = text.split_once('-') else {
        return number(text).map(|only| only..=only);
    };
    let end = |text: &str, open| if text.is_empty() { Some(open) } else { number(text) };
    let range = end(first, 0)?..=end(last, u64::MAX)?;
    let has_an_end = !(first.is_empty() && last.is_empty());
    (has_an_end && !range.is_empty()).then_some(range)
}

/// Microseconds since 1970-01-01 UTC.
fn time(text: &str, now_us: i64) -> Option<i64> {
    let ago = text.char_indices().next_back().and_then(|(last, unit)| {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let count = i64::try_from(number(&text[..last])?).ok()?;
        Some(count.saturating_mul(seconds).saturating_mul(MICROS_PER_SECOND))
    });
    if let Some(ago) = ago {
        return Some(now_us.saturating_sub(ago));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_microsecond());
    }
    // A date with a time but without a zone would be guesswork.
    let date: Date = (text.len() == "2026-03-01".len()).then(|| text.parse().ok())??;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}
