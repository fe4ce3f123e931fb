//! Summaries: quantiles of the durations of the last minutes, with a count and a sum of all time.
//!
//! `Web3Signer`'s timers are Prometheus summaries, and its dashboards read their quantiles;
//! `prometheus-client` has no such type. A quantile here is within 1 % of the exact one. One
//! summary takes about 45 kB whatever the number of observations, and its lock is held for an
//! increment (and, when the page is rendered, for one pass over the buckets).

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::names::Name;

/// The quantiles of `Web3Signer`'s summaries: the text of the label, and the same in percent.
const QUANTILES: [(&str, u64); 6] =
    [("0.2", 20), ("0.5", 50), ("0.8", 80), ("0.95", 95), ("0.99", 99), ("1.0", 100)];

/// Quantiles look back over this many ages ...
const AGES: usize = 5;
/// ... of this length each, so between four and five minutes.
const AGE: Duration = Duration::from_mins(1);

/// Every power of two of nanoseconds is cut into 2^6 buckets of equal width, so a bucket's middle
/// is within 1/128 of every value in it.
const SUB_BUCKET_BITS: u32 = 6;
const SUB_BUCKETS: usize = 1 << SUB_BUCKET_BITS;
/// Longer durations (18 minutes) share the last bucket.
const LARGEST_BITS: u32 = 40;
const BUCKETS: usize = SUB_BUCKETS * (LARGEST_BITS - SUB_BUCKET_BITS + 1) as usize;

/// The bucket of a duration.
fn bucket(nanoseconds: u64) -> usize {
    let value = nanoseconds.min((1 << LARGEST_BITS) - 1);
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BUCKET_BITS + 1);
    // At most 2 * SUB_BUCKETS - 1, so it fits everywhere.
    let leading_digits = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    leading_digits + SUB_BUCKETS * shift as usize
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let (shift, leading_digits) = if bucket < 2 * SUB_BUCKETS {
        (0, bucket)
    } else {
        (bucket / SUB_BUCKETS - 1, bucket % SUB_BUCKETS + SUB_BUCKETS)
    };
    ((leading_digits as u64) << shift) + ((1 << shift) >> 1)
}

/// The observations of one age.
#[derive(Debug)]
struct Age {
    counts: Box<[u32]>,
    /// Smallest and largest observation, in nanoseconds.
    range: Option<(u64, u64)>,
}

impl Age {
    fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into(), range: None }
    }

    fn clear(&mut self) {
        if self.range.take().is_some() {
            self.counts.fill(0);
        }
    }
}

#[derive(Debug)]
struct State {
    /// A ring: the age after the current one is the oldest.
    ages: [Age; AGES],
    current: usize,
    /// When the current age began.
    began: Instant,
    /// Of all time, not only of the ages kept.
    count: u64,
    sum: Duration,
}

impl State {
    /// Forgets what is too old.
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).as_secs() / AGE.as_secs();
        if passed == 0 {
            return;
        }
        for _ in 0..passed.min(AGES as u64) {
            self.current = (self.current + 1) % AGES;
            self.ages[self.current].clear();
        }
        self.began += Duration::from_secs(passed * AGE.as_secs());
    }
}

/// One series of a summary; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Summary(Arc<Mutex<State>>);

/// What the page shows of one series.
#[derive(Debug, PartialEq)]
pub(super) struct Snapshot {
    /// In the order of `QUANTILES`; none without recent observations.
    quantiles: Option<[Duration; QUANTILES.len()]>,
    count: u64,
    sum: Duration,
}

impl Summary {
    pub(super) fn new() -> Self {
        Self::new_at(Instant::now())
    }

