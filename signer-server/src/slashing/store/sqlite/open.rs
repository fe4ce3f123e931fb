//! The start: lock, markers, settings, schema, chain, state. Refuses to start rather than to run
//! on anything doubtful.

use std::{
    fs,
    path::{Path, PathBuf},
};

use signer_client::wire::Root;
use sqlx::{
    Connection, SqlSafeStr, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
};
use uuid::Uuid;

use super::{
    SqliteStore, audit, audit_retention, connect,
    file::{FileIdentity, Lock},
    network_fs::network_file_system,
    safe_start,
    state::State,
};
use crate::slashing::{
    OpenError, SafeFloors, StoreError,
    marker::{self, Identity, Marker, Places},
    store::start::{confirm, known_markers, refuse_replaced, tell_of_safe_start},
};

/// The schema, one file per version; a published file never changes.
const SCHEMA: [(i64, &str, &str); 2] = [
    (
        1,
        "slashing protection and audit",
        include_str!("../../../../../migrations/sqlite/0001_slashing_protection_and_audit.sql"),
    ),
    (2, "first floor", include_str!("../../../../../migrations/sqlite/0002_first_floor.sql")),
];

/// What to open and on which conditions.
#[derive(Debug)]
pub(crate) struct OpenRequest<'a> {
    pub(crate) path: &'a Path,
    /// Where markers of earlier registrations are; `None` asks nobody.
    pub(crate) places: Option<&'a Places>,
    /// Root of the configured network's chain, when it is known.
    pub(crate) network_root: Option<Root>,
    /// The operator confirmed a database that the markers do not know.
    pub(crate) accept_new_database: bool,
    /// Raise the floors of all keys to these before anything else; confirms the database, too.
    pub(crate) safe_start: Option<SafeFloors>,
}

impl OpenRequest<'_> {
    /// Whether the operator takes the database as it is.
    const fn is_confirmed(&self) -> bool {
        self.accept_new_database || self.safe_start.is_some()
    }
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: SqliteStore,
    /// First free id of the audit trail.
    pub(crate) next_audit_id: i64,
}

impl SqliteStore {
    /// Opens the database, making it when there is none and none is missed.
    pub(crate) async fn open(request: OpenRequest<'_>) -> Result<Opened, OpenError> {
        let path = request.path;
        let failed = |source: StoreError| OpenError::Store { database: path.to_owned(), source };

        let folder = marker::directory_of(path);
        fs::create_dir_all(folder)
            .map_err(|source| OpenError::Unwritable { path: folder.to_owned(), source })?;
        if let Some(kind) = network_file_system(folder) {
            return Err(OpenError::NetworkFileSystem { database: path.to_owned(), kind });
        }
        let lock = Lock::take(path)?;
        let markers = known_markers(request.places, request.is_confirmed())?;
        if is_absent(path)
            && let Some(Marker { path: marker, .. }) = markers.first()
        {
            return Err(OpenError::DatabaseMissing {
                marker: marker.clone(),
                database: path.to_owned(),
            });
        }

        let mut connection = connect::connect(path, true).await.map_err(failed)?;
        match examine(&mut connection, &request, &markers).await {
            Ok((state, file, next_audit_id)) => {
                let connection = Some(connection);
                let audit_places = audit_retention::Places::default();
                let store = Self {
                    connection,
                    state,
                    file,
                    log_grew: true,
                    audit_places,
                    pruning: None,
                    _lock: lock,
                };
                Ok(Opened { store, next_audit_id })
            }
            Err(error) => {
                // Let go of the file before the lock; the first error is the one to tell.
                drop(connection.close().await);
                Err(error)
            }
        }
    }
}

