//! Loading and reloading: from the configured sources to a new [`Snapshot`].
//!
//! A load is a difference to the snapshot before it. Files that have not changed keep their keys
//! without being opened again; a file that fails now but was good before, and all files of a
//! folder that can't be listed, keep theirs too and are reported. Only a file that is gone takes
//! its keys with it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use signer_client::wire::PublicKey;

use super::{
    memory,
    pool::{Panicked, Pool},
    registry::{LoadedKey, Snapshot, SourceRecords},
    source::{
        FileRecord, KeyMaterial, KeySource, KeySources, LoadError, LoadFailure, SourceId, Watched,
    },
};

/// Share of the available memory that key derivation may take, in percent.
const MEMORY_SHARE_PERCENT: u64 = 80;

/// Loads keys from the configured sources.
pub struct Loader {
    /// In the order in which they win when a key comes twice.
    sources: Vec<Box<dyn KeySource>>,
    threads: Option<usize>,
}

/// What a load found. Nothing is in use before the snapshot is installed.
pub struct LoadOutcome {
    /// The keys as they are now.
    pub snapshot: Snapshot,
    /// Keys that were not there before, in ascending order: to be registered for slashing
    /// protection before the snapshot is installed.
    pub added: Vec<PublicKey>,
    /// Keys that are not there any more, in ascending order.
    pub removed: Vec<PublicKey>,
    /// One report per source, in the order of the sources.
    pub reports: Vec<SourceReport>,
}

impl LoadOutcome {
    /// Number of errors of all sources.
    pub fn error_count(&self) -> usize {
        self.reports.iter().map(|report| report.errors.len()).sum()
    }
}

/// How loading from one source went.
#[derive(Debug)]
pub struct SourceReport {
    /// The source.
    pub source: SourceId,
    /// Keys that the source gives, among them those that it keeps after an error. A key that
    /// comes from two sources counts in both.
    pub keys_loaded: usize,
    /// Files that failed, or one error for the folder.
    pub errors: Vec<LoadError>,
}

/// A file that has to be read.
struct Task<'a> {
    source: usize,
    path: PathBuf,
    previous: Option<&'a FileRecord>,
}

/// What the reading of a file gave.
enum ReadFile {
    Unchanged(FileRecord),
    Changed { watched: Vec<Watched>, materials: Vec<KeyMaterial> },
}

/// A source while it is loaded.
struct SourceLoad<'a> {
    source: &'a dyn KeySource,
    previous: Option<&'a SourceRecords>,
    records: SourceRecords,
    errors: Vec<LoadError>,
}

impl SourceLoad<'_> {
    /// Reports a file and keeps what it gave before.
    fn fail(&mut self, path: PathBuf, reason: LoadFailure) {
        if let Some(kept) = self.previous.and_then(|previous| previous.get(&path)) {
            self.records.insert(path.clone(), kept.clone());
        }
        self.errors.push(LoadError { path, reason });
    }

    fn report(&mut self) -> SourceReport {
        let source = self.source.id();
        // Deleting the last file is a wish that must be heard, since its validator may run
        // elsewhere from now on. A lost mount looks the same, and nobody wished for that.
        if self.records.is_empty() && self.previous.is_some_and(|previous| !previous.is_empty()) {
            tracing::warn!(
                source = source.as_str(),
                folder = %self.source.directory().display(),
                "this folder had key files and has none now; if it is a mount, check that it is there"
            );
        }
        self.errors.sort_by(|first, second| first.path.cmp(&second.path));
        let errors = std::mem::take(&mut self.errors);
        for error in &errors {
            tracing::error!(source = source.as_str(), "keys not loaded: {error}");
        }
        let keys_loaded = self.records.values().map(|record| record.keys.len()).sum();
        tracing::info!(
            source = source.as_str(),
            keys = keys_loaded,
            errors = errors.len(),
            "keys loaded"
        );
        SourceReport { source, keys_loaded, errors }
    }
}

impl Loader {
    /// A loader for these sources. Reads nothing yet.
    pub fn new(sources: KeySources) -> Self {
        let mut list: Vec<Box<dyn KeySource>> = vec![Box::new(sources.config_files)];
        if let Some(bulk_keystores) = sources.bulk_keystores {
            list.push(Box::new(bulk_keystores));
        }
        Self { sources: list, threads: sources.threads }
    }

