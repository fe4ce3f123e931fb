//! Where keys come from: one module per source.
//!
//! A source lists its files and turns one file into key material that still has to be opened; it
//! starts no thread and derives no key. The loader does that for all sources alike.

mod bulk_keystores;
mod config_files;
mod error;
mod files;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use signer_client::wire::PublicKey;
use zeroize::Zeroizing;

pub use bulk_keystores::{BulkKeystores, KeystorePasswords};
pub use config_files::ConfigFiles;
pub use error::{LoadError, LoadFailure, YamlProblem};
pub(super) use files::Watched;

use super::{
    keystore::{Keystore, Password},
    registry::LoadedKey,
};
use crate::bls::SecretKey;

/// The sources of keys that are configured.
pub struct KeySources {
    /// `--key-config-path`.
    pub config_files: ConfigFiles,
    /// `--keystores-path` and its passwords, when given.
    pub bulk_keystores: Option<BulkKeystores>,
    /// Number of threads that open keys; by default one for each available core.
    pub threads: Option<usize>,
}

/// A source of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceId {
    /// Key configuration files.
    ConfigFiles,
    /// A folder of EIP-2335 keystores.
    BulkKeystores,
}

impl SourceId {
    /// Name of the source in the answer of the health check, as `Web3Signer` gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigFiles => "config-files-loading",
            Self::BulkKeystores => "keystores-bulk-loading",
        }
    }
}

/// A source whose keys stand in the files of one folder.
pub(super) trait KeySource: Send + Sync {
    fn id(&self) -> SourceId;

    /// The folder, for messages about the source as a whole.
    fn directory(&self) -> &Path;

    /// The files that hold keys, in ascending order.
    fn list(&self) -> Result<Vec<PathBuf>, LoadFailure>;

    /// Reads one file and the files that it names, and notes in `watched` what it read.
    fn read(
        &self,
        file: &Path,
        watched: &mut Vec<Watched>,
    ) -> Result<Vec<KeyMaterial>, LoadFailure>;
}

/// What a file says of one key, before the slow work of opening it.
pub(super) enum KeyMaterial {
    /// The secret key itself: 32 big-endian bytes, with the line on which it is defined.
    Raw { secret: Zeroizing<[u8; 32]>, line: u64 },
    /// A keystore and its password, with the files that they came from.
    Keystore { path: PathBuf, keystore: Box<Keystore>, password_file: PathBuf, password: Password },
}

impl KeyMaterial {
    /// Memory that [`Self::open`] takes while it runs, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Raw { .. } => 0,
            Self::Keystore { keystore, .. } => keystore.memory_bytes(),
        }
    }

    /// Makes the key usable. Slow for keystores.
    pub(super) fn open(self) -> Result<(SecretKey, PublicKey), LoadFailure> {
        match self {
            Self::Raw { secret, line } => {
                let secret_key = SecretKey::from_bytes(&secret)
                    .map_err(|source| LoadFailure::RawKey { line, source })?;
                let public_key = secret_key.public_key();
                Ok((secret_key, public_key))
            }
            Self::Keystore { path, keystore, password_file, password } => {
                keystore.decrypt(&password).map_err(|source| LoadFailure::Locked {
                    path,
                    password_file,
                    source: Box::new(source),
                })
            }
        }
    }
}

/// What a file gave when it was last read well.
#[derive(Clone)]
pub(super) struct FileRecord {
    /// The file and the files that it names.
    pub(super) watched: Vec<Watched>,
    pub(super) keys: Vec<Arc<LoadedKey>>,
}

impl FileRecord {
    /// Whether none of the files has changed since.
    pub(super) fn is_current(&self) -> bool {
        self.watched.iter().all(Watched::is_unchanged)
    }
}