/// Everything that must hold before the first request.
async fn examine(
    connection: &mut SqliteConnection,
    request: &OpenRequest<'_>,
    markers: &[Marker],
) -> Result<(State, FileIdentity, i64), OpenError> {
    let path = request.path;
    let failed = |source: StoreError| OpenError::Store { database: path.to_owned(), source };

    prepare_schema(connection, path).await?;
    let mut state = State::load(connection).await.map_err(failed)?;
    refuse_replaced(markers, state.cluster, path)?;
    if let Some(marker) = markers.iter().find(|marker| marker.memory.transactions > state.batches) {
        return Err(OpenError::DatabaseRolledBack {
            marker: marker.path.clone(),
            database: path.to_owned(),
            known: marker.memory.transactions,
            found: state.batches,
        });
    }
    let (pinned, network) = (state.genesis_validators_root, request.network_root);
    state.genesis_validators_root = pin_network(connection, path, pinned, network).await?;
    connect::probe_write(connection).await.map_err(failed)?;
    marker::sync_directories_above(path);
    marker::sync_directory_of(path)
        .map_err(|source| OpenError::Unwritable { path: path.to_owned(), source })?;
    let file = FileIdentity::of(path).ok_or_else(|| failed(StoreError::Replaced))?;
    let next_audit_id = audit::next_id(connection).await.map_err(failed)?;

    if let Some(floors) = request.safe_start {
        start_safely(connection, path, floors).await.map_err(failed)?;
        state = State::load(connection).await.map_err(failed)?;
    } else if let Some(places) = request.places.filter(|_| request.accept_new_database)
        && is_older_copy(places, &state)
    {
        safe_start::renew_identity(connection).await.map_err(failed)?;
        state = State::load(connection).await.map_err(failed)?;
    }
    if let Some(places) = request.places.filter(|_| request.is_confirmed()) {
        let identity = Identity::of_file(state.cluster);
        confirm(places, &identity, state.batches, path, request.safe_start.is_some())?;
    }
    Ok((state, file, next_audit_id))
}

/// Raises the floors and says so.
async fn start_safely(
    connection: &mut SqliteConnection,
    path: &Path,
    floors: SafeFloors,
) -> Result<(), StoreError> {
    let keys = safe_start::raise_all_floors(connection, floors).await?;
    tell_of_safe_start(path, floors, keys);
    Ok(())
}

/// Whether a marker remembers more of this database than it holds.
fn is_older_copy(places: &Places, state: &State) -> bool {
    places.read().is_ok_and(|markers| {
        let mut markers = markers.iter();
        markers.any(|marker| {
            marker.memory.identity.cluster == state.cluster
                && marker.memory.transactions > state.batches
        })
    })
}

/// No file, or one into which nothing was ever written.
fn is_absent(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.len() == 0)
}

/// Refuses a database of another program or of a newer signer; an empty one is welcome.
pub(super) async fn refuse_other_schemas(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let database = || path.to_owned();
    let failed =
        |error: sqlx::Error| OpenError::Store { database: database(), source: error.into() };

    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    let has_versions = has("_sqlx_migrations");
    if !has("sp_meta") && tables.len() > usize::from(has_versions) {
        return Err(OpenError::ForeignDatabase { database: database() });
    }
    if has_versions {
        let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let supported = SCHEMA[SCHEMA.len() - 1].0;
        if let Some(found) = found.filter(|found| *found > supported) {
            return Err(OpenError::NewerSchema { database: database(), found, supported });
        }
    }
    Ok(())
}

/// Brings the schema to this version and gives a new database its identity.
async fn prepare_schema(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let database = || path.to_owned();
    let failed =
        |error: sqlx::Error| OpenError::Store { database: database(), source: error.into() };

    refuse_other_schemas(connection, path).await?;
    let migrations = SCHEMA.map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.to_vec())
        .run_direct(None, &mut *connection, false)
        .await
        .map_err(|source| OpenError::Migration { database: database(), source })?;
    sqlx::query("INSERT INTO sp_meta (one, cluster) VALUES (1, $1) ON CONFLICT DO NOTHING")
        .bind(Uuid::new_v4().as_bytes().as_slice())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Ties the database to the network's chain, or checks that it already is. Returns the chain.
async fn pin_network(
    connection: &mut SqliteConnection,
    path: &Path,
    pinned: Option<Root>,
    network: Option<Root>,
) -> Result<Option<Root>, OpenError> {
    let database = PathBuf::from(path);
    match (pinned, network) {
        (Some(pinned), Some(network)) if pinned != network => {
            Err(OpenError::WrongGenesisValidatorsRoot { database, pinned, network })
        }
        (None, Some(network)) => {
            sqlx::query("UPDATE sp_meta SET genesis_validators_root = $1")
                .bind(network.as_bytes().as_slice())
                .execute(connection)
                .await
                .map_err(|error| OpenError::Store { database, source: error.into() })?;
            Ok(Some(network))
        }
        (pinned, _) => Ok(pinned),
    }
}
