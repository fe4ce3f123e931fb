//! Why keys could not be loaded. The texts give paths, fields, lines and columns, never a value
//! from a file that may hold a secret.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{bls::InvalidSecretKey, keys::keystore::KeystoreError};

/// A file, or a folder as a whole, whose keys could not be loaded. Its text names every file that
/// is concerned, once.
#[derive(Debug, thiserror::Error)]
pub struct LoadError {
    /// The key configuration file, the keystore, or the folder.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub reason: LoadFailure,
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.path() != Some(&self.path) {
            write!(formatter, "{}: ", self.path.display())?;
        }
        self.reason.fmt(formatter)
    }
}

/// Why a file or a folder could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The folder is missing or can't be listed.
    #[error("cannot read the folder: {0}")]
    Folder(#[source] io::Error),
    /// A file is missing or can't be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file, which may be one that the failed file names.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path is a folder, a pipe or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file is larger than what is read of it.
    #[error("{} is larger than the limit of {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A text file is not UTF-8.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A password file has a blank first line.
    #[error("the first line of the password file {} is blank", path.display())]
    BlankPassword {
        /// The password file.
        path: PathBuf,
    },
    /// A key configuration file is not the YAML that it should be.
    #[error("line {line}, column {column}: {problem}")]
    Yaml {
        /// Line, from 1; 0 when it is not known.
        line: u64,
        /// Column, from 1; 0 when it is not known.
        column: u64,
        /// What is wrong there.
        problem: YamlProblem,
    },
    /// A key definition lacks a field.
    #[error("key definition at line {line}: `{field}` is missing")]
    MissingField {
        /// Line on which the YAML document starts.
        line: u64,
        /// Name of the field.
        field: &'static str,
    },
    /// A field of a key definition has a value that it can't have.
    #[error("key definition at line {line}: `{field}` must be {expected}")]
    InvalidField {
        /// Line on which the YAML document starts.
        line: u64,
        /// Name of the field.
        field: &'static str,
        /// What must stand there.
        expected: &'static str,
    },
    /// The type of a key definition is one of `Web3Signer`'s that this version does not have.
    #[error("key definition at line {line}: type `{type_name}` is not available in this version")]
    UnavailableType {
        /// Line on which the YAML document starts.
        line: u64,
        /// The type.
        type_name: &'static str,
    },
    /// The value of `privateKey` is no BLS secret key.
    #[error("key definition at line {line}: `privateKey` is {source}")]
    RawKey {
        /// Line on which the YAML document starts.
        line: u64,
        /// What is wrong with it.
        source: InvalidSecretKey,
    },
    /// A file is not a keystore that can be used.
    #[error("keystore {}: {source}", path.display())]
    Keystore {
        /// The keystore.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KeystoreError>,
    },
    /// A keystore can't be opened with the password that belongs to it.
    #[error("keystore {} with the password in {}: {source}", path.display(), password_file.display())]
    Locked {
        /// The keystore.
        path: PathBuf,
        /// The file that the password came from.
        password_file: PathBuf,
        /// What is wrong.
        source: Box<KeystoreError>,
    },
    /// Opening a keystore would take more memory than there is.
    #[error(
        "opening the keystore takes {needed_bytes} bytes of memory, only {available_bytes} are left"
    )]
    Memory {
        /// Memory for its key derivation, in bytes.
        needed_bytes: u64,
        /// Memory that the process may still take, in bytes.
        available_bytes: u64,
    },
    /// The work on the file stopped by a bug of this program.
    #[error("internal error while loading this file")]
    Panicked,
}

impl LoadFailure {
    /// The file that the text names first.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. }
            | Self::NotAFile { path }
            | Self::TooLarge { path, .. }
            | Self::NotText { path }
            | Self::BlankPassword { path }
            | Self::Keystore { path, .. }
            | Self::Locked { path, .. } => Some(path),
            Self::Folder(_)
            | Self::Yaml { .. }
            | Self::MissingField { .. }
            | Self::InvalidField { .. }
            | Self::UnavailableType { .. }
            | Self::RawKey { .. }
            | Self::Memory { .. }
            | Self::Panicked => None,
        }
    }
}

/// What is wrong with a place in a YAML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlProblem {
    /// The text breaks the rules of YAML.
    #[error("not valid YAML")]
    Syntax,
    /// The text ends inside of something.
    #[error("the file ends too early")]
    UnexpectedEnd,
    /// A mapping has a key twice.
    #[error("the same field is given twice")]
    DuplicateField,
    /// An alias names an anchor that does not exist.
    #[error("alias without an anchor")]
    UnknownAnchor,
    /// The nesting or the aliases go beyond what is sane for a key file.
    #[error("nested too deep or expanded too often")]
    TooComplex,
    /// The document is no mapping, or a field is no plain value.
    #[error("expected a mapping of field names to plain values")]
    Structure,
}
