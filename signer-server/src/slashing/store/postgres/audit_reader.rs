//! A connection for the audit trail alone, beside whoever writes it.

use std::path::PathBuf;

use sqlx::PgConnection;

use super::{
    PostgresOptions, audit, schema,
    session::{Server, in_patience},
};
use crate::{
    audit::Filter,
    slashing::{OpenError, PostgresUrl, StoreError, store::AuditPart},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct PostgresAuditReader {
    connection: PgConnection,
}

impl PostgresAuditReader {
    /// Connects to a database that has our tables.
    pub(crate) async fn open(url: &PostgresUrl) -> Result<Self, OpenError> {
        let database = PathBuf::from(url.to_string());
        let server = Server::new(url, PostgresOptions::default().connect_timeout);
        let mut connection = server
            .connect_patiently()
            .await
            .map_err(|source| OpenError::Store { database: database.clone(), source })?;
        if !schema::examine(&mut connection, &database).await?.is_ours {
            return Err(OpenError::NoDatabase { database });
        }
        Ok(Self { connection })
    }

    pub(crate) async fn read(&mut self, filter: &Filter) -> Result<AuditPart, StoreError> {
        in_patience(audit::read(&mut self.connection, filter)).await
    }
}
