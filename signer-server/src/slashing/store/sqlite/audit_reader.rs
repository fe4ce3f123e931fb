//! A database file that is opened for its audit trail alone.

use std::{io, path::Path};

use sqlx::SqliteConnection;

use super::{audit, connect, file::Lock, open};
use crate::{
    audit::Filter,
    slashing::{OpenError, StoreError, store::AuditPart},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SqliteAuditReader {
    connection: SqliteConnection,
    /// Declared last: let go only after the connection is gone.
    _lock: Lock,
}

impl SqliteAuditReader {
    /// Opens a file that is there. What a killed signer left in the log is put in its place first,
    /// as the next start would do.
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        // Before the lock, which would leave a file where no signer ever was.
        let missing = |source: io::Error| OpenError::Unreadable { path: path.to_owned(), source };
        std::fs::metadata(path).map_err(missing)?;
        let lock = Lock::take(path)?;
        let failed = |source| OpenError::Store { database: path.to_owned(), source };
        let mut connection = connect::connect(path, false).await.map_err(failed)?;
        open::refuse_other_schemas(&mut connection, path).await?;
        Ok(Self { connection, _lock: lock })
    }

    pub(crate) async fn read(&mut self, filter: &Filter) -> Result<AuditPart, StoreError> {
        audit::read(&mut self.connection, filter).await
    }
}