    fn new_at(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(State {
            ages: std::array::from_fn(|_| Age::new()),
            current: 0,
            began: now,
            count: 0,
            sum: Duration::ZERO,
        })))
    }

    /// Adds one duration.
    pub(super) fn observe(&self, duration: Duration) {
        self.observe_at(Instant::now(), duration);
    }

    fn observe_at(&self, now: Instant, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanoseconds);
        let mut state = self.0.lock();
        state.advance(now);
        state.count += 1;
        state.sum = state.sum.saturating_add(duration);
        let current = state.current;
        let age = &mut state.ages[current];
        age.counts[bucket] = age.counts[bucket].saturating_add(1);
        let (smallest, largest) = age.range.unwrap_or((nanoseconds, nanoseconds));
        age.range = Some((smallest.min(nanoseconds), largest.max(nanoseconds)));
    }

    fn snapshot_at(&self, now: Instant) -> Snapshot {
        let mut counts = vec![0_u64; BUCKETS];
        let mut range: Option<(u64, u64)> = None;
        let (count, sum) = {
            let mut state = self.0.lock();
            state.advance(now);
            for age in &state.ages {
                let Some((smallest, largest)) = age.range else { continue };
                let (low, high) = range.unwrap_or((smallest, largest));
                range = Some((low.min(smallest), high.max(largest)));
                for (total, count) in counts.iter_mut().zip(&age.counts) {
                    *total += u64::from(*count);
                }
            }
            (state.count, state.sum)
        };
        let quantiles = range.map(|range| {
            QUANTILES.map(|(_, percent)| Duration::from_nanos(quantile(&counts, range, percent)))
        });
        Snapshot { quantiles, count, sum }
    }
}

/// The smallest value, in nanoseconds, that at least `percent` of the observations do not exceed.
fn quantile(counts: &[u64], (smallest, largest): (u64, u64), percent: u64) -> u64 {
    if percent == 100 {
        return largest;
    }
    let rank = (counts.iter().sum::<u64>() * percent).div_ceil(100);
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    found.map_or(largest, middle).clamp(smallest, largest)
}

/// Every series of one summary.
#[derive(Debug)]
pub(super) struct SummaryFamily {
    name: Name,
    series: Vec<(Vec<(&'static str, &'static str)>, Summary)>,
}

impl SummaryFamily {
    pub(super) fn new(name: Name) -> Self {
        Self { name, series: Vec::new() }
    }

    /// Adds a series. Label values must need no escaping.
    pub(super) fn add(&mut self, labels: &[(&'static str, &'static str)]) -> Summary {
        let summary = Summary::new();
        self.series.push((labels.to_vec(), summary.clone()));
        summary
    }

    /// Writes the family in the `OpenMetrics` text format (`OpenMetrics` 1.0, section "Summary"):
    /// quantiles without observations are `NaN`.
    pub(super) fn write(&self, page: &mut String) -> fmt::Result {
        self.write_at(Instant::now(), page)
    }

