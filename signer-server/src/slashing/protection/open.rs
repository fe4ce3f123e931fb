//! From the options to an open database with its tasks.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use signer_client::wire::Root;

use crate::{
    audit::{AuditOptions, Buffer, Ids},
    duty::NetworkClock,
    slashing::{
        DatabaseUrl, OpenError, PostgresOptions, PostgresUrl, PruningSchedule, SafeFloors,
        lane::{HealthCheck, Lane, Stores},
        marker::{self, Keeper, Places, Watched},
        store::{
            moves::Moves,
            postgres::{self, PostgresStore},
            sqlite::{self, SqliteStore},
        },
    },
};

/// How long a request waits for a database that nobody knows yet to be away: much longer than any
/// commit takes, and short enough that the client (some give up after five seconds) hears the
/// answer and may ask another signer within the slot.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How to open slashing protection.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Which database.
    pub database: DatabaseUrl,
    /// How it is used, when it is PostgreSQL.
    pub postgres: PostgresOptions,
    /// Genesis validators root of the configured network. `None` when it is not known: the
    /// first block or attestation then says which chain the database protects.
    pub network_genesis_validators_root: Option<Root>,
    /// Folders, usually those of the keys, that keep the marker of earlier registrations.
    pub marker_directories: Vec<PathBuf>,
    /// The operator confirms a database that the markers do not know.
    pub accept_new_database: bool,
    /// `false` clears every duty without asking or recording; only the audit trail is kept. What is
    /// signed so stays unknown: switched on again, protection knows what it knew before.
    pub enabled: bool,
    /// Name of this process in the audit trail.
    pub instance: String,
    /// How the audit trail is kept.
    pub audit: AuditOptions,
    /// Requests of one kind that may wait for the database.
    pub queue_capacity: usize,
    /// Longest time a request waits for its answer.
    pub timeout: Duration,
    /// How often an idle database proves that it could take a record.
    pub health_check_interval: Duration,
    /// How long a piece of its work may take before the database counts as down.
    pub health_check_timeout: Duration,
    /// Raise the floors of all keys to these first: a database that has forgotten something then
    /// signs only what comes after. Confirms the database like `accept_new_database`.
    pub safe_start: Option<SafeFloors>,
    /// Refuse duties far ahead of this clock.
    pub far_future_guard: Option<NetworkClock>,
    /// How old records are deleted; `None` keeps them all.
    pub pruning: Option<PruningSchedule>,
}

impl OpenOptions {
    /// Protection on `database` with defaults: no network, no markers, nothing confirmed.
    pub fn new(database: DatabaseUrl) -> Self {
        Self {
            database,
            postgres: PostgresOptions::default(),
            network_genesis_validators_root: None,
            marker_directories: Vec::new(),
            accept_new_database: false,
            enabled: true,
            instance: "signer".to_owned(),
            audit: AuditOptions::default(),
            queue_capacity: 16_384,
            timeout: ANSWER_TIMEOUT,
            health_check_interval: Duration::from_secs(30),
            health_check_timeout: Duration::from_secs(3),
            safe_start: None,
            far_future_guard: None,
            pruning: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct OpenDatabase {
    pub(super) lane: Lane,
    pub(super) keeper: Keeper,
}

/// Opens the database on the current runtime, on which its tasks then live.
pub(super) async fn open(options: &OpenOptions) -> Result<(OpenDatabase, Arc<Buffer>), OpenError> {
    match &options.database {
        DatabaseUrl::Sqlite(path) => open_sqlite(options, path).await,
        DatabaseUrl::Postgres(url) => open_postgres(options, url).await,
    }
}

impl OpenOptions {
    fn health_check(&self) -> HealthCheck {
        HealthCheck { interval: self.health_check_interval, timeout: self.health_check_timeout }
    }
}

impl OpenDatabase {
    /// With markers that follow it, where it protects.
    async fn watched(lane: Lane, keeper: Keeper, protects: bool) -> Self {
        if protects {
            let transactions = lane.status().general().transactions();
            keeper.clone().advance(transactions).await;
            let tasks = Watched {
                general: Arc::downgrade(lane.status().general()),
                all: lane.status().all().map(Arc::downgrade).collect(),
            };
            tokio::spawn(keeper.clone().keep(tasks, transactions));
        }
        Self { lane, keeper }
    }
}

async fn open_sqlite(
    options: &OpenOptions,
    path: &Path,
) -> Result<(OpenDatabase, Arc<Buffer>), OpenError> {
    let places = Places::new(options.marker_directories.clone(), marker::directory_of(path));
    let sqlite::Opened { mut store, next_audit_id } = SqliteStore::open(sqlite::OpenRequest {
        path,
        places: options.enabled.then_some(&places),
        network_root: options.network_genesis_validators_root,
        accept_new_database: options.accept_new_database,
        safe_start: options.safe_start.filter(|_| options.enabled),
    })
    .await?;
    refuse_departed(options, &mut store, path).await?;
    let audit =
        Buffer::open(&options.instance, Ids::counting_from(next_audit_id), options.audit.clone());
    let identity = store.identity();
    let (capacity, health_check) = (options.queue_capacity, options.health_check());
    let pruning = options.pruning.filter(|_| options.enabled);
    let lane = Lane::start(store, Arc::clone(&audit), capacity, health_check, pruning);
    let keeper = Keeper { places, identity, database: path.to_owned() };
    Ok((OpenDatabase::watched(lane, keeper, options.enabled).await, audit))
}

async fn open_postgres(
    options: &OpenOptions,
    url: &PostgresUrl,
) -> Result<(OpenDatabase, Arc<Buffer>), OpenError> {
    let places = Places::of_server(options.marker_directories.clone());
    let mut opened = PostgresStore::open(postgres::OpenRequest {
        url,
        options: &options.postgres,
        places: options.enabled.then_some(&places),
        network_root: options.network_genesis_validators_root,
        accept_new_database: options.accept_new_database,
        create: true,
        safe_start: options.safe_start.filter(|_| options.enabled),
    })
    .await?;
    let name = PathBuf::from(url.to_string());
    refuse_departed(options, &mut opened.general, &name).await?;
    let audit =
        Buffer::open(&options.instance, Ids::from_clock(opened.instance), options.audit.clone());
    let (capacity, health_check) = (options.queue_capacity, options.health_check());
    let postgres::Opened { attestations, blocks, general, pruning, identity, .. } = opened;
    let stores = Stores { attestations, blocks, general, pruning };
    let pruning = options.pruning.filter(|_| options.enabled);
    let lane = Lane::start_divided(stores, Arc::clone(&audit), capacity, health_check, pruning);
    let keeper = Keeper { places, identity, database: name };
    Ok((OpenDatabase::watched(lane, keeper, options.enabled).await, audit))
}

/// A database whose records were moved would refuse every duty: better to say so at once.
async fn refuse_departed(
    options: &OpenOptions,
    store: &mut impl Moves,
    database: &Path,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::Store { database: database.to_owned(), source };
    match store.departure().await.map_err(failed)? {
        Some(departure) if options.enabled => {
            let (database, moved_to) = (database.to_owned(), departure.target);
            Err(OpenError::Moved { database, moved_to })
        }
        _ => Ok(()),
    }
}
