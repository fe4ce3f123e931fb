//! Reading the audit trail from its database: of a signer that does not run, or of all signers on a
//! server.

use super::{
    DatabaseUrl, OpenError, StoreError,
    store::{postgres::PostgresAuditReader, sqlite::SqliteAuditReader},
};
use crate::audit::{Filter, Page, PageBuilder};

/// An open database whose audit trail can be read; nothing in it is changed. A SQLite database is
/// locked as long as this lives: no signer can start on it.
#[derive(Debug)]
pub struct AuditReader {
    database: Reader,
}

#[derive(Debug)]
enum Reader {
    Sqlite(SqliteAuditReader),
    Postgres(PostgresAuditReader),
}

impl AuditReader {
    /// Opens a database that is there.
    ///
    /// # Errors
    /// When there is none, when a signer runs on a SQLite file, or when it can't be read.
    pub async fn open(database: &DatabaseUrl) -> Result<Self, OpenError> {
        let database = match database {
            DatabaseUrl::Sqlite(path) => Reader::Sqlite(SqliteAuditReader::open(path).await?),
            DatabaseUrl::Postgres(url) => Reader::Postgres(PostgresAuditReader::open(url).await?),
        };
        Ok(Self { database })
    }

    /// Reads a page, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn read(&mut self, filter: &Filter) -> Result<Page, StoreError> {
        let mut page = PageBuilder::new(filter);
        while let Some(part) = page.next_part() {
            let part = match &mut self.database {
                Reader::Sqlite(reader) => reader.read(&part).await?,
                Reader::Postgres(reader) => reader.read(&part).await?,
            };
            page.add(part.entries, part.next_before_id);
        }
        Ok(page.finish())
    }
}
