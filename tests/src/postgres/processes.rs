//! The processes of a cluster. Each of them leads its own process group, so that a signal to a group
//! misses most; but all of them work in the cluster's data folder and nobody else does.

use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};

/// How long the last process may take to end after `SIGKILL`.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every living process whose working directory is this folder.
pub(super) fn processes_in(folder: &Path) -> Result<Vec<Pid>> {
    // The number of the folder, because a process may know it by another path.
    let Ok(folder) = std::fs::metadata(folder) else { return Ok(Vec::new()) };
    let works_there = |process: &Path| {
        // A process that has ended, also one that nobody has waited for, has no working directory.
        std::fs::metadata(process.join("cwd"))
            .is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (folder.dev(), folder.ino()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("the list of processes")?.flatten() {
        let id = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        if let Some(id) = id.filter(|_| works_there(&entry.path())) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Stops every process of the folder. Those that were born meanwhile are found by looking again.
pub(super) fn stop_all(folder: &Path) -> Result<Vec<Pid>> {
    let mut stopped = Vec::new();
    loop {
        let fresh: Vec<_> =
            processes_in(folder)?.into_iter().filter(|id| !stopped.contains(id)).collect();
        if fresh.is_empty() {
            return Ok(stopped);
        }
        for id in fresh {
            send(id, Signal::STOP)?;
            stopped.push(id);
        }
    }
}

/// Lets every process of the folder go on.
pub(super) fn resume_all(folder: &Path) -> Result<()> {
    for id in processes_in(folder)? {
        send(id, Signal::CONT)?;
    }
    Ok(())
}

/// Sends a signal to a process that may just have ended.
fn send(id: Pid, signal: Signal) -> Result<()> {
    match kill_process(id, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("a signal to a process of PostgreSQL"),
    }
}

/// Ends every process of the folder by `SIGKILL`, all in one moment as far as they can tell.
pub(super) async fn kill_all(folder: &Path) -> Result<()> {
    for id in stop_all(folder)? {
        send(id, Signal::KILL)?;
    }
    let start = Instant::now();
    while !processes_in(folder)?.is_empty() {
        ensure!(start.elapsed() < PATIENCE, "a killed process of PostgreSQL stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
