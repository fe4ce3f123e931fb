//! What was measured: latencies, errors and missed deadlines by type and phase.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A block.
    Block,
    /// The proposer's randomness.
    RandaoReveal,
    /// An attestation.
    Attestation,
    /// A sync committee message.
    SyncMessage,
    /// An aggregate.
    Aggregate,
    /// A sync committee contribution.
    Contribution,
    /// A selection proof of an attester.
    SelectionProof,
    /// A selection proof of a member of a sync committee.
    SyncSelectionProof,
    /// Selection proofs of a slot, ahead of need and in one request.
    PreRequest,
    /// What the client asks for besides signatures.
    Probe,
}

impl Kind {
    /// The type in the request, or a name in lower case for what has none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "BLOCK_V2",
            Self::RandaoReveal => "RANDAO_REVEAL",
            Self::Attestation => "ATTESTATION",
            Self::SyncMessage => "SYNC_COMMITTEE_MESSAGE",
            Self::Aggregate => "AGGREGATE_AND_PROOF",
            Self::Contribution => "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
            Self::SelectionProof => "AGGREGATION_SLOT",
            Self::SyncSelectionProof => "SYNC_COMMITTEE_SELECTION_PROOF",
            Self::PreRequest => "pre-request",
            Self::Probe => "probe",
        }
    }
}

/// The third of a slot in which a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The first third: blocks are proposed.
    Proposing,
    /// The second third: validators attest.
    Attesting,
    /// The last third: aggregators aggregate, and after that it is quiet.
    Aggregating,
}

impl Phase {
    /// The phase so far into a slot.
    pub fn of(into_slot: Duration, slot: Duration) -> Self {
        match into_slot.as_nanos() * 3 / slot.as_nanos().max(1) {
            0 => Self::Proposing,
            1 => Self::Attesting,
            _ => Self::Aggregating,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposing => "propose",
            Self::Attesting => "attest",
            Self::Aggregating => "aggregate",
        }
    }
}

/// Why there was no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection, or it broke.
    Connection,
    /// The client's patience ended.
    Timeout,
    /// A status other than 200.
    Status(u16),
    /// An answer that is none.
    Malformed,
    /// The signature is not one of that key over that object.
    WrongSignature,
    /// No answer when the run ended.
    Unanswered,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => formatter.write_str("connection"),
            Self::Timeout => formatter.write_str("timeout"),
            Self::Status(status) => write!(formatter, "status {status}"),
            Self::Malformed => formatter.write_str("malformed answer"),
            Self::WrongSignature => formatter.write_str("wrong signature"),
            Self::Unanswered => formatter.write_str("unanswered at the end"),
        }
    }
}

/// What is known of one type in one phase.
#[derive(Clone, Debug)]
pub struct Series {
    /// In microseconds, of what was answered with a signature.
    latencies: Histogram<u64>,
    /// The longest of them, exactly.
    max_micros: u64,
    /// Requests that were answered or given up.
    pub sent: u64,
    /// Deadlines without a signature.
    pub missed: u64,
    /// Failures by kind.
    pub failures: BTreeMap<Failure, u64>,
}

impl Default for Series {
    fn default() -> Self {
        let mut latencies =
            Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("3 is at most 5"));
        latencies.auto(true);
        Self { latencies, max_micros: 0, sent: 0, missed: 0, failures: BTreeMap::new() }
    }
}

impl Series {
    pub(super) fn add(&mut self, result: Result<Duration, Failure>, in_time: bool) {
        self.sent += 1;
        self.missed += u64::from(!in_time);
        match result {
            Ok(latency) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.max_micros = self.max_micros.max(micros);
                if let Err(error) = self.latencies.record(micros.max(1)) {
                    unreachable!("a histogram that grows by itself: {error}");
                }
            }
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if let Err(error) = self.latencies.add(&other.latencies) {
            unreachable!("a histogram that grows by itself: {error}");
        }
        self.max_micros = self.max_micros.max(other.max_micros);
        self.sent += other.sent;
        self.missed += other.missed;
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
    }

