//! Web3Signer's PostgreSQL database, at the versions 8 to 12 of its schema: one transaction that
//! looks at it or fences it off.
//!
//! Of the schema nothing is used but the tables `validators`, `signed_attestations`,
//! `signed_blocks`, `low_watermarks`, `metadata` and `database_version`. Versions before 12 have no
//! high watermark, those before 10 no disabled keys.

mod fence;
mod problems;
mod read;

use std::{collections::HashMap, time::Duration};

use signer_client::wire::{PublicKey, Root};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tokio::time::timeout;
use uuid::Uuid;

pub use self::problems::Problem;
use super::error::Web3SignerError;
use crate::slashing::{HighWatermark, PostgresUrl};

/// Versions of the schema that are understood.
const OLDEST: i32 = 8;
const NEWEST: i32 = 12;
/// The first version in which a key can be disabled.
const FIRST_WITH_ENABLED: i32 = 10;
/// The first version with a high watermark.
const FIRST_WITH_HIGH_WATERMARK: i32 = 12;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing may end the session while the target is written. A table in use by somebody else is
/// waited for as long as a long pruning may take.
const SETTINGS: &str = "SELECT set_config('lock_timeout', '30s', false), \
     set_config('statement_timeout', '0', false), \
     set_config('idle_in_transaction_session_timeout', '0', false), \
     set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') \
       = 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
     set_config('tcp_keepalives_idle', '10', false), \
     set_config('client_min_messages', 'warning', false)";

/// A fence that was put up by an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// Identity of the database that has the records now.
    pub(super) target: Uuid,
    /// Whether the keys are known to sign there.
    pub(super) is_complete: bool,
}

/// A key of Web3Signer's.
#[derive(Clone, Copy, Debug)]
struct Validator {
    id: i32,
    /// Whether it may sign, or could before the fence.
    enabled: bool,
}

/// Web3Signer's database within one transaction, which ends without effect when this is dropped.
#[derive(Debug)]
pub(super) struct Web3Signer {
    connection: PgConnection,
    /// As Web3Signer wrote it, be there a fence or not.
    version: i32,
    fence: Option<Fence>,
    chain: Option<Root>,
    high_watermark: Option<HighWatermark>,
    /// Ascending.
    keys: Vec<PublicKey>,
    validators: HashMap<PublicKey, Validator>,
    problems: Vec<Problem>,
}

impl Web3Signer {
    /// Looks at the state of one instant, without a lock and without the right to change anything.
    pub(super) async fn look(url: &PostgresUrl) -> Result<Self, Web3SignerError> {
        let mut connection = connect(url).await?;
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut connection)
            .await?;
        let (version, fence) = examine(&mut connection).await?;
        Self::load(connection, version, fence).await
    }

    /// Waits for every signature in flight, holds up later ones, and looks.
    pub(super) async fn lock(url: &PostgresUrl) -> Result<Self, Web3SignerError> {
        let mut connection = connect(url).await?;
        sqlx::query("BEGIN ISOLATION LEVEL READ COMMITTED").execute(&mut connection).await?;
        let (version, _) = examine(&mut connection).await?;
        fence::lock(&mut connection, version).await?;
        // Somebody else may have moved or upgraded it while this waited.
        let (version_now, fence) = examine(&mut connection).await?;
        if version_now != version {
            return Err(Web3SignerError::ChangedMeanwhile);
        }
        Self::load(connection, version, fence).await
    }

    async fn load(
        mut connection: PgConnection,
        version: i32,
        fence: Option<Fence>,
    ) -> Result<Self, Web3SignerError> {
        let problems = problems::find(&mut connection, version).await?;
        let mut this = Self {
            connection,
            version,
            fence,
            chain: None,
            high_watermark: None,
            keys: Vec::new(),
            validators: HashMap::new(),
            problems,
        };
        if this.problems.is_empty() {
            this.load_metadata().await?;
            this.load_validators().await?;
        }
        Ok(this)
    }

    /// Rows that can't be what they should be. While there are any, nothing else is known.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn version(&self) -> i32 {
        self.version
    }

    pub(super) fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// The chain; `None` when nothing was ever signed.
    pub(super) fn chain(&self) -> Option<Root> {
        self.chain
    }

    pub(super) fn high_watermark(&self) -> Option<HighWatermark> {
        self.high_watermark
    }

    /// The keys that may sign, or could before the fence.
    pub(super) fn enabled(&self) -> Vec<PublicKey> {
        let is_enabled = |key: &&PublicKey| self.validators.get(*key).is_some_and(|v| v.enabled);
        self.keys.iter().filter(is_enabled).copied().collect()
    }

    pub(super) async fn commit(mut self) -> Result<(), Web3SignerError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        // What was committed stays so, whatever becomes of the connection.
        drop(self.connection.close().await);
        Ok(())
    }

    /// Notes that the keys sign in the target: a transaction of its own.
    pub(super) async fn note_complete(url: &PostgresUrl) -> Result<(), Web3SignerError> {
        let mut connection = connect(url).await?;
        fence::note_complete(&mut connection).await?;
        drop(connection.close().await);
        Ok(())
    }
}

async fn connect(url: &PostgresUrl) -> Result<PgConnection, Web3SignerError> {
    let options = url.connect_options().disable_statement_logging();
    let connecting = timeout(CONNECT_TIMEOUT, options.connect()).await;
    let mut connection = connecting.map_err(|_| Web3SignerError::NoAnswer)??;
    if let Some(schema) = url.schema() {
        sqlx::query("SELECT set_config('search_path', $1, false)")
            .bind(schema)
            .execute(&mut connection)
            .await?;
    }
    sqlx::query(SETTINGS).execute(&mut connection).await?;
    Ok(connection)
}

/// Whose database it is, in which version, and whether there is a fence.
async fn examine(connection: &mut PgConnection) -> Result<(i32, Option<Fence>), Web3SignerError> {
    let (has_tables, has_fence): (bool, bool) = sqlx::query_as(
        "SELECT to_regclass('database_version') IS NOT NULL \
           AND to_regclass('validators') IS NOT NULL \
           AND to_regclass('signed_attestations') IS NOT NULL \
           AND to_regclass('signed_blocks') IS NOT NULL \
           AND to_regclass('low_watermarks') IS NOT NULL \
           AND to_regclass('metadata') IS NOT NULL, \
         to_regclass('midslot_move') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !has_tables {
        return Err(Web3SignerError::NotWeb3Signers);
    }
    let version: Option<i32> =
        sqlx::query_scalar("SELECT version FROM database_version WHERE id = 1")
            .fetch_optional(&mut *connection)
            .await?;
    let found = version.unwrap_or(0);
    let fence = if has_fence { fence::read(connection).await? } else { None };
    // The fence leaves the version with its sign turned.
    let (version, is_fenced) = (found.saturating_abs(), found < 0);
    if !(OLDEST..=NEWEST).contains(&version) || is_fenced != fence.is_some() {
        return Err(Web3SignerError::UnknownVersion { found, oldest: OLDEST, newest: NEWEST });
    }
    Ok((version, fence))
}

/// A column of 32 or 48 bytes, whose length was looked at before.
fn fixed<const N: usize>(
    row: &sqlx::postgres::PgRow,
    column: &'static str,
) -> Result<[u8; N], Web3SignerError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Web3SignerError::ImpossibleValue { column })
}
