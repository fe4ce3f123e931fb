//! The reminder, kept apart from the database, that this signer has registered keys before.
//!
//! A slashing protection database on a volume that does not survive a restart comes back empty and
//! would allow everything again. So once keys are registered, a small file with the database's
//! identity lies in every writable key folder; at the next start a missing or different database
//! stops the signer until the operator confirms. The path of the database does not matter: a data
//! folder may move.
//!
//! The marker also says how many transactions the database had at least when it was written: those
//! with records in a file, all of its server's on PostgreSQL. A database with fewer is an older copy
//! of itself, and stops the signer, too; so does a server that is another one, or that was restored
//! or failed over since, and one on which a signer has halted.

mod identity;
mod keeper;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use uuid::Uuid;

use self::identity::{CLUSTER, TRANSACTIONS};
pub(super) use self::{
    identity::{History, Identity, Memory, Server},
    keeper::{Keeper, Watched},
};

/// Name of the file in a key folder.
pub const FILE_NAME: &str = ".midslot-slashing-protection";

/// Name of the file beside the database: the last resort, because it vanishes with the volume.
const FILE_NAME_BESIDE_DATABASE: &str = ".midslot-slashing-protection-keys-registered";

/// A marker that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The file.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) memory: Memory,
}

/// Why markers could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The file is there but can't be read.
    #[error("can't read the marker {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not hold a database's identity.
    #[error("the marker {} is damaged: it has no line \"{CLUSTER}<uuid>\", or its line \"{TRANSACTIONS}\" has no \
             number, or its lines about a server are not whole", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Neither a key folder nor the database's own folder took a marker.
    #[error("can't write the marker {}, nor one in any key folder", path.display())]
    Unwritable {
        /// The file in the database's folder.
        path: PathBuf,
        /// What the system said about it.
        source: io::Error,
    },
}

/// Where markers are looked for and written.
#[derive(Clone, Debug)]
pub(super) struct Places {
    directories: Vec<PathBuf>,
    /// `None` for a database on a server.
    database_directory: Option<PathBuf>,
    /// Held while a marker is written.
    turn: Arc<Mutex<()>>,
}

impl Places {
    /// `directories`: the key folders; they need not exist. `database_directory`: the folder of
    /// the database file.
    pub(super) fn new(directories: Vec<PathBuf>, database_directory: &Path) -> Self {
        let database_directory = Some(database_directory.to_owned());
        Self { directories, database_directory, turn: Arc::default() }
    }

    /// For a database on a server, which has no folder here.
    pub(super) fn of_server(directories: Vec<PathBuf>) -> Self {
        Self { directories, database_directory: None, turn: Arc::default() }
    }

    /// The same, and these folders in place of the others.
    pub(super) fn with_directories(&self, directories: Vec<PathBuf>) -> Self {
        Self { directories, ..self.clone() }
    }

    fn beside_database(&self) -> Option<PathBuf> {
        Some(self.database_directory.as_ref()?.join(FILE_NAME_BESIDE_DATABASE))
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let in_folders = self.directories.iter().map(|directory| directory.join(FILE_NAME));
        in_folders.chain(self.beside_database())
    }

    /// Every marker that exists.
    pub(super) fn read(&self) -> Result<Vec<Marker>, MarkerError> {
        let mut markers = Vec::new();
        for path in self.files() {
            match fs::read_to_string(&path) {
                Ok(text) => match identity::parse(&text) {
                    Some(memory) => markers.push(Marker { path, memory }),
                    None => return Err(MarkerError::Damaged { path }),
                },
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(MarkerError::Unreadable { path, source }),
            }
        }
        Ok(markers)
    }

    /// Makes every writable key folder hold a marker of this database, which has so many durable
    /// transactions. Durable when it returns.
    pub(super) fn write(
        &self,
        identity: &Identity,
        transactions: u64,
        database: &Path,
    ) -> Result<(), MarkerError> {
        self.write_with(identity, transactions, database, Halt::Keep)
    }

    /// The same for a database that an operator has confirmed.
    pub(super) fn confirm(
        &self,
        identity: &Identity,
        transactions: u64,
        database: &Path,
    ) -> Result<(), MarkerError> {
        self.write_with(identity, transactions, database, Halt::Forget)
    }

