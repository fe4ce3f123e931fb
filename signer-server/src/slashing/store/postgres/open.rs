//! The start: connections, schema, markers, chain. Refuses to start rather than to run on anything
//! doubtful.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64},
    },
};

use parking_lot::RwLock;
use signer_client::wire::{Epoch, Root};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    PostgresOptions, PostgresStore, Shared,
    identity::{self, Probe},
    partitions,
    rows::stored_root,
    schema,
    session::{self, Server, in_patience, in_time},
};
use crate::{
    clock,
    slashing::{
        OpenError, PostgresUrl, SafeFloors, StoreError,
        marker::{Marker, Places},
        store::sqlite::{confirm, known_markers},
    },
};

/// What to open and on which conditions.
#[derive(Debug)]
pub(crate) struct OpenRequest<'a> {
    pub(crate) url: &'a PostgresUrl,
    pub(crate) options: &'a PostgresOptions,
    /// Where markers of earlier registrations are; `None` asks nobody.
    pub(crate) places: Option<&'a Places>,
    /// Root of the configured network's chain, when it is known.
    pub(crate) network_root: Option<Root>,
    /// The operator confirmed a database that the markers do not know.
    pub(crate) accept_new_database: bool,
    /// Make the tables when there are none.
    pub(crate) create: bool,
    /// Floors to raise before anything is signed.
    pub(crate) safe_start: Option<SafeFloors>,
}

/// The connections of one signer.
#[derive(Debug)]
pub(crate) struct Opened {
    /// For attestations, divided by key; at least one.
    pub(crate) attestations: Vec<PostgresStore>,
    pub(crate) blocks: PostgresStore,
    /// For everything else.
    pub(crate) general: PostgresStore,
    /// Identity of the database.
    pub(crate) cluster: Uuid,
    /// This signer's number in audit ids.
    pub(crate) instance: i64,
}

impl PostgresStore {
    /// Opens the database, making its tables when there are none and none are missed.
    pub(crate) async fn open(request: OpenRequest<'_>) -> Result<Opened, OpenError> {
        let (general, cluster, instance) = Self::open_one(&request).await?;
        let database = PathBuf::from(request.url.to_string());
        let failed = |source: StoreError| OpenError::Store { database: database.clone(), source };
        let shared = &general.shared;

        let writers = request.options.attestation_connections.max(1);
        let mut attestations = Vec::with_capacity(writers);
        for _ in 0..writers {
            attestations.push(another(shared).await.map_err(failed)?);
        }
        let blocks = another(shared).await.map_err(failed)?;
        if let Some(places) = request.places.filter(|_| request.accept_new_database) {
            // The server counts transactions itself.
            confirm(places, cluster, 0, &database, false)?;
        }
        Ok(Opened { attestations, blocks, general, cluster, instance })
    }

    /// The same with one connection, for an operator's commands. Gives the identity of the
    /// database, too.
    pub(crate) async fn open_for_operator(
        request: OpenRequest<'_>,
    ) -> Result<(Self, Uuid), OpenError> {
        let (store, cluster, _) = Self::open_one(&request).await?;
        if let Some(places) = request.places.filter(|_| request.accept_new_database) {
            confirm(places, cluster, 0, Path::new(&request.url.to_string()), false)?;
        }
        Ok((store, cluster))
    }

    /// The first connection, the identity of the database, and this signer's number in audit ids.
    async fn open_one(request: &OpenRequest<'_>) -> Result<(Self, Uuid, i64), OpenError> {
        let database = PathBuf::from(request.url.to_string());
        if request.safe_start.is_some() {
            return Err(OpenError::PostgresNotAvailable { url: request.url.to_string() });
        }
        let failed = |source: StoreError| OpenError::Store { database: database.clone(), source };
        let markers = known_markers(request.places, request.accept_new_database)?;
        let server = Server::new(request.url, request.options.connect_timeout);
        let mut connection = server.connect().await.map_err(failed)?;

        let (cluster, instance) = take_turn(&mut connection, request, &database, &markers).await?;
        let highest_target = make_partitions(&mut connection).await.map_err(failed)?;
        session::warn_of_lagging_standbys(&mut connection).await;
        let probe = in_time(Probe::take(&mut connection)).await.map_err(failed)?;
        if probe.identity.server.is_none() {
            tracing::warn!(
                "this database engine does not tell whether it was restored or failed over: only \
                 lost records of this process's own signatures will be noticed"
            );
        }
        let shared = Arc::new(Shared {
            server,
            identity: probe.identity.clone(),
            ids: RwLock::new(HashMap::new()),
            durable_xid: AtomicI64::new(probe.xid),
            highest_target: AtomicU64::new(highest_target.0),
            halted: OnceLock::new(),
        });
        let store = Self::new(shared, connection, probe.high_watermark, true);
        Ok((store, cluster, instance))
    }
}

