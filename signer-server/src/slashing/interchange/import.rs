//! The second reading of a file: key by key into the database, in one transaction.
//!
//! A thread reads while the database writes. Between them are a few keys; an element of a key that
//! the file names again later waits here for the others, so that all of them are merged together.

use std::{
    collections::HashMap,
    io::{Read, Seek},
    thread,
};

use signer_client::wire::{PublicKey, Root};
use tokio::sync::mpsc;

use super::{
    merge::{KeyImport, KeyOutcome},
    parse::{self, FileError, KeyContent, KeyFailure},
    survey::{Survey, SurveyedFile},
};
use crate::slashing::MarkerError;
use crate::slashing::store::{
    StoreError,
    records::{ImportTransaction, Records, RecordsError},
};

/// Keys between the reading thread and the database.
const KEYS_AHEAD: usize = 64;

/// Records that go to the database at once: enough for large statements, little memory.
const RECORDS_AT_ONCE: usize = 16_384;

/// What to do about the keys whose records can't be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Root of the network's chain, when it is known; a file of another one is refused.
    pub network_genesis_validators_root: Option<Root>,
    /// Import the others. Otherwise one failure fails the whole import.
    pub allow_partial: bool,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Some keys can't be taken, and a part of the file was not asked for.
    #[error("the records of {} keys can't be taken; nothing was imported", failures.len())]
    KeysFailed {
        /// What is wrong with each.
        failures: Vec<KeyFailure>,
    },
    /// The file belongs to another chain than the network's.
    #[error(
        "the file belongs to the chain with genesis validators root {found}, but the network has \
         {network}"
    )]
    OtherNetwork {
        /// Root in the file.
        found: Root,
        /// Root of the network.
        network: Root,
    },
    /// The database does not take it.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The marker that guards against a lost database can't be written.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The file says something else than at the first reading.
    #[error("the file was changed while it was read")]
    FileChanged,
    /// The operating system gives no thread.
    #[error("can't start the thread that reads: {0}")]
    NoThread(#[source] std::io::Error),
    /// The thread that read the file has panicked.
    #[error("the thread that reads has ended")]
    ReaderEnded,
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Records(error.into())
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// What became of each key that was imported.
    pub imported: Vec<KeyOutcome>,
    /// The keys that were left out, with what is wrong.
    pub failures: Vec<KeyFailure>,
}

/// Imports a file in one transaction. Dropped before its end, nothing is imported.
pub(crate) async fn import<F: Read + Seek + Send + 'static>(
    records: &mut impl Records,
    source: SurveyedFile<F>,
    options: ImportOptions,
) -> Result<ImportReport, ImportError> {
    let SurveyedFile { file, survey } = source;
    survey.check(options)?;
    let Survey { genesis_validators_root, keys, failures, .. } = survey;
    let names: Vec<PublicKey> = keys.keys().copied().collect();
    let mut transaction = records.begin_import(genesis_validators_root, &names).await?;
    let mut reader = Reader::start(file)?;
    let mut waiting = Waiting::new(keys.iter().map(|(key, objects)| (*key, *objects)).collect());
    let mut imported = Vec::with_capacity(names.len());
    let mut chunk = Chunk::default();
    loop {
        let element = reader.elements.recv().await;
        let is_end = element.is_none();
        if let Some(content) = element
            && let Some(key) = waiting.add(content)?
        {
            chunk.push(key);
        }
        if chunk.records >= RECORDS_AT_ONCE || (is_end && !chunk.keys.is_empty()) {
            imported.extend(transaction.merge(&chunk.keys).await?);
            chunk = Chunk::default();
        }
        if is_end {
            break;
        }
    }
    reader.end()?;
    if imported.len() != names.len() {
        return Err(ImportError::FileChanged);
    }
    transaction.commit().await?;
    imported.sort_unstable_by_key(|outcome| outcome.key);
    Ok(ImportReport { imported, failures })
}

/// The thread that reads.
struct Reader {
    elements: mpsc::Receiver<KeyContent>,
    thread: thread::JoinHandle<Result<(), FileError>>,
}

impl Reader {
    fn start(file: impl Read + Send + 'static) -> Result<Self, ImportError> {
        let (sender, elements) = mpsc::channel(KEYS_AHEAD);
        let read = move || {
            // Bad elements are known from the survey. Nobody listening is the end of the import.
            parse::read(file, |element| {
                element.map_or(true, |content| sender.blocking_send(content).is_ok())
            })
            .map(drop)
        };
        let thread = thread::Builder::new()
            .name("interchange".to_owned())
            .spawn(read)
            .map_err(ImportError::NoThread)?;
        Ok(Self { elements, thread })
    }

    /// Says how the reading went, once there are no more elements.
    fn end(self) -> Result<(), ImportError> {
        Ok(self.thread.join().map_err(|_| ImportError::ReaderEnded)??)
    }
}

/// Keys of which some elements were read, and others are still to come.
struct Waiting {
    /// Elements still to come.
    expected: HashMap<PublicKey, u32>,
    parts: HashMap<PublicKey, KeyContent>,
}

impl Waiting {
    fn new(expected: HashMap<PublicKey, u32>) -> Self {
        Self { expected, parts: HashMap::new() }
    }

    /// Takes an element; returns the key when it is complete. Keys that are not expected are left
    /// out.
    fn add(&mut self, content: KeyContent) -> Result<Option<KeyImport>, ImportError> {
        let key = content.key;
        let Some(left) = self.expected.get_mut(&key) else { return Ok(None) };
        *left = left.checked_sub(1).ok_or(ImportError::FileChanged)?;
        let is_complete = *left == 0;
        let whole = match self.parts.remove(&key) {
            None => content,
            Some(mut part) => {
                part.attestations.extend(content.attestations);
                part.blocks.extend(content.blocks);
                part
            }
        };
        if !is_complete {
            self.parts.insert(key, whole);
            return Ok(None);
        }
        Ok(Some(KeyImport::new(key, whole.attestations, whole.blocks)))
    }
}

/// Keys that go to the database together.
#[derive(Default)]
struct Chunk {
    keys: Vec<KeyImport>,
    records: usize,
}

impl Chunk {
    fn push(&mut self, key: KeyImport) {
        let attestations = key.attestations.as_ref().map_or(0, |part| part.rows.len());
        let blocks = key.blocks.as_ref().map_or(0, |part| part.rows.len());
        // A key without records counts, too.
        self.records += attestations + blocks + 1;
        self.keys.push(key);
    }
}
