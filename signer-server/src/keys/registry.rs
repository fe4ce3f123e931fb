//! The keys that can sign now, found by public key without a lock.
//!
//! A load makes a new [`Snapshot`] beside the one in use; installing it replaces all keys at once,
//! so that a request sees the keys of before or of after, never a mixture.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use signer_client::wire::PublicKey;

use super::source::{FileRecord, SourceId};
use crate::bls::SecretKey;

/// A secret key that is ready to sign. Its `Debug` text has the public key only.
pub struct LoadedKey {
    public_key: PublicKey,
    secret_key: SecretKey,
    origin: PathBuf,
}

impl LoadedKey {
    pub(super) fn new(secret_key: SecretKey, public_key: PublicKey, origin: PathBuf) -> Self {
        Self { public_key, secret_key, origin }
    }

    /// The public key, which names this key everywhere.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The secret key, for signing.
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret_key
    }

    /// The key configuration file or keystore that the key came from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }
}

impl fmt::Debug for LoadedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoadedKey")
            .field("public_key", &self.public_key)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// What one source's files gave, by path of the file.
pub(super) type SourceRecords = BTreeMap<PathBuf, FileRecord>;

/// All keys at one moment, and what a later load must know to find the differences.
#[derive(Default)]
pub struct Snapshot {
    keys: HashMap<PublicKey, Arc<LoadedKey>>,
    sorted: Arc<[PublicKey]>,
    records: HashMap<SourceId, SourceRecords>,
}

impl Snapshot {
    /// Gathers the keys of all sources. Of a key that comes twice the first is kept: sources in
    /// the given order, files by name.
    pub(super) fn new(sources: Vec<(SourceId, SourceRecords)>) -> Self {
        let mut keys: HashMap<PublicKey, Arc<LoadedKey>> = HashMap::new();
        for key in sources.iter().flat_map(|(_, records)| records.values()).flat_map(|r| &r.keys) {
            match keys.entry(key.public_key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Arc::clone(key));
                }
                Entry::Occupied(first) => tracing::warn!(
                    public_key = %key.public_key,
                    used = %first.get().origin.display(),
                    ignored = %key.origin.display(),
                    "the same key is given twice"
                ),
            }
        }
        let mut sorted: Vec<PublicKey> = keys.keys().copied().collect();
        sorted.sort_unstable();
        Self { keys, sorted: sorted.into(), records: sources.into_iter().collect() }
    }

    /// What a source's files gave when this snapshot was made.
    pub(super) fn records(&self, source: SourceId) -> Option<&SourceRecords> {
        self.records.get(&source)
    }

    /// The key of this public key, if it is loaded.
    pub fn get(&self, public_key: &PublicKey) -> Option<&Arc<LoadedKey>> {
        self.keys.get(public_key)
    }

    /// All public keys, in ascending order.
    pub fn public_keys(&self) -> &Arc<[PublicKey]> {
        &self.sorted
    }

    /// The public keys that this snapshot has and the other has not, in ascending order.
    pub(super) fn public_keys_beyond(&self, other: &Self) -> Vec<PublicKey> {
        self.sorted.iter().filter(|key| !other.keys.contains_key(key)).copied().collect()
    }
}

/// The keys in use, shared by all requests.
#[derive(Default)]
pub struct Registry {
    current: ArcSwap<Snapshot>,
}

impl Registry {
    /// The key of this public key, if it is loaded. Takes no lock.
    pub fn get(&self, public_key: &PublicKey) -> Option<Arc<LoadedKey>> {
        self.current.load().get(public_key).map(Arc::clone)
    }

    /// All public keys, in ascending order. Copies nothing.
    pub fn public_keys(&self) -> Arc<[PublicKey]> {
        Arc::clone(self.current.load().public_keys())
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.current.load().keys.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys in use now, as a load needs them to find the differences.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces all keys at once. Requests that already hold a key may still end with it.
    ///
    /// The caller sees to it that no other load ran since the snapshot that this one was made
    /// from, and that new keys are registered for slashing protection before.
    pub fn install(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}
