//! A folder of EIP-2335 keystores: `--keystores-path` with `--keystores-passwords-path` or
//! `--keystores-password-file`.

use std::path::{Path, PathBuf};

use super::{KeyMaterial, KeySource, LoadFailure, SourceId, Watched, files};
use crate::keys::keystore::{Keystore, Password};

/// A folder whose files `*.json` are keystores.
pub struct BulkKeystores {
    /// The folder. Only its direct children count.
    pub directory: PathBuf,
    /// Where the passwords are.
    pub passwords: KeystorePasswords,
}

/// Where the passwords of a folder of keystores are. The whole content of a password file is the
/// password, without its control characters, so that a line break at its end does not matter and
/// a space there does.
pub enum KeystorePasswords {
    /// A folder with a file `<name>.txt` for every keystore `<name>.json`.
    Directory(PathBuf),
    /// One file with the password of all keystores.
    File(PathBuf),
}

impl KeystorePasswords {
    fn file_for(&self, keystore: &Path) -> PathBuf {
        match self {
            Self::Directory(directory) => {
                let mut name = keystore.file_stem().unwrap_or_default().to_owned();
                name.push(".txt");
                directory.join(name)
            }
            Self::File(file) => file.clone(),
        }
    }
}

impl KeySource for BulkKeystores {
    fn id(&self) -> SourceId {
        SourceId::BulkKeystores
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn list(&self) -> Result<Vec<PathBuf>, LoadFailure> {
        files::children(&self.directory, &["json"])
    }

    fn read(
        &self,
        file: &Path,
        watched: &mut Vec<Watched>,
    ) -> Result<Vec<KeyMaterial>, LoadFailure> {
        let json = files::read(file, files::MAX_KEYSTORE_BYTES, watched)?;
        let keystore = Keystore::parse(&json).map_err(|source| LoadFailure::Keystore {
            path: file.to_owned(),
            source: Box::new(source),
        })?;
        let password_file = self.passwords.file_for(file);
        let password = files::read(&password_file, files::MAX_PASSWORD_BYTES, watched)?;
        let password = Password::new(files::text(&password_file, &password)?);
        Ok(vec![KeyMaterial::Keystore {
            path: file.to_owned(),
            keystore: Box::new(keystore),
            password_file,
            password,
        }])
    }
}
