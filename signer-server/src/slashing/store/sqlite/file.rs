//! The database's files as the operating system sees them.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::slashing::{OpenError, StoreError};

/// The lock on a file beside the database. It tells a second signer at once and clearly what is
/// going on, where SQLite's own lock would only say "busy".
///
/// The lock is never on the database file itself, and that file is never opened here: closing any
/// descriptor of it would drop SQLite's own locks of this process (fcntl locks work that way).
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock for `database` or says who has it. The lock file stays when it is let go:
    /// removing it could take it from under a process that just opened it.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut lock = database.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(|source| OpenError::Unwritable { path: lock.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::AlreadyRunning { database: database.to_owned(), lock })
            }
            Err(TryLockError::Error(source)) => Err(OpenError::Unwritable { path: lock, source }),
        }
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child process that another thread has just forked shares it
    /// until it has become another program.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock file goes with the process");
        }
    }
}

/// Which files the database and its log were when they were looked at.
///
/// SQLite happily goes on writing to a removed file, which then takes the records to the grave. New
/// records are in the log until the next checkpoint, so the log counts as much as the database.
#[derive(Clone, Debug)]
pub(super) struct FileIdentity {
    path: PathBuf,
    database: Inode,
    log_path: PathBuf,
    log: Inode,
}

/// Device and number of a file.
type Inode = (u64, u64);

fn inode(path: &Path) -> Option<Inode> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl FileIdentity {
    /// `None` when one of them is missing. The log is there from the first write of a connection
    /// to its end.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // SQLite follows links and keeps the log beside the real file.
        let mut log_path = fs::canonicalize(path).ok()?.into_os_string();
        log_path.push("-wal");
        let log_path = PathBuf::from(log_path);
        let (database, log) = (inode(path)?, inode(&log_path)?);
        Some(Self { path: path.to_owned(), database, log_path, log })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the paths still name both files.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        if !self.database_is_in_place() {
            Err(StoreError::Replaced)
        } else if inode(&self.log_path) != Some(self.log) {
            Err(StoreError::LogReplaced)
        } else {
            Ok(())
        }
    }

    /// Whether the path still names the database, whatever became of the log: every connection
    /// makes its own.
    pub(super) fn database_is_in_place(&self) -> bool {
        inode(&self.path) == Some(self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_let_go_at_once_even_while_a_forked_process_shares_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("slashing.sqlite");
        let lock = Lock::take(&database).unwrap();
        // The same open file twice, as after a fork.
        let shared = lock.file.try_clone().unwrap();
        assert!(matches!(Lock::take(&database), Err(OpenError::AlreadyRunning { .. })));
        drop(lock);
        Lock::take(&database).unwrap();
        drop(shared);
    }
}