    /// Reads the sources and opens every key that is new or has changed since `previous`.
    ///
    /// Never fails as a whole: what went wrong is in the reports. Blocks until the last key is
    /// open, which may take minutes: not to be called on a thread of the runtime.
    pub fn load(&self, previous: &Snapshot) -> LoadOutcome {
        let available_bytes = memory::available_bytes();
        let budget = available_bytes.map(|bytes| bytes / 100 * MEMORY_SHARE_PERCENT);
        let pool = Pool::new(self.threads, budget);

        let mut states: Vec<SourceLoad<'_>> = self
            .sources
            .iter()
            .map(|source| SourceLoad {
                source: source.as_ref(),
                previous: previous.records(source.id()),
                records: BTreeMap::new(),
                errors: Vec::new(),
            })
            .collect();
        let tasks = list_files(&mut states);
        let changed = self.read_files(&pool, tasks, &mut states);
        open_keys(&pool, available_bytes, changed, &mut states);

        let reports = states.iter_mut().map(SourceLoad::report).collect();
        let snapshot = Snapshot::new(
            states.into_iter().map(|state| (state.source.id(), state.records)).collect(),
        );
        let added = snapshot.public_keys_beyond(previous);
        let removed = previous.public_keys_beyond(&snapshot);
        if !removed.is_empty() {
            tracing::warn!(
                removed = removed.len(),
                left = snapshot.public_keys().len(),
                "keys are no longer signed with: no key file has them any more"
            );
        }
        LoadOutcome { snapshot, added, removed, reports }
    }

    /// Reads the files that have changed. The others go to their source's records at once.
    fn read_files(
        &self,
        pool: &Pool,
        tasks: Vec<Task<'_>>,
        states: &mut [SourceLoad<'_>],
    ) -> Vec<ChangedFile> {
        let names: Vec<(usize, PathBuf)> =
            tasks.iter().map(|task| (task.source, task.path.clone())).collect();
        let results = pool.run(
            "reading key files",
            tasks,
            |_| 0,
            |task| {
                if let Some(record) = task.previous.filter(|record| record.is_current()) {
                    return Ok(ReadFile::Unchanged(record.clone()));
                }
                let mut watched = Vec::new();
                let materials = self.sources[task.source].read(&task.path, &mut watched)?;
                Ok(ReadFile::Changed { watched, materials })
            },
        );
        let mut changed = Vec::new();
        for ((source, path), result) in names.into_iter().zip(results) {
            let state = &mut states[source];
            match result.unwrap_or_else(|Panicked| Err(LoadFailure::Panicked)) {
                Ok(ReadFile::Unchanged(record)) => {
                    state.records.insert(path, record);
                }
                Ok(ReadFile::Changed { watched, materials }) => {
                    changed.push(ChangedFile { source, path, watched, materials });
                }
                Err(reason) => state.fail(path, reason),
            }
        }
        changed
    }
}

/// A file that was read well and whose keys are still to be opened.
struct ChangedFile {
    source: usize,
    path: PathBuf,
    watched: Vec<Watched>,
    materials: Vec<KeyMaterial>,
}

/// The files of all sources. A source whose folder can't be listed keeps its keys.
fn list_files<'a>(states: &mut [SourceLoad<'a>]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for (source, state) in states.iter_mut().enumerate() {
        match state.source.list() {
            Ok(paths) => tasks.extend(paths.into_iter().map(|path| Task {
                source,
                previous: state.previous.and_then(|previous| previous.get(&path)),
                path,
            })),
            Err(reason) => {
                state.records = state.previous.cloned().unwrap_or_default();
                let path = state.source.directory().to_owned();
                state.errors.push(LoadError { path, reason });
            }
        }
    }
    tasks
}

/// Opens the keys of all files side by side. A file with one bad key gives none.
fn open_keys(
    pool: &Pool,
    available_bytes: Option<u64>,
    files: Vec<ChangedFile>,
    states: &mut [SourceLoad<'_>],
) {
    let mut open = Vec::with_capacity(files.len());
    let mut materials = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        materials.extend(file.materials.into_iter().map(|material| (index, material)));
        open.push((file.source, file.path, Ok(FileRecord { watched: file.watched, keys: vec![] })));
    }
    let owners: Vec<usize> = materials.iter().map(|(index, _)| *index).collect();
    let results = pool.run(
        "opening keys",
        materials,
        |(_, material)| material.memory_bytes(),
        |(_, material)| {
            let needed_bytes = material.memory_bytes();
            match available_bytes {
                Some(available_bytes) if needed_bytes > available_bytes => {
                    Err(LoadFailure::Memory { needed_bytes, available_bytes })
                }
                _ => material.open(),
            }
        },
    );
    for (index, result) in owners.into_iter().zip(results) {
        let (_, path, file) = &mut open[index];
        match (result.unwrap_or_else(|Panicked| Err(LoadFailure::Panicked)), file) {
            (Ok((secret_key, public_key)), Ok(record)) => {
                record.keys.push(Arc::new(LoadedKey::new(secret_key, public_key, path.clone())));
            }
            (Err(reason), file @ Ok(_)) => *file = Err(reason),
            // The first error of a file is the one that is reported.
            (_, Err(_)) => {}
        }
    }
    for (source, path, file) in open {
        match file {
            Ok(record) => {
                states[source].records.insert(path, record);
            }
            Err(reason) => states[source].fail(path, reason),
        }
    }
}

#[cfg(test)]
mod tests;
