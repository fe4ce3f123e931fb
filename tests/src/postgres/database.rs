//! A database of a test, with the role that owns it.

use std::{net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::cluster::{Server, execute};

/// How long dropping a database may take; a server that is down or paused keeps it.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// A database and its owner, both with one random name. The owner is an ordinary role: it may do
/// what it likes in this database and nothing else. Both are dropped at the end, whoever is still
/// connected; a server that does not answer keeps them.
#[derive(Debug)]
pub struct TestDatabase {
    server: Arc<Server>,
    name: String,
    password: String,
}

impl TestDatabase {
    pub(super) async fn create(server: Arc<Server>) -> Result<Self> {
        let name = format!("midslot_{}", random_hex(8)?);
        Self { server, name, password: random_hex(16)? }.create_on_server().await
    }

    pub(super) async fn create_like(server: Arc<Server>, other: &Self) -> Result<Self> {
        let (name, password) = (other.name.clone(), other.password.clone());
        Self { server, name, password }.create_on_server().await
    }

    async fn create_on_server(self) -> Result<Self> {
        let mut connection = self.server.superuser("postgres").await?;
        let Self { name, password, .. } = &self;
        execute(&mut connection, format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'")).await?;
        execute(&mut connection, format!("CREATE DATABASE {name} OWNER {name}")).await?;
        connection.close().await?;
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that owns it.
    pub fn role(&self) -> &str {
        &self.name
    }

    /// The role's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://` with role and password, over TCP.
    pub fn url(&self) -> String {
        self.url_at(self.server.address)
    }

    /// As [`Self::url`] through another address, that of a proxy.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let Self { name, password, .. } = self;
        format!("postgres://{name}:{password}@{address}/{name}")
    }

    /// `jdbc:postgresql://` without role and password, as Web3Signer's options have it.
    pub fn jdbc_url(&self) -> String {
        self.jdbc_url_at(self.server.address)
    }

    /// As [`Self::jdbc_url`] through another address, that of a proxy.
    pub fn jdbc_url_at(&self, address: SocketAddr) -> String {
        format!("jdbc:postgresql://{address}/{}", self.name)
    }

    /// A connection of its owner, over TCP.
    ///
    /// # Errors
    /// When the server does not let it in.
    pub async fn connect(&self) -> Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url())?;
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// A connection of the cluster's superuser to this database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn superuser(&self) -> Result<PgConnection> {
        self.server.superuser(&self.name).await
    }

    /// Sets a default of every later session of the owner, as an administrator may have done.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn role_setting(&self, name: &str, value: &str) -> Result<()> {
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
        ensure!(is_name, "{name:?} is no setting");
        let mut connection = self.superuser().await?;
        let value = value.replace('\'', "''");
        execute(&mut connection, format!("ALTER ROLE {} SET {name} = '{value}'", self.name)).await
    }

    /// Ends every connection of its owner, as an administrator may do.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn end_connections(&self) -> Result<u64> {
        let mut connection = self.superuser().await?;
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
        )
        .bind(&self.name)
        .fetch_all(&mut connection)
        .await?;
        Ok(ended.len().try_into()?)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A runtime can't be entered twice on one thread, and the test's own may be ending.
        let (server, name) = (Arc::clone(&self.server), self.name.clone());
        let dropping = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::time::timeout(DROP_PATIENCE, drop_database(&server, &name)).await?
            })
        });
        // The whole cluster goes soon in any case.
        drop(dropping.join());
    }
}

async fn drop_database(server: &Server, name: &str) -> Result<()> {
    let mut connection = server.superuser("postgres").await?;
    execute(&mut connection, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    execute(&mut connection, format!("DROP ROLE IF EXISTS {name}")).await?;
    Ok(connection.close().await?)
}

/// So many random bytes as lower-case hex digits.
pub(super) fn random_hex(bytes: usize) -> Result<String> {
    use std::io::Read;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(const_hex::encode(buffer))
}