/// One more connection to the same database.
async fn another(shared: &Arc<Shared>) -> Result<PostgresStore, StoreError> {
    let mut connection = shared.server.connect().await?;
    let probe = shared.probe(&mut connection).await?;
    Ok(PostgresStore::new(Arc::clone(shared), connection, probe.high_watermark, false))
}

/// Everything that signers which start together must do one after the other.
async fn take_turn(
    connection: &mut PgConnection,
    request: &OpenRequest<'_>,
    database: &Path,
    markers: &[Marker],
) -> Result<(Uuid, i64), OpenError> {
    let failed = |source: StoreError| OpenError::Store { database: database.to_owned(), source };
    // Before the lock, because without a schema there is nothing to lock.
    schema::examine(connection, database).await?;
    in_patience(schema::lock(connection)).await.map_err(failed)?;
    let found = schema::examine(connection, database).await?;
    if !found.is_ours
        && let Some(Marker { path: marker, .. }) = markers.first()
    {
        let (marker, database) = (marker.clone(), database.to_owned());
        return Err(OpenError::DatabaseMissing { marker, database });
    }
    if !found.is_ours && !request.create {
        return Err(OpenError::NoDatabase { database: database.to_owned() });
    }
    schema::prepare(connection, database, found, request.options.migrate).await?;

    let meta = sqlx::query("SELECT cluster::text AS cluster, genesis_validators_root FROM sp_meta");
    let meta = meta.fetch_one(&mut *connection).await.map_err(|error| failed(error.into()))?;
    let cluster = identity::cluster(&meta).map_err(failed)?;
    if let Some(marker) = markers.iter().find(|marker| marker.cluster != cluster) {
        return Err(OpenError::DatabaseReplaced {
            marker: marker.path.clone(),
            database: database.to_owned(),
            expected: marker.cluster,
            found: cluster,
        });
    }
    let pinned = stored_root(&meta, "genesis_validators_root").map_err(failed)?;
    pin_network(connection, database, pinned, request.network_root).await?;
    schema::unlock(connection).await.map_err(failed)?;
    let instance: i64 = sqlx::query_scalar("SELECT nextval('signer_instance')")
        .fetch_one(connection)
        .await
        .map_err(|error| failed(error.into()))?;
    Ok((cluster, instance))
}

/// Ties the database to the network's chain, or checks that it already is.
async fn pin_network(
    connection: &mut PgConnection,
    database: &Path,
    pinned: Option<Root>,
    network: Option<Root>,
) -> Result<(), OpenError> {
    let database = database.to_owned();
    let failed =
        |error: sqlx::Error| OpenError::Store { database: database.clone(), source: error.into() };
    let Some(network) = network else { return Ok(()) };
    let pinned = if let Some(pinned) = pinned {
        pinned
    } else {
        // A signer that runs already may pin a chain at this moment; the first one counts.
        let row = sqlx::query(
            "UPDATE sp_meta SET genesis_validators_root = coalesce(genesis_validators_root, $1) \
             RETURNING genesis_validators_root",
        )
        .bind(network.as_bytes().as_slice())
        .fetch_one(connection)
        .await
        .map_err(failed)?;
        let root = stored_root(&row, "genesis_validators_root")
            .map_err(|source| OpenError::Store { database: database.clone(), source })?;
        root.unwrap_or(network)
    };
    if pinned == network {
        return Ok(());
    }
    Err(OpenError::WrongGenesisValidatorsRoot { database, pinned, network })
}

/// Makes the partitions that the next days need. Returns the highest target on record.
async fn make_partitions(connection: &mut PgConnection) -> Result<Epoch, StoreError> {
    let highest: Option<i64> = sqlx::query_scalar("SELECT max(max_target) FROM att_state")
        .fetch_one(&mut *connection)
        .await?;
    let highest = Epoch(highest.and_then(|target| u64::try_from(target).ok()).unwrap_or(0));
    let now_us = clock::now_unix_micros();
    in_patience(partitions::make_ahead(connection, highest, now_us)).await?;
    Ok(highest)
}
