//! The tables and functions: made, brought up to date or only checked.
//!
//! Signers that start together take turns by a lock in the database.

use std::path::Path;

use sqlx::{
    PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use uuid::Uuid;

use crate::{
    choice::choices,
    slashing::{OpenError, StoreError},
};

choices! {
    /// What to do when the schema is older than this signer.
    MigrateMode {
        /// Bring it up to date.
        Auto = "auto",
        /// Refuse the start.
        Check = "check",
    }
}

/// The schema, one file per version; a published file never changes.
const SCHEMA: [(i64, &str, &str); 4] = [
    (
        1,
        "slashing protection and audit",
        include_str!("../../../../../migrations/postgres/0001_slashing_protection_and_audit.sql"),
    ),
    (
        2,
        "dropping partitions",
        include_str!("../../../../../migrations/postgres/0002_dropping_partitions.sql"),
    ),
    (3, "safe start", include_str!("../../../../../migrations/postgres/0003_safe_start.sql")),
    (4, "departed", include_str!("../../../../../migrations/postgres/0004_departed.sql")),
];

const LOCK: &str =
    "SELECT pg_advisory_lock(hashtext('midslot schema'), hashtext(current_schema()))";
const UNLOCK: &str =
    "SELECT pg_advisory_unlock(hashtext('midslot schema'), hashtext(current_schema()))";

/// What there is before anything is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether our tables are there.
    pub(super) is_ours: bool,
    version: Option<i64>,
}

fn supported() -> i64 {
    SCHEMA[SCHEMA.len() - 1].0
}

/// Looks, and refuses what belongs to something else or to a newer signer. Who starts does so in its
/// turn: half of what another signer makes at that moment looks like something else.
pub(super) async fn examine(
    connection: &mut PgConnection,
    database: &Path,
) -> Result<Found, OpenError> {
    let failed = |error: sqlx::Error| OpenError::Store {
        database: database.to_owned(),
        source: error.into(),
    };
    let (has_meta, has_versions, is_web3signers): (bool, bool, bool) = sqlx::query_as(
        "SELECT to_regclass('sp_meta') IS NOT NULL, to_regclass('_sqlx_migrations') IS NOT NULL, \
         to_regclass('low_watermarks') IS NOT NULL \
           AND to_regclass('signed_attestations') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if !has_meta {
        if is_web3signers {
            return Err(OpenError::Web3SignerDatabase { database: database.to_owned() });
        }
        let foreign: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p') \
             AND relnamespace = current_schema()::regnamespace AND relname <> '_sqlx_migrations')",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        if foreign {
            return Err(OpenError::ForeignDatabase { database: database.to_owned() });
        }
    }
    let version: Option<i64> = if has_versions {
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(connection)
            .await
            .map_err(failed)?
    } else {
        None
    };
    if let Some(found) = version.filter(|found| *found > supported()) {
        let (database, supported) = (database.to_owned(), supported());
        return Err(OpenError::NewerSchema { database, found, supported });
    }
    Ok(Found { is_ours: has_meta, version })
}

/// Takes the turn of this signer; [`unlock`] or the end of the connection ends it.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), StoreError> {
    let schema: Option<String> =
        sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&mut *connection).await?;
    if schema.is_none() {
        // Nothing would be locked.
        return Err(StoreError::NoSchema);
    }
    sqlx::query(LOCK).execute(connection).await?;
    Ok(())
}

/// Lets the next signer have its turn.
pub(super) async fn unlock(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(UNLOCK).execute(connection).await?;
    Ok(())
}

/// Brings the schema to this version, or refuses one that is older, and gives a new database its
/// identity.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    database: &Path,
    found: Found,
    mode: MigrateMode,
) -> Result<(), OpenError> {
    let needed = supported();
    if mode == MigrateMode::Check && (!found.is_ours || found.version != Some(needed)) {
        let (database, found) = (database.to_owned(), found.version.unwrap_or(0));
        return Err(OpenError::MigrationsMissing { database, found, needed });
    }
    if mode == MigrateMode::Auto {
        let migrations = SCHEMA.map(|(version, description, sql)| {
            let kind = MigrationType::Simple;
            Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
        });
        let mut migrator = Migrator::with_migrations(migrations.to_vec());
        // Ours is held, and it covers more.
        migrator.set_locking(false);
        migrator
            .run_direct(None, &mut *connection, false)
            .await
            .map_err(|source| OpenError::Migration { database: database.to_owned(), source })?;
    }
    sqlx::query("INSERT INTO sp_meta (cluster) VALUES ($1::uuid) ON CONFLICT DO NOTHING")
        .bind(Uuid::new_v4().to_string())
        .execute(connection)
        .await
        .map_err(|error| OpenError::Store {
            database: database.to_owned(),
            source: error.into(),
        })?;
    Ok(())
}
