//! Records in one SQLite file that one process owns.
//!
//! Because nobody else can write the file, the state in memory is authoritative: rules are decided
//! here, and the database is asked only for history that the state does not tell. Every batch is
//! one transaction with one sync to disk (write-ahead log, `synchronous = FULL`).
//!
//! After a failed write the outcome is unknown, so the connection is given up, the file opened
//! again, copied from its log and loaded, before anything else is decided.

mod audit;
mod audit_reader;
mod audit_retention;
mod bulk;
mod clear;
mod connect;
mod error;
mod file;
mod import;
mod kind;
mod moves;
mod network_fs;
mod open;
mod prune;
mod records;
mod register;
mod safe_start;
mod snapshot;
mod state;

use signer_client::wire::{PublicKey, Slot};
use sqlx::{Connection, SqliteConnection};

use self::{
    file::{FileIdentity, Lock},
    kind::{Attestations, Blocks},
    prune::PruningRun,
    state::State,
};
use super::{AuditPart, Decision, HighWatermark, Request, Store, StoreError};
use crate::{
    audit::{Entry, Filter},
    slashing::{marker::Identity, rules::VoteEpochs},
};

pub(super) use self::error::cause;
pub(crate) use self::{
    audit_reader::SqliteAuditReader,
    open::{OpenRequest, Opened},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    /// `None` between a failure and the next successful recovery.
    connection: Option<SqliteConnection>,
    state: State,
    file: FileIdentity,
    /// Whether the log holds something that housekeeping should copy to the database.
    log_grew: bool,
    /// Where the deletion of expired audit rows is.
    audit_places: audit_retention::Places,
    /// The pruning that is under way.
    pruning: Option<PruningRun>,
    /// Declared last: let go only after the connection is gone.
    _lock: Lock,
}

impl SqliteStore {
    /// Which database it is.
    pub(in crate::slashing) const fn identity(&self) -> Identity {
        Identity::of_file(self.state.cluster)
    }

    /// Fails when what was written would not be found again.
    fn check_in_place(&self) -> Result<(), StoreError> {
        self.file.check_in_place()
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or(StoreError::NotOpen)
    }
}

impl Store for SqliteStore {
    async fn clear_attestations(
        &mut self,
        batch: &[Request<VoteEpochs>],
    ) -> Result<Vec<Decision>, StoreError> {
        self.clear::<Attestations>(batch).await
    }

    async fn clear_blocks(&mut self, batch: &[Request<Slot>]) -> Result<Vec<Decision>, StoreError> {
        self.clear::<Blocks>(batch).await
    }

    async fn register(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        self.register_unknown(keys).await
    }

    fn high_watermark(&self) -> Option<HighWatermark> {
        self.state.high_watermark
    }

    fn transactions(&self) -> Option<u64> {
        Some(self.state.batches)
    }

    async fn write_audit(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        self.log_grew = true;
        audit::write(self.connection()?, entries).await?;
        self.check_in_place()
    }

    async fn read_audit(&mut self, filter: &Filter) -> Result<AuditPart, StoreError> {
        audit::read(self.connection()?, filter).await
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        connect::probe_write(self.connection()?).await?;
        self.check_in_place()
    }

    async fn idle(&mut self) -> Result<(), StoreError> {
        if self.log_grew {
            connect::checkpoint_passively(self.connection()?).await?;
            self.log_grew = false;
        }
        Ok(())
    }

    async fn recover(&mut self) -> Result<(), StoreError> {
        if let Some(connection) = self.connection.take() {
            // It failed before; whatever closing it says changes nothing.
            drop(connection.close().await);
        }
        // Another file in this place needs an operator: nobody knows what it knows, and the log
        // of the old one beside it would be mixed into it.
        if !self.file.database_is_in_place() {
            return Err(StoreError::Replaced);
        }
        let mut connection = connect::connect(self.file.path(), false).await?;
        connect::probe_write(&mut connection).await?;
        let state = State::load(&mut connection).await?;
        state.check_knows_all_of(&self.state)?;
        let file = FileIdentity::of(self.file.path()).ok_or(StoreError::LogReplaced)?;
        if !self.file.database_is_in_place() {
            return Err(StoreError::Replaced);
        }
        self.file = file;
        self.state = state;
        self.connection = Some(connection);
        Ok(())
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let checkpoint = connect::checkpoint_fully(&mut connection).await;
        connection.close().await?;
        checkpoint
    }
}

#[cfg(test)]
mod tests;
