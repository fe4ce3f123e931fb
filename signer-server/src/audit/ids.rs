//! Ids of audit rows: they ascend in the order in which requests arrive.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock;

/// Bits of an id from the clock that name the signer.
const INSTANCE_BITS: u32 = 10;

/// Where ids come from.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Last one given: an id, or the microseconds of one.
    last: AtomicI64,
    /// Number of this signer among those of the database; `None` when it is alone.
    instance: Option<i64>,
}

impl Ids {
    /// For a database that one signer owns: one after the other.
    pub(crate) const fn counting_from(next: i64) -> Self {
        Self { last: AtomicI64::new(next.saturating_sub(1)), instance: None }
    }

    /// For a database that signers share: microseconds since 1970-01-01 UTC times 1024, plus the
    /// signer's number modulo 1024. Positive until the year 2255.
    pub(crate) const fn from_clock(instance: i64) -> Self {
        let instance = instance.rem_euclid(1 << INSTANCE_BITS);
        Self { last: AtomicI64::new(0), instance: Some(instance) }
    }

    /// Lowest id from the clock that a request which arrives at this time can get.
    pub(crate) const fn first_at(micros: i64) -> i64 {
        micros.saturating_mul(1 << INSTANCE_BITS)
    }

    pub(super) fn next(&self) -> i64 {
        match self.instance {
            None => self.last.fetch_add(1, Ordering::Relaxed) + 1,
            Some(instance) => {
                (self.next_micros(clock::now_unix_micros()) << INSTANCE_BITS) | instance
            }
        }
    }

    /// The time, moved on where it stands still or goes back.
    fn next_micros(&self, now: i64) -> i64 {
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        let (Ok(last) | Err(last)) = last;
        now.max(last + 1)
    }
}

impl From<i64> for Ids {
    fn from(next: i64) -> Self {
        Self::counting_from(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lonely_signer_counts() {
        let ids = Ids::counting_from(7);
        assert_eq!([ids.next(), ids.next(), ids.next()], [7, 8, 9]);
    }

    #[test]
    fn ids_from_the_clock_ascend_and_never_meet() {
        let (one, other) = (Ids::from_clock(1), Ids::from_clock(1026));
        let mut seen = std::collections::HashSet::new();
        let mut last = (0, 0);
        for _ in 0..10_000 {
            let now = (one.next(), other.next());
            assert!(now.0 > last.0 && now.1 > last.1);
            assert!(seen.insert(now.0) && seen.insert(now.1));
            last = now;
        }
        assert_eq!((last.0 % 1024, last.1 % 1024), (1, 2));
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let ids = Ids::from_clock(0);
        assert_eq!(ids.next_micros(100), 100);
        assert_eq!(ids.next_micros(50), 101);
        assert_eq!(ids.next_micros(101), 102);
        assert_eq!(ids.next_micros(200), 200);
    }
}