    fn write_with(
        &self,
        identity: &Identity,
        transactions: u64,
        database: &Path,
        halt: Halt<'_>,
    ) -> Result<(), MarkerError> {
        let _turn = self.turn.lock();
        let mut written = Vec::new();
        for directory in self.directories.iter().filter(|directory| directory.is_dir()) {
            let marker = directory.join(FILE_NAME);
            match write_marker(&marker, identity, transactions, database, halt) {
                Ok(()) => written.push(directory),
                Err(error) if marker.exists() => tracing::warn!(
                    marker = %marker.display(), %error,
                    "this marker remembers another slashing protection database and can't be \
                     written; remove it, or the next start stops"
                ),
                Err(error) => tracing::debug!(
                    directory = %directory.display(), %error,
                    "no slashing protection marker in this folder"
                ),
            }
        }
        let Some(directory) = &self.database_directory else {
            if written.is_empty() {
                tracing::warn!(
                    "no key folder and no data path is writable: nothing guards against another, \
                     empty slashing protection database at the next start"
                );
            }
            return Ok(());
        };
        // A marker of an earlier database there would contradict the new ones.
        let beside_database = directory.join(FILE_NAME_BESIDE_DATABASE);
        if written.is_empty() || beside_database.exists() {
            write_marker(&beside_database, identity, transactions, database, halt)
                .map_err(|source| MarkerError::Unwritable { path: beside_database, source })?;
        }
        if !self.is_any_apart(&written) {
            tracing::warn!(
                folder = %directory.display(),
                "no key folder is writable: the marker that guards against a lost slashing \
                 protection database lies in the database's own folder and would be lost with it"
            );
        }
        Ok(())
    }

    /// Raises the number in those markers of this database that are there.
    pub(super) fn advance(&self, identity: &Identity, transactions: u64, database: &Path) {
        self.update(identity, transactions, database, Halt::Keep);
    }

    /// Notes in those markers of this database that are there that a signer has halted on it.
    pub(super) fn note_halt(
        &self,
        identity: &Identity,
        transactions: u64,
        database: &Path,
        why: &str,
    ) {
        self.update(identity, transactions, database, Halt::Note(why));
    }

    fn update(&self, identity: &Identity, transactions: u64, database: &Path, halt: Halt<'_>) {
        let _turn = self.turn.lock();
        for path in self.files() {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_ours = identity::parse(&text)
                .is_some_and(|found| identity.is_remembered_by(&found.identity));
            if is_ours
                && let Err(error) = write_marker(&path, identity, transactions, database, halt)
            {
                tracing::debug!(marker = %path.display(), %error, "the marker stays as it is");
            }
        }
    }

    /// Whether one of these folders is another one than the database's.
    fn is_any_apart(&self, directories: &[&PathBuf]) -> bool {
        let database_directory =
            self.database_directory.as_ref().and_then(|directory| fs::canonicalize(directory).ok());
        directories.iter().any(|directory| fs::canonicalize(directory).ok() != database_directory)
    }
}

/// No file, or no such folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What a marker says of a signer that halted, from now on.
#[derive(Clone, Copy, Debug)]
enum Halt<'a> {
    Keep,
    Note(&'a str),
    Forget,
}

/// Writes to a temporary file first, so that a crash leaves the old marker or the new one whole. Its
/// name is this writer's alone, because signers of one server may share a key folder. The number of
/// a database never goes down.
fn write_marker(
    path: &Path,
    identity: &Identity,
    transactions: u64,
    database: &Path,
    halt: Halt<'_>,
) -> io::Result<()> {
    let found = fs::read_to_string(path).ok().and_then(|text| identity::parse(&text));
    let of_this_database = found.as_ref().filter(|found| found.identity == *identity);
    let known = of_this_database.map_or(0, |found| found.transactions);
    let memory = Memory {
        identity: identity.clone(),
        transactions: transactions.max(known),
        halted: match halt {
            Halt::Keep => of_this_database.and_then(|found| found.halted.clone()),
            Halt::Note(why) => Some(why.to_owned()),
            Halt::Forget => None,
        },
    };
    if found.as_ref() == Some(&memory) {
        return Ok(());
    }
    let temporary = path.with_extension(format!("{}.new", Uuid::new_v4().simple()));
    let text = identity::render(&memory, database);
    let written = write_durably(&temporary, &text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written?;
    sync_directory_of(path)
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Makes the names of the folders above `path` durable, as far as they may be opened: a folder that
/// was made just now could vanish in a power loss, with everything in it.
pub(super) fn sync_directories_above(path: &Path) {
    for directory in fs::canonicalize(directory_of(path)).iter().flat_map(|path| path.ancestors()) {
        if let Err(error) = File::open(directory).and_then(|directory| directory.sync_all()) {
            tracing::debug!(directory = %directory.display(), %error, "not synced");
        }
    }
}

/// The folder that holds `path`.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
