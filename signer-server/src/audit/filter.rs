//! What to read from the audit trail, and the pages that come of it.
//!
//! [`Filter::matches`] says in plain Rust what a filter means; databases answer the same question in
//! SQL, and tests hold the two together.

use std::ops::RangeInclusive;

use serde::Serialize;
use signer_client::wire::PublicKey;

use super::{Entry, Outcome};
use crate::duty::DutyType;

/// Most rows of one page.
pub const MAX_PAGE: usize = 1_000;

/// Parts of the trail that are looked at for one page. A filter that matches next to nothing ends
/// its page early rather than to keep its reader waiting.
const MAX_PARTS: usize = 200;

/// Slots and epochs are stored as at most this.
const LARGEST_STORED: u64 = i64::MAX.cast_unsigned();

/// Which rows to read, newest first. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Most rows to return; above [`MAX_PAGE`] it counts as that.
    pub limit: usize,
    /// Only rows before this one: the cursor of the page before.
    pub before_id: Option<i64>,
    /// Only requests for this key.
    pub key: Option<PublicKey>,
    /// Only requests of the client with this address, name or fingerprint. A fingerprint may be in
    /// any case.
    pub client: Option<String>,
    /// Only requests of this type.
    pub duty_type: Option<DutyType>,
    /// Only requests that ended so.
    pub outcome: Option<Outcome>,
    /// Only requests that arrived then or later, in microseconds since 1970-01-01 UTC.
    pub since_us: Option<i64>,
    /// Only requests that arrived earlier, in microseconds since 1970-01-01 UTC.
    pub until_us: Option<i64>,
    /// Only requests whose object has one of these slots.
    pub slots: Option<RangeInclusive<u64>>,
    /// Only requests whose object has no slot and one of these epochs.
    pub epochs: Option<RangeInclusive<u64>>,
}

impl Filter {
    /// Whether a row fits every condition.
    pub fn matches(&self, entry: &Entry) -> bool {
        fn fits<T>(condition: Option<T>, test: impl FnOnce(T) -> bool) -> bool {
            condition.is_none_or(test)
        }
        let within = |range: &RangeInclusive<u64>, value: Option<u64>| {
            let (first, last) = stored_bounds(range);
            value.is_some_and(|value| (first..=last).contains(&value.min(LARGEST_STORED)))
        };
        fits(self.before_id, |before| entry.id < before)
            && fits(self.key, |key| entry.key == Some(key))
            && fits(self.client.as_deref(), |client| entry.client.is_called(client))
            && fits(self.duty_type, |duty_type| entry.duty_type == Some(duty_type))
            && fits(self.outcome, |outcome| entry.outcome == outcome)
            && fits(self.since_us, |since| entry.received_at_us >= since)
            && fits(self.until_us, |until| entry.received_at_us < until)
            && fits(self.slots.as_ref(), |slots| within(slots, entry.slot.map(|slot| slot.0)))
            && fits(self.epochs.as_ref(), |epochs| within(epochs, entry.epoch.map(|epoch| epoch.0)))
    }
}

/// The first and the last number of a range, as they are stored.
pub(crate) fn stored_bounds(range: &RangeInclusive<u64>) -> (u64, u64) {
    (*range.start().min(&LARGEST_STORED), *range.end().min(&LARGEST_STORED))
}

/// One page of the audit trail, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The rows.
    pub entries: Vec<Entry>,
    /// Cursor for the next page; absent when there is nothing older. A page may have fewer rows
    /// than were asked for, or none, although older ones follow.
    #[serde(rename = "next", serialize_with = "super::id_text::optional::serialize")]
    pub next_before_id: Option<i64>,
}

/// Puts a page together from parts that each look at a bounded number of rows.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    filter: Filter,
    page: Page,
    parts: usize,
    at_the_end: bool,
}

impl PageBuilder {
    pub(crate) fn new(filter: &Filter) -> Self {
        let filter = Filter { limit: filter.limit.min(MAX_PAGE), ..filter.clone() };
        let page = Page { entries: Vec::new(), next_before_id: filter.before_id };
        Self { filter, page, parts: 0, at_the_end: false }
    }

    /// What to read next; `None` once the page is complete.
    pub(crate) fn next_part(&self) -> Option<Filter> {
        let missing = self.filter.limit - self.page.entries.len().min(self.filter.limit);
        let complete = missing == 0 || self.at_the_end || self.parts == MAX_PARTS;
        let before_id = self.page.next_before_id;
        (!complete).then(|| Filter { limit: missing, before_id, ..self.filter.clone() })
    }

    /// Adds what was read, which ends before the row `next_before_id`.
    pub(crate) fn add(&mut self, entries: Vec<Entry>, next_before_id: Option<i64>) {
        self.page.entries.extend(entries);
        self.page.next_before_id = next_before_id;
        self.parts += 1;
        self.at_the_end = next_before_id.is_none();
    }

    pub(crate) fn finish(self) -> Page {
        self.page
    }
}
