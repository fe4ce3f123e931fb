//! What Linux tells of a running process.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::Pid;

/// One thread of a process.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its name, at most 15 characters.
    pub name: String,
    /// Its nice value: above 0 it gives way to others.
    pub nice: i64,
    /// Processor time used, user and system, in clock ticks (usually 10 ms).
    pub cpu_ticks: u64,
}

fn folder(process: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()))
}

/// The threads of a process.
///
/// # Errors
/// When the process has ended.
pub fn threads(process: Pid) -> Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(folder(process).join("task"))? {
        // A thread may end between the two looks.
        let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
        threads.push(parse_stat(&stat).with_context(|| format!("unreadable: {stat}"))?);
    }
    Ok(threads)
}

/// `pid (name) state ...` as in `man proc_pid_stat`; a name may hold blanks and brackets.
fn parse_stat(stat: &str) -> Option<Thread> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    // The first of these is field 3.
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let cpu_ticks = field(14)?.parse::<u64>().ok()? + field(15)?.parse::<u64>().ok()?;
    Some(Thread { name, nice: field(19)?.parse().ok()?, cpu_ticks })
}

/// The most memory that a process has had resident so far, in bytes.
///
/// # Errors
/// When the process has ended.
pub fn peak_memory_bytes(process: Pid) -> Result<u64> {
    let status = std::fs::read_to_string(folder(process).join("status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .context("no VmHWM")?;
    Ok(kib.parse::<u64>()? << 10)
}