    /// The latency that `percent` of the signatures do not exceed, in milliseconds; `None` without
    /// any signature.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        (!self.latencies.is_empty())
            .then(|| millis(self.latencies.value_at_percentile(percent).min(self.max_micros)))
    }

    /// The longest latency in milliseconds.
    pub fn max_ms(&self) -> Option<f64> {
        self.percentile_ms(100.0)
    }

    /// Failures of all kinds.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 microseconds")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// All series of a run.
#[derive(Debug, Default)]
pub(super) struct Stats {
    series: Mutex<BTreeMap<(Kind, Phase), Series>>,
}

impl Stats {
    pub(super) fn add(
        &self,
        place: (Kind, Phase),
        result: Result<Duration, Failure>,
        in_time: bool,
    ) {
        self.series.lock().entry(place).or_default().add(result, in_time);
    }

    /// Deadlines that passed without a request that could be blamed.
    pub(super) fn missed(&self, place: (Kind, Phase), count: u64) {
        if count > 0 {
            self.series.lock().entry(place).or_default().missed += count;
        }
    }

    /// A signature that was counted turned out to be wrong.
    pub(super) fn wrong(&self, place: (Kind, Phase)) {
        let mut series = self.series.lock();
        *series.entry(place).or_default().failures.entry(Failure::WrongSignature).or_default() += 1;
    }

    pub(super) fn series(&self) -> BTreeMap<(Kind, Phase), Series> {
        self.series.lock().clone()
    }

    /// Sent, failed and missed so far.
    pub(super) fn totals(&self) -> (u64, u64, u64) {
        self.series.lock().values().fold((0, 0, 0), |(sent, failed, missed), series| {
            (sent + series.sent, failed + series.failed(), missed + series.missed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut series = Series::default();
        assert_eq!(series.percentile_ms(50.0), None);
        for millis in 1..=1000 {
            series.add(Ok(Duration::from_millis(millis)), true);
        }
        for (percent, expected) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = series.percentile_ms(percent).unwrap();
            assert!((found / expected - 1.0).abs() < 0.002, "p{percent} is {found}");
        }
        assert_eq!(series.max_ms(), Some(1000.0));
    }

    #[test]
    fn failures_have_no_latency() {
        let mut series = Series::default();
        series.add(Ok(Duration::from_millis(3)), true);
        series.add(Err(Failure::Status(500)), false);
        series.add(Err(Failure::Status(500)), false);
        series.add(Err(Failure::Timeout), false);
        assert_eq!((series.sent, series.missed, series.failed()), (4, 3, 3));
        assert_eq!(series.failures[&Failure::Status(500)], 2);
        assert_eq!(series.max_ms(), Some(3.0));
    }

    #[test]
    fn series_add_up() {
        let stats = Stats::default();
        let place = (Kind::Attestation, Phase::Attesting);
        stats.add(place, Ok(Duration::from_millis(1)), true);
        stats.add((Kind::Attestation, Phase::Aggregating), Ok(Duration::from_millis(9)), false);
        stats.missed(place, 2);
        stats.wrong(place);
        assert_eq!(stats.totals(), (2, 1, 3));
        let mut sum = Series::default();
        for series in stats.series().values() {
            sum.merge(series);
        }
        assert_eq!((sum.sent, sum.missed, sum.max_ms()), (2, 3, Some(9.0)));
    }

    #[test]
    fn a_slot_has_three_phases() {
        let phase = |millis| Phase::of(Duration::from_millis(millis), Duration::from_secs(12));
        assert_eq!(phase(0), Phase::Proposing);
        assert_eq!(phase(3_999), Phase::Proposing);
        assert_eq!(phase(4_000), Phase::Attesting);
        assert_eq!(phase(8_000), Phase::Aggregating);
        assert_eq!(phase(13_000), Phase::Aggregating);
    }
}
