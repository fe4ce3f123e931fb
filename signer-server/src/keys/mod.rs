//! The validator keys: where they come from, how they are opened, and how a request finds one.
//!
//! [`Loader`] reads the configured sources on its own threads and turns every key into a
//! [`LoadedKey`]. The result is a [`Snapshot`] that its caller installs in the [`Registry`], whose
//! [`Registry::get`] every signing request asks once, without a lock.
//!
//! Invariants: a file that can't be used is reported by name and never stops the others; a reload
//! never takes a key away because something failed, only because its file is gone; and no secret
//! (key, password, line of a key file) reaches a log, an error or a `Debug` text.

mod identifier;
pub mod keystore;
mod loader;
mod memory;
mod pool;
mod registry;
mod source;

pub use identifier::parse_identifier;
pub use loader::{LoadOutcome, Loader, SourceReport};
pub use registry::{LoadedKey, Registry, Snapshot};
pub use signer_client::interop::interop_secret_key;
pub use source::{
    BulkKeystores, ConfigFiles, KeySources, KeystorePasswords, LoadError, LoadFailure, SourceId,
    YamlProblem,
};
