//! Where signing keys come from.

use std::{num::NonZeroUsize, path::PathBuf};

use super::{
    error::ParameterError,
    options::{
        eth2::{KEYSTORES_PASSWORD_FILE, KEYSTORES_PASSWORDS_PATH, KEYSTORES_PATH},
        own::KEY_LOADING_THREADS,
        root::{KEY_CONFIG_FILE_MAX_SIZE, KEY_CONFIG_PATH, SIGNER_LOAD_PARALLEL},
    },
    scheduler::available_cores,
    values::Values,
};

/// The sources of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysConfig {
    /// Folder of key configuration files.
    pub key_config_path: PathBuf,
    /// Largest key configuration file that is read, in bytes.
    pub config_file_max_size_bytes: u64,
    /// Folder of keystores that are loaded without configuration files.
    pub keystores: Option<KeystoreFolder>,
    /// Threads that load keys.
    pub loading_threads: NonZeroUsize,
}

/// A folder of EIP-2335 keystores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeystoreFolder {
    /// The folder.
    pub path: PathBuf,
    /// Where the passwords are.
    pub passwords: KeystorePasswords,
}

/// Where the passwords of a folder of keystores are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeystorePasswords {
    /// In this folder, one file for each keystore, with its name and the extension `txt`.
    Directory(PathBuf),
    /// In this file, one password for all keystores.
    File(PathBuf),
}

impl KeysConfig {
    pub(super) fn from_values(
        values: &Values,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ParameterError> {
        let loading_threads =
            if let Some(threads) = values.optional_integer(&KEY_LOADING_THREADS)? {
                threads
            } else if values.boolean(&SIGNER_LOAD_PARALLEL)? {
                available_cores().get()
            } else {
                1
            };
        Ok(Self {
            key_config_path: values.path(&KEY_CONFIG_PATH)?,
            config_file_max_size_bytes: values.integer(&KEY_CONFIG_FILE_MAX_SIZE)?,
            keystores: keystore_folder(values, warnings)?,
            loading_threads: NonZeroUsize::new(loading_threads).unwrap_or(NonZeroUsize::MIN),
        })
    }
}

fn keystore_folder(
    values: &Values,
    warnings: &mut Vec<String>,
) -> Result<Option<KeystoreFolder>, ParameterError> {
    let directory = values.optional_path(&KEYSTORES_PASSWORDS_PATH)?;
    let file = values.optional_path(&KEYSTORES_PASSWORD_FILE)?;
    if directory.is_some() && file.is_some() {
        return Err(values.invalid(
            &KEYSTORES_PASSWORD_FILE,
            "cannot be given together with --keystores-passwords-path",
        ));
    }
    let passwords =
        directory.map(KeystorePasswords::Directory).or(file.map(KeystorePasswords::File));
    match (values.optional_path(&KEYSTORES_PATH)?, passwords) {
        (Some(path), Some(passwords)) => Ok(Some(KeystoreFolder { path, passwords })),
        (Some(_), None) => Err(values.invalid(
            &KEYSTORES_PATH,
            "needs --keystores-passwords-path or --keystores-password-file",
        )),
        (None, Some(_)) => {
            warnings.push(
                "the keystore password option has no effect without --keystores-path".to_owned(),
            );
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}
