//! The figures of the process that every Prometheus client library offers, read from `/proc/self`
//! each time the page is asked for, and the memory of its secret keys.
//!
//! Where a figure can't be read (no `/proc`, as on macOS) its metric is left out.

use std::{fmt, fs, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use rustix::process::{Resource, getrlimit};

use super::names::{self, Name};
use crate::bls::locked_memory;

/// Reads the figures for the page.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(stat) = &stat {
            let cpu_time = ConstCounter::new(ticks(stat.cpu_ticks).as_secs_f64());
            let Name { family, help } = names::CPU_SECONDS;
            let descriptor =
                encoder.encode_descriptor(family, &sentence(help), None, cpu_time.metric_type())?;
            cpu_time.encode(descriptor)?;
        }
        gauge(&mut encoder, names::START_TIME, stat.as_ref().and_then(start_time))?;
        gauge(&mut encoder, names::OPEN_FILES, open_files())?;
        // No limit is no number.
        gauge(&mut encoder, names::MAX_FILES, getrlimit(Resource::Nofile).current)?;
        gauge(&mut encoder, names::RESIDENT_MEMORY, memory(&status, "VmRSS:"))?;
        gauge(&mut encoder, names::VIRTUAL_MEMORY, memory(&status, "VmSize:"))?;
        let keys = locked_memory();
        gauge(&mut encoder, names::KEY_PAGES, u64::try_from(keys.pages).ok())?;
        let not_locked = u64::try_from(keys.pages_not_locked).ok();
        gauge(&mut encoder, names::KEY_PAGES_NOT_LOCKED, not_locked)
    }
}

/// The explanation as `prometheus-client` writes it for metrics that are not collected.
fn sentence(help: &str) -> String {
    format!("{help}.")
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: Name, value: Option<u64>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    let gauge = ConstGauge::new(value);
    let descriptor =
        encoder.encode_descriptor(name.family, &sentence(name.help), None, gauge.metric_type())?;
    gauge.encode(descriptor)
}

/// The fields of `/proc/self/stat` that are needed here, in clock ticks (`proc_pid_stat(5)`).
#[derive(Debug, PartialEq)]
struct Stat {
    /// User and system time.
    cpu_ticks: u64,
    /// Start of the process, since the machine started.
    start_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may hold anything, also
        // spaces and parentheses; the third field follows the last closing one.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second())
}

/// Start of the process in seconds since 1970.
fn start_time(stat: &Stat) -> Option<u64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let machine_start: u64 =
        machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(machine_start + ticks(stat.start_ticks).as_secs())
}

fn open_files() -> Option<u64> {
    // Reading the folder opens it, so it counts itself.
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(entries.saturating_sub(1)).ok()
}

/// A size out of `/proc/self/status`, in bytes.
fn memory(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 9000 20";
        assert_eq!(Stat::parse(line), Some(Stat { cpu_ticks: 300, start_ticks: 9000 }));
        assert_eq!(Stat::parse("7 (short) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tsigner\nVmSize:\t  2048 kB\nVmRSS:\t    3 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(3 * 1024));
        assert_eq!(memory(status, "VmSize:"), Some(2048 * 1024));
        assert_eq!(memory(status, "VmLck:"), None);
    }
}
