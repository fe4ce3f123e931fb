//! The result of a run, as a table and as JSON.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::stats::{Kind, Phase, Series};

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Type of the request.
    pub duty: &'static str,
    /// Third of the slot in which it was sent; `all` for the sum of them.
    pub phase: &'static str,
    /// Requests that were answered or given up.
    pub sent: u64,
    /// Latencies of what was signed, in milliseconds; absent when nothing was.
    pub p50_ms: Option<f64>,
    /// As above.
    pub p90_ms: Option<f64>,
    /// As above.
    pub p99_ms: Option<f64>,
    /// As above.
    pub max_ms: Option<f64>,
    /// Deadlines that passed without a signature.
    pub missed: u64,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
}

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the client that was played.
    pub profile: &'static str,
    /// Number of validators.
    pub validators: u32,
    /// Slots that were measured.
    pub slots: u64,
    /// Length of a slot in milliseconds.
    pub slot_ms: u64,
    /// What chance was made of.
    pub seed: u64,
    /// By type and phase.
    pub rows: Vec<Row>,
    /// By type.
    pub totals: Vec<Row>,
    /// Signatures that were checked, when that was asked for.
    pub verified: Option<u64>,
    /// How late the generator itself began an action at most, in milliseconds: when this is not
    /// small, the generator's machine was the limit.
    pub generator_lag_ms: f64,
}

impl Row {
    fn new(duty: &'static str, phase: &'static str, series: &Series) -> Self {
        Self {
            duty,
            phase,
            sent: series.sent,
            p50_ms: series.percentile_ms(50.0),
            p90_ms: series.percentile_ms(90.0),
            p99_ms: series.percentile_ms(99.0),
            max_ms: series.max_ms(),
            missed: series.missed,
            errors: series
                .failures
                .iter()
                .map(|(failure, count)| (failure.to_string(), *count))
                .collect(),
        }
    }
}

/// The rows by type and phase, and those by type.
pub(super) fn rows(series: &BTreeMap<(Kind, Phase), Series>) -> (Vec<Row>, Vec<Row>) {
    let mut sums = BTreeMap::<Kind, Series>::new();
    for ((kind, _), series) in series {
        sums.entry(*kind).or_default().merge(series);
    }
    let rows = series
        .iter()
        .map(|((kind, phase), series)| Row::new(kind.name(), phase.name(), series))
        .collect();
    let totals = sums.iter().map(|(kind, series)| Row::new(kind.name(), "all", series)).collect();
    (rows, totals)
}

impl Report {
    /// The sum over all phases of a type, if there was any.
    pub fn total(&self, kind: Kind) -> Option<&Row> {
        self.totals.iter().find(|row| row.duty == kind.name())
    }

    /// Failures of all types.
    pub fn failed(&self) -> u64 {
        self.totals.iter().flat_map(|row| row.errors.values()).sum()
    }

    /// Missed deadlines of all types.
    pub fn missed(&self) -> u64 {
        self.totals.iter().map(|row| row.missed).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}, {} validators, {} slots of {} ms, seed {}",
            self.profile, self.validators, self.slots, self.slot_ms, self.seed
        )?;
        writeln!(
            formatter,
            "{:<38} {:<9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7}  errors",
            "type", "phase", "sent", "p50 ms", "p90 ms", "p99 ms", "max ms", "missed"
        )?;
        for row in &self.rows {
            write!(formatter, "{:<38} {:<9} {:>8}", row.duty, row.phase, row.sent)?;
            for latency in [row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms] {
                match latency {
                    Some(latency) => write!(formatter, " {latency:>9.2}")?,
                    None => write!(formatter, " {:>9}", "-")?,
                }
            }
            let errors: Vec<_> =
                row.errors.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
            let errors = if errors.is_empty() { "-".to_owned() } else { errors.join(", ") };
            writeln!(formatter, " {:>7}  {errors}", row.missed)?;
        }
        if let Some(verified) = self.verified {
            writeln!(formatter, "{verified} signatures verified")?;
        }
        write!(formatter, "the generator itself was at most {:.1} ms late", self.generator_lag_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::stats::Failure;

    fn report() -> Report {
        let mut series = BTreeMap::<_, Series>::new();
        let early = series.entry((Kind::Attestation, Phase::Attesting)).or_default();
        early.add(Ok(Duration::from_millis(2)), true);
        early.add(Ok(Duration::from_millis(4)), true);
        let late = series.entry((Kind::Attestation, Phase::Aggregating)).or_default();
        late.add(Ok(Duration::from_millis(100)), false);
        let block = series.entry((Kind::Block, Phase::Proposing)).or_default();
        block.add(Err(Failure::Status(412)), false);
        let (rows, totals) = rows(&series);
        Report {
            profile: "lighthouse",
            validators: 5,
            slots: 1,
            slot_ms: 12_000,
            seed: 7,
            rows,
            totals,
            verified: Some(3),
            generator_lag_ms: 0.25,
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_type_and_phase() {
        let text = report().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 + 3 + 2, "{text}");
        assert!(lines[2].starts_with("BLOCK_V2"), "{text}");
        assert!(lines[2].ends_with("1  1 x status 412"), "{text}");
        assert!(lines[2].contains(" - "), "{text}");
        assert!(lines[3].contains("attest") && lines[3].contains("2.00"), "{text}");
        assert!(lines[4].contains("aggregate") && lines[4].ends_with("1  -"), "{text}");
        assert_eq!(lines[5], "3 signatures verified");
    }

    #[test]
    fn totals_are_over_all_phases() {
        let report = report();
        let attestations = report.total(Kind::Attestation).unwrap();
        assert_eq!((attestations.sent, attestations.missed), (3, 1));
        assert_eq!(attestations.max_ms, Some(100.0));
        assert_eq!((report.failed(), report.missed()), (1, 2));
        assert_eq!(report.total(Kind::Aggregate), None);
    }

    #[test]
    fn json_has_the_same() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["rows"][0]["duty"], "BLOCK_V2");
        assert_eq!(json["rows"][0]["errors"]["status 412"], 1);
        assert!(json["rows"][0]["p50_ms"].is_null());
        assert_eq!(json["totals"][1]["max_ms"], 100.0);
    }
}
