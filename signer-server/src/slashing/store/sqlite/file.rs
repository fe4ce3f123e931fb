//! The database file as the operating system sees it.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::slashing::OpenError;

/// The lock on a file beside the database. It tells a second signer at once and clearly what is
/// going on, where SQLite's own lock would only say "busy".
///
/// The lock is never on the database file itself, and that file is never opened here: closing any
/// descriptor of it would drop SQLite's own locks of this process (fcntl locks work that way).
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
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
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::AlreadyRunning { database: database.to_owned(), lock })
            }
            Err(TryLockError::Error(source)) => Err(OpenError::Unwritable { path: lock, source }),
        }
    }
}

/// Which file a path named when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names that file. A removed database would take records to the grave
    /// while SQLite happily goes on writing to it.
    pub(super) fn is_in_place(&self) -> bool {
        Self::of(&self.path).as_ref() == Some(self)
    }
}