    fn write_at(&self, now: Instant, page: &mut String) -> fmt::Result {
        let Name { family, help } = self.name;
        writeln!(page, "# HELP {family} {help}.\n# TYPE {family} summary")?;
        for (labels, summary) in &self.series {
            let snapshot = summary.snapshot_at(now);
            for (position, (quantile, _)) in QUANTILES.iter().enumerate() {
                let value =
                    snapshot.quantiles.map_or(f64::NAN, |values| values[position].as_secs_f64());
                let labels = braced(labels.iter().chain([&("quantile", *quantile)]));
                writeln!(page, "{family}{labels} {value:?}")?;
            }
            let labels = braced(labels.iter());
            writeln!(page, "{family}_count{labels} {}", snapshot.count)?;
            writeln!(page, "{family}_sum{labels} {:?}", snapshot.sum.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Labels in the form `{name="value",...}`; nothing when there are none.
fn braced<'a>(labels: impl Iterator<Item = &'a (&'static str, &'static str)>) -> String {
    let list: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    if list.is_empty() { String::new() } else { format!("{{{}}}", list.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name { family: "test_duration", help: "Seconds of a test" };

    #[test]
    fn buckets_are_contiguous_and_their_middle_is_within_one_percent() {
        assert_eq!(bucket((1 << LARGEST_BITS) - 1), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        let mut previous = 0;
        for power in 0..LARGEST_BITS {
            for step in 0..200 {
                let value = (1_u64 << power) + ((1_u64 << power) * step) / 200;
                let found = bucket(value);
                assert!(found == previous || found >= previous, "{value}");
                assert!(middle(found).abs_diff(value) * 100 <= value, "{value}");
                assert_eq!(bucket(middle(found)), found, "{value}");
                previous = found;
            }
        }
        for index in 0..BUCKETS {
            assert_eq!(bucket(middle(index)), index);
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let start = Instant::now();
        let summary = Summary::new_at(start);
        // 1 ms to 1000 ms, in an order that is not sorted: 7 and 1000 have no common divisor.
        for step in 0..1000_u64 {
            summary.observe_at(start, Duration::from_millis(step * 7 % 1000 + 1));
        }
        let snapshot = summary.snapshot_at(start);
        assert_eq!(snapshot.count, 1000);
        assert_eq!(snapshot.sum, Duration::from_millis(500_500));
        let expected = [200, 500, 800, 950, 990, 1000].map(Duration::from_millis);
        for (found, expected) in snapshot.quantiles.unwrap().into_iter().zip(expected) {
            assert!(found.abs_diff(expected) * 100 <= expected, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn the_largest_observation_is_exact_and_one_observation_is_every_quantile() {
        let start = Instant::now();
        let summary = Summary::new_at(start);
        let only = Duration::from_nanos(123_456_789);
        summary.observe_at(start, only);
        assert_eq!(summary.snapshot_at(start).quantiles, Some([only; 6]));
    }

    #[test]
    fn old_observations_leave_the_quantiles_but_not_the_count() {
        let start = Instant::now();
        let summary = Summary::new_at(start);
        summary.observe_at(start, Duration::from_secs(3));
        let later = start + 4 * AGE;
        summary.observe_at(later, Duration::from_secs(1));
        let both = summary.snapshot_at(later).quantiles.unwrap();
        assert!(both[0].abs_diff(Duration::from_secs(1)) <= Duration::from_millis(10), "{both:?}");
        assert_eq!(both[5], Duration::from_secs(3));

        let one = summary.snapshot_at(start + 5 * AGE);
        assert_eq!(one.quantiles, Some([Duration::from_secs(1); 6]));
        assert_eq!((one.count, one.sum), (2, Duration::from_secs(4)));

        let none = summary.snapshot_at(start + 1000 * AGE);
        assert_eq!((none.quantiles, none.count), (None, 2));
    }

    #[test]
    fn a_family_is_written_with_labels_quantiles_count_and_sum() {
        let mut family = SummaryFamily::new(NAME);
        let summary = family.add(&[("kind", "a")]);
        family.add(&[("kind", "b")]);
        summary.observe(Duration::from_micros(400));
        summary.observe(Duration::from_micros(400));
        let mut page = String::new();
        family.write(&mut page).unwrap();
        let expected = "# HELP test_duration Seconds of a test.\n\
             # TYPE test_duration summary\n\
             test_duration{kind=\"a\",quantile=\"0.2\"} 0.0004\n\
             test_duration{kind=\"a\",quantile=\"0.5\"} 0.0004\n\
             test_duration{kind=\"a\",quantile=\"0.8\"} 0.0004\n\
             test_duration{kind=\"a\",quantile=\"0.95\"} 0.0004\n\
             test_duration{kind=\"a\",quantile=\"0.99\"} 0.0004\n\
             test_duration{kind=\"a\",quantile=\"1.0\"} 0.0004\n\
             test_duration_count{kind=\"a\"} 2\n\
             test_duration_sum{kind=\"a\"} 0.0008\n\
             test_duration{kind=\"b\",quantile=\"0.2\"} NaN\n";
        assert!(page.starts_with(expected), "{page}");
        assert!(
            page.ends_with(
                "test_duration_count{kind=\"b\"} 0\ntest_duration_sum{kind=\"b\"} 0.0\n"
            )
        );
    }
}
