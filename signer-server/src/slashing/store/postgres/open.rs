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

use parking_lot::{Mutex, RwLock};
use signer_client::wire::{Epoch, Root};
use sqlx::PgConnection;

use super::{
    PostgresOptions, PostgresStore, Shared,
    identity::Probe,
    partitions, safe_start, schema,
    session::{self, Server, in_patience},
};
use crate::{
    clock,
    slashing::{
        OpenError, PostgresUrl, SafeFloors, StoreError,
        marker::{Identity, Marker, Places},
        store::{
            RolledBack,
            rows::stored_root,
            start::{confirm, known_markers, refuse_replaced, tell_of_safe_start},
        },
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
    /// Raise the floors of all keys to these before anything else; confirms the database, too.
    pub(crate) safe_start: Option<SafeFloors>,
}

impl OpenRequest<'_> {
    /// Whether the operator takes the database as it is.
    const fn is_confirmed(&self) -> bool {
        self.accept_new_database || self.safe_start.is_some()
    }
}

/// The connections of one signer.
#[derive(Debug)]
pub(crate) struct Opened {
    /// For attestations, divided by key; at least one.
    pub(crate) attestations: Vec<PostgresStore>,
    pub(crate) blocks: PostgresStore,
    /// For everything else.
    pub(crate) general: PostgresStore,
    /// For pruning; it connects when it has something to do.
    pub(crate) pruning: PostgresStore,
    /// Which database it is.
    pub(crate) identity: Identity,
    /// This signer's number in audit ids.
    pub(crate) instance: i64,
}

impl PostgresStore {
    /// Opens the database, making its tables when there are none and none are missed.
    pub(crate) async fn open(request: OpenRequest<'_>) -> Result<Opened, OpenError> {
        let (general, identity, instance) = Self::open_one(&request).await?;
        let database = PathBuf::from(request.url.to_string());
        let failed = |source: StoreError| OpenError::Store { database: database.clone(), source };
        let shared = &general.shared;

        let writers = request.options.attestation_connections.max(1);
        let mut attestations = Vec::with_capacity(writers);
        for _ in 0..writers {
            attestations.push(another(shared).await.map_err(failed)?);
        }
        let blocks = another(shared).await.map_err(failed)?;
        let pruning = Self::new(Arc::clone(shared), None, None, false);
        Ok(Opened { attestations, blocks, general, pruning, identity, instance })
    }

    /// The same with one connection, for an operator's commands. Gives the identity of the
    /// database, too.
    pub(crate) async fn open_for_operator(
        request: OpenRequest<'_>,
    ) -> Result<(Self, Identity), OpenError> {
        let (store, identity, _) = Self::open_one(&request).await?;
        Ok((store, identity))
    }

    /// The first connection, the identity of the database, and this signer's number in audit ids.
    async fn open_one(request: &OpenRequest<'_>) -> Result<(Self, Identity, i64), OpenError> {
        let database = PathBuf::from(request.url.to_string());
        let failed = |source: StoreError| OpenError::Store { database: database.clone(), source };
        let markers = known_markers(request.places, request.is_confirmed())?;
        let server = Server::new(request.url, request.options.connect_timeout);
        let mut connection = server.connect_patiently().await.map_err(failed)?;

        let instance = take_turn(&mut connection, request, &database, &markers).await?;
        let highest_target = make_partitions(&mut connection).await.map_err(failed)?;
        session::warn_of_lagging_standbys(&mut connection).await;
        let probe = in_patience(Probe::take(&mut connection)).await.map_err(failed)?;
        session::be_quick(&mut connection).await.map_err(failed)?;
        if !probe.tells_history() {
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
            newest: Mutex::new(None),
            highest_target: AtomicU64::new(highest_target.0),
            halted: OnceLock::new(),
        });
        let identity = probe.identity;
        if let Some(places) = request.places.filter(|_| request.is_confirmed()) {
            let transactions = u64::try_from(probe.xid).unwrap_or(0);
            confirm(places, &identity, transactions, &database, request.safe_start.is_some())?;
        }
        let store = Self::new(shared, Some(connection), probe.high_watermark, true);
        Ok((store, identity, instance))
    }
}

/// One more connection to the same database.
async fn another(shared: &Arc<Shared>) -> Result<PostgresStore, StoreError> {
    let mut connection = shared.server.connect_patiently().await?;
    let probe = shared.probe_patiently(&mut connection).await?;
    session::be_quick(&mut connection).await?;
    Ok(PostgresStore::new(Arc::clone(shared), Some(connection), probe.high_watermark, false))
}

/// Everything that signers which start together must do one after the other.
async fn take_turn(
    connection: &mut PgConnection,
    request: &OpenRequest<'_>,
    database: &Path,
    markers: &[Marker],
) -> Result<i64, OpenError> {
    let failed = |source: StoreError| OpenError::Store { database: database.to_owned(), source };
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

    let probe = in_patience(Probe::take(connection)).await.map_err(failed)?;
    refuse_replaced(markers, probe.identity.cluster, database)?;
    if let Some((marker, why)) = contradiction(&probe, markers) {
        let (marker, database) = (marker.path.clone(), database.to_owned());
        return Err(OpenError::ServerRolledBack { marker, database, why });
    }
    let meta = sqlx::query("SELECT genesis_validators_root FROM sp_meta");
    let meta = meta.fetch_one(&mut *connection).await.map_err(|error| failed(error.into()))?;
    let pinned = stored_root(&meta, "genesis_validators_root").map_err(failed)?;
    pin_network(connection, database, pinned, request.network_root).await?;
    if request.is_confirmed() {
        take_as_it_is(connection, request, database, &probe).await.map_err(failed)?;
    }
    schema::unlock(connection).await.map_err(failed)?;
    let instance: i64 = sqlx::query_scalar("SELECT nextval('signer_instance')")
        .fetch_one(connection)
        .await
        .map_err(|error| failed(error.into()))?;
    Ok(instance)
}

/// The first marker of this very database that remembers more, or another server.
fn contradiction<'a>(probe: &Probe, markers: &'a [Marker]) -> Option<(&'a Marker, RolledBack)> {
    let mut ours =
        markers.iter().filter(|marker| marker.memory.identity.cluster == probe.identity.cluster);
    ours.find_map(|marker| Some((marker, probe.check_marker(marker).err()?)))
}

/// Makes a confirmed database safe or, where it has lost records, at least another one than the
/// copy that has them: should that one come back, the markers must not take it for this one.
async fn take_as_it_is(
    connection: &mut PgConnection,
    request: &OpenRequest<'_>,
    database: &Path,
    probe: &Probe,
) -> Result<(), StoreError> {
    // A damaged marker is no reason not to start: that was confirmed, too.
    let markers = request.places.and_then(|places| places.read().ok()).unwrap_or_default();
    let contradiction = contradiction(probe, &markers).map(|(_, why)| why);
    if let Some(floors) = request.safe_start {
        let keys =
            in_patience(safe_start::start_safely(connection, floors, contradiction.is_some()))
                .await?;
        tell_of_safe_start(database, floors, keys);
    } else if matches!(
        contradiction,
        Some(RolledBack::TransactionsLost { .. } | RolledBack::HaltedBefore { .. })
    ) {
        // Another timeline, server or table tells the two apart already.
        in_patience(safe_start::renew_identity(connection)).await?;
    }
    Ok(())
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
