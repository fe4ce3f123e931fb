//! The proof that a signature may leave.

use std::time::Duration;

use signer_client::wire::{PublicKey, Root};

/// Proof that this key may sign this root: the duty is not slashable, or it is safe and durably on
/// record, or the operator switched protection off. Made by
/// [`SlashingProtection::clear`](super::SlashingProtection::clear) only, and good for one
/// signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleared {
    key: PublicKey,
    signing_root: Root,
    repeat: bool,
    database: Duration,
}

impl Cleared {
    pub(super) fn new(key: PublicKey, signing_root: Root) -> Self {
        Self { key, signing_root, repeat: false, database: Duration::ZERO }
    }

    pub(super) fn after(self, database: Duration, repeat: bool) -> Self {
        Self { repeat, database, ..self }
    }

    /// The key that may sign.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What it may sign.
    pub fn signing_root(&self) -> &Root {
        &self.signing_root
    }

    /// Whether exactly this was on record before.
    pub fn is_repeat(&self) -> bool {
        self.repeat
    }

    /// Time from asking to the durable answer; zero when the database was not asked.
    pub fn time_in_database(&self) -> Duration {
        self.database
    }
}
