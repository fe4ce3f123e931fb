//! Connections: how one is made, what it is allowed to take, and what the server must promise.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions};
use tokio::time::timeout;

use crate::slashing::{PostgresUrl, StoreError};

/// How long an answer may take. The server ends a statement earlier, so only a server or a network
/// that is silent gets this far.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take at a start and for an operator: a server under load is slow, and other
/// signers take their turn.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long a connection may take then, at least.
const PATIENT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a polite end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that ends a session whose signer vanished, and statements that hold up others.
/// `READ COMMITTED` is what the functions of the schema are written for.
const SETTINGS: &str = "SELECT set_config('lock_timeout', '2s', false), \
     set_config('statement_timeout', '4s', false), \
     set_config('idle_in_transaction_session_timeout', '10s', false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') \
       = 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
     set_config('tcp_keepalives_idle', '10', false), \
     set_config('tcp_keepalives_interval', '5', false), \
     set_config('tcp_keepalives_count', '3', false), \
     set_config('client_min_messages', 'warning', false)";

/// In place of the first two of [`SETTINGS`].
const PATIENT_SETTINGS: &str = "SELECT set_config('lock_timeout', '120s', false), \
     set_config('statement_timeout', '120s', false)";

/// For a transaction of an operator's, who waits longer than a signature may. They take no snapshot.
pub(super) const LONG_WORK: [&str; 3] = [
    "SET LOCAL lock_timeout = '30s'",
    "SET LOCAL statement_timeout = '10min'",
    "SET LOCAL idle_in_transaction_session_timeout = '2min'",
];

/// Settings that durability depends on, with the values that are safe.
const DURABILITY: [(&str, &[&str]); 4] = [
    ("fsync", &["on"]),
    ("full_page_writes", &["on"]),
    ("synchronous_commit", &["on", "remote_apply"]),
    ("default_transaction_isolation", &["read committed"]),
];

/// Where to connect.
#[derive(Clone, Debug)]
pub(super) struct Server {
    options: PgConnectOptions,
    schema: Option<String>,
    connect_timeout: Duration,
}

impl Server {
    pub(super) fn new(url: &PostgresUrl, connect_timeout: Duration) -> Self {
        let options = url.connect_options().disable_statement_logging();
        Self { options, schema: url.schema().map(str::to_owned), connect_timeout }
    }

    /// Connects to a server that can record and will keep what it records.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.reach(self.connect_timeout).await?;
        in_time(self.prepare(&mut connection)).await?;
        Ok(connection)
    }

    /// The same where nobody waits for a signature. The connection is as after [`be_patient`].
    pub(super) async fn connect_patiently(&self) -> Result<PgConnection, StoreError> {
        let limit = self.connect_timeout.max(PATIENT_CONNECT_TIMEOUT);
        let mut connection = self.reach(limit).await?;
        in_patience(self.prepare(&mut connection)).await?;
        in_patience(be_patient(&mut connection)).await?;
        Ok(connection)
    }

    async fn reach(&self, limit: Duration) -> Result<PgConnection, StoreError> {
        let connecting = timeout(limit, self.options.connect()).await;
        Ok(connecting.map_err(|_| StoreError::NoAnswer)??)
    }

    async fn prepare(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if let Some(schema) = &self.schema {
            sqlx::query("SELECT set_config('search_path', $1, false)")
                .bind(schema)
                .execute(&mut *connection)
                .await?;
        }
        sqlx::query(SETTINGS).execute(&mut *connection).await?;
        let takes_no_records: bool = sqlx::query_scalar(
            "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean",
        )
        .fetch_one(&mut *connection)
        .await?;
        if takes_no_records {
            return Err(StoreError::TakesNoRecords);
        }
        for (setting, safe) in DURABILITY {
            let found: Option<String> = sqlx::query_scalar("SELECT current_setting($1, true)")
                .bind(setting)
                .fetch_one(&mut *connection)
                .await?;
            // A compatible engine without the setting has no way to switch it off.
            if let Some(found) = found.filter(|found| !safe.contains(&found.as_str())) {
                return Err(StoreError::UnsafeServer { setting, wanted: safe[0], found });
            }
        }
        Ok(())
    }
}

/// Lets the statements of this connection take longer than a signature may wait.
async fn be_patient(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(PATIENT_SETTINGS).execute(connection).await?;
    Ok(())
}

/// Ends what [`be_patient`] began.
pub(super) async fn be_quick(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(SETTINGS).execute(connection).await?;
    Ok(())
}

/// Warns of a copy of the database that may lack what was confirmed.
pub(super) async fn warn_of_lagging_standbys(connection: &mut PgConnection) {
    let standbys = sqlx::query(
        "SELECT (SELECT count(*) FROM pg_stat_replication) AS standbys, \
         current_setting('synchronous_standby_names', true) AS synchronous",
    );
    // Not every user may look, and not every engine has this view; then there is nothing to say.
    let Ok(row) = standbys.fetch_one(connection).await else { return };
    let count: i64 = row.try_get("standbys").unwrap_or(0);
    let synchronous: Option<String> = row.try_get("synchronous").unwrap_or(None);
    if count > 0 && synchronous.is_none_or(|names| names.is_empty()) {
        tracing::warn!(
            standbys = count,
            "the slashing protection database has standbys that are not synchronous: after a \
             failover the newest records can be missing, and what they forbid could be signed. Set \
             synchronous_standby_names on the server"
        );
    }
}

/// Waits for an answer as long as one may take. Afterwards the connection must not be used again.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| StoreError::NoAnswer)?
}

/// The same where nobody waits for a signature.
pub(super) async fn in_patience<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(PATIENCE, answer).await.map_err(|_| StoreError::NoAnswer)?
}

/// Says goodbye; a server that does not answer finds out by itself.
pub(super) async fn close(connection: PgConnection) {
    drop(timeout(CLOSE_TIMEOUT, connection.close()).await);
}
