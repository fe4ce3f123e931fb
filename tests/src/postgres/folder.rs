//! The folder of a cluster, with the guard that outlives this process to clean up behind it.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// User and group without any rights, by the convention of Linux. PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// Names the folder where clusters are made, ahead of any choice.
const OVERRIDE: &str = "MIDSLOT_POSTGRES_FOLDER";
/// A file system in memory: a process that crashes finds there what it would find on a disk.
const MEMORY: &str = "/dev/shm";
/// What must be free there, in bytes; a cluster takes 60 to 200 MB.
const MEMORY_NEEDED: u64 = 4 << 30;

/// Where a cluster lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In memory where there is enough, because a start or a new database costs hundreds of writes
    /// that wait for the disk.
    Fast,
    /// In the temporary folder, for a test or figure that is about the disk.
    Disk,
}

impl Place {
    fn folder(self) -> PathBuf {
        if let Some(folder) = std::env::var_os(OVERRIDE) {
            return folder.into();
        }
        let has_memory = rustix::fs::statvfs(MEMORY)
            .is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) >= MEMORY_NEEDED);
        if self == Self::Fast && has_memory { MEMORY.into() } else { std::env::temp_dir() }
    }
}

/// A private folder. Dropping it ends every process that works in its data folder and removes it;
/// the end of this process, even by `kill -9`, does the same.
#[derive(Debug)]
pub(super) struct ClusterFolder {
    path: PathBuf,
    guard: Child,
}

impl ClusterFolder {
    /// Makes an empty folder that belongs to the user the server will run as.
    pub(super) fn create(place: Place) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("midslot-pg-").tempdir_in(place.folder())?;
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let path = folder.path().canonicalize()?;
        let guard = Command::new("/bin/sh")
            .args(["-c", include_str!("guard.sh"), "midslot-postgres-guard"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the group of the tests, and must not end the one who cleans up.
            .process_group(0)
            .spawn()
            .context("starting the guard of the cluster's folder")?;
        // From here on the guard removes it.
        let _kept = folder.keep();
        Ok(Self { path, guard })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the server works, and what a backup copies.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// What the server printed.
    pub(super) fn log_file(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// The settings of the tests. Not in the data folder, so that they stay when that one goes back
    /// in time.
    pub(super) fn settings_file(&self) -> PathBuf {
        self.path.join("midslot.conf")
    }

    /// A program that will run as the user of the folder, in it, without settings of PostgreSQL
    /// that somebody has in the environment, and out of reach of Ctrl-C.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path).stdin(Stdio::null()).process_group(0);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs a program as [`Self::command`] does, to its end.
    pub(super) async fn run(&self, program: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(program);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let output = command.kill_on_drop(true).output().await;
        let output = output.with_context(|| format!("starting {}", program.display()))?;
        ensure!(
            output.status.success(),
            "{} ended with {}:\n{}{}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl Drop for ClusterFolder {
    fn drop(&mut self) {
        // The end of its input is what the guard waits for.
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }
}

/// Writes a file that the user of the folder can read, whatever the mask for new files is.
pub(super) fn write_shared(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    if rustix::process::geteuid().is_root() {
        chown(file, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}
