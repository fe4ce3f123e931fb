//! Reading the audit trail of a signer that does not run.

use super::{DatabaseUrl, OpenError, StoreError, store::sqlite::SqliteAuditReader};
use crate::audit::{Filter, Page, PageBuilder};

/// An open database whose audit trail can be read; nothing in it is changed. A SQLite database is
/// locked as long as this lives: no signer can start on it.
#[derive(Debug)]
pub struct AuditReader {
    database: SqliteAuditReader,
}

impl AuditReader {
    /// Opens a database that is there.
    ///
    /// # Errors
    /// When there is none, when a signer runs on it, or when it can't be read.
    pub async fn open(database: &DatabaseUrl) -> Result<Self, OpenError> {
        match database {
            DatabaseUrl::Sqlite(path) => {
                Ok(Self { database: SqliteAuditReader::open(path).await? })
            }
            DatabaseUrl::Postgres(url) => {
                Err(OpenError::PostgresNotAvailable { url: url.to_string() })
            }
        }
    }

    /// Reads a page, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn read(&mut self, filter: &Filter) -> Result<Page, StoreError> {
        let mut page = PageBuilder::new(filter);
        while let Some(part) = page.next_part() {
            let part = self.database.read(&part).await?;
            page.add(part.entries, part.next_before_id);
        }
        Ok(page.finish())
    }
}
