//! The slashing protection interchange format, EIP-3076 version 5: reading files, merging them
//! into records, and writing files from records.
//!
//! Invariant: whatever the source of a file refused to sign, a signer that imported the file
//! refuses, too. A round trip may make a key stricter, never laxer.
//!
//! The way of an import: [`parse`] reads the file key by key, [`survey`] reads it a first time to
//! find every mistake before anything changes, [`mod@import`] reads it again and hands what
//! [`merge`] makes of each key to the database in one transaction. The way of an export:
//! [`mod@export`] takes the records of some keys at a time from a snapshot, [`render`] decides
//! which entries say the same, and writes them.

pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod merge;
mod parse;
pub(crate) mod render;
mod survey;

#[cfg(test)]
mod tests;

pub use export::ExportError;
pub use import::{ImportError, ImportOptions, ImportReport};
pub use merge::KeyOutcome;
pub use parse::{FileError, KeyFailure};
pub use survey::{Survey, SurveyedFile};

/// The version of the format, `interchange_format_version`.
const FORMAT_VERSION: &str = "5";
