//! The signer as a whole: its parts in the order in which they come up, and go down again.
//!
//! It refuses to start rather than run with less than was asked for. Bad key files are the one
//! exception: they are reported, and every other key signs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use signer_client::wire::PublicKey;
use tokio_util::task::TaskTracker;

use crate::{
    aggregation::{AggregationOptions, AggregationService, GroupSigner},
    audit::AuditOptions,
    clock,
    config::{
        AggregationConfig, Config, KeysConfig, KeystorePasswords, ProofsConfig, SlashingConfig,
    },
    duty::{Network, NetworkClock, NetworkError},
    http::{AggregationRoutes, MetricsPort, SigningPort},
    keys::{self, BulkKeystores, ConfigFiles, KeySources, Loader, Registry},
    lifecycle::{Signals, Wish},
    listen::{self, Limits, ListenError, Listener, Shutdown},
    one_shot::{JobSigner, OneShot},
    ports_file::PortsFile,
    prefetch::{self, PrefetchOptions, PrefetchStatus},
    reload::{ReloadError, Reloader},
    scheduler::{Bounds, Class, Scheduler},
    selection::{ProofCache, ProofCacheOptions},
    signing::SigningService,
    slashing::{
        OpenError, OpenOptions, PruningPolicy, PruningSchedule, SAFE_START_OPTION, SafeFloors,
        SlashingProtection,
    },
    telemetry::metrics::{Metrics, MetricsOptions},
};

/// How long running requests may take to end after the signer was told to stop.
const DRAIN: Duration = Duration::from_secs(25);

/// Most connections to the metrics port: a few collectors, and people.
const MAX_METRICS_CONNECTIONS: usize = 64;

/// Why the signer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network is unknown or its file is bad.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The data folder can't be made.
    #[error("the data folder {} can't be made (--data-path): {source}", path.display())]
    DataPath {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A port can't be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Slashing protection can't be opened.
    #[error(transparent)]
    Slashing(#[from] OpenError),
    /// An option needs to know the present slot, and the network does not tell when it began.
    #[error(
        "{option} needs the genesis time of the network, and {network} has none: add \
         MIDSLOT_GENESIS_TIME (Unix seconds) to the network's file"
    )]
    GenesisTimeUnknown {
        /// The option.
        option: &'static str,
        /// The network.
        network: String,
    },
    /// Prefetch needs to know the chain, and the network does not tell it.
    #[error(
        "--prefetch-beacon-nodes needs the genesis time and the genesis validators root of the \
         network, because a beacon node is not believed about them, and {network} does not tell \
         both: add MIDSLOT_GENESIS_TIME (Unix seconds) and MIDSLOT_GENESIS_VALIDATORS_ROOT to the \
         network's file"
    )]
    GenesisUnknown {
        /// The network.
        network: String,
    },
    /// Beacon nodes can't be asked over HTTPS.
    #[error("--prefetch-beacon-nodes: no HTTPS client can be made: {0}")]
    BeaconClient(#[source] reqwest::Error),
    /// The wall clock stands before the network's genesis.
    #[error(
        "{SAFE_START_OPTION}: the clock of this machine stands before the genesis of {network}; \
         set the clock right"
    )]
    BeforeGenesis {
        /// The network.
        network: String,
    },
    /// The signing threads can't be started.
    #[error("the signing threads can't be started: {0}")]
    Threads(#[source] std::io::Error),
    /// The aggregation threads can't be started.
    #[error("the aggregation threads can't be started: {0}")]
    AggregationThreads(#[source] std::io::Error),
    /// The keys can't be registered.
    #[error(transparent)]
    Keys(#[from] ReloadError),
    /// The operating system refuses signal handlers.
    #[error("signals can't be received: {0}")]
    Signals(#[source] std::io::Error),
    /// The file that names the ports can't be written.
    #[error("the ports file can't be written to {}: {source}", folder.display())]
    PortsFile {
        /// The data folder.
        folder: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Runs the signer until it is told to stop. Told again, it waits no longer for running requests.
///
/// # Errors
/// When it can't start. Once it serves, it ends without an error.
pub async fn run(config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    listen::allow_many_connections();
    let app = tokio::select! {
        app = App::start(config) => app?,
        // Nothing was signed yet, and the database stands a crash anyway.
        () = signals.stop() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => {
                if let Err(error) = app.reloader.start() {
                    tracing::warn!(%error, "SIGHUP was ignored");
                }
            }
        }
    }
    app.stop(&mut signals).await;
    Ok(())
}

/// The running parts.
struct App {
    slashing: SlashingProtection,
    scheduler: Arc<Scheduler>,
    aggregation: Option<Arc<AggregationService>>,
    reloader: Arc<Reloader>,
    tasks: TaskTracker,
    shutdown: Shutdown,
    ports_file: Option<PortsFile>,
}

/// Ports that are ours but turn connections away.
struct Ports {
    signing: Listener,
    metrics: Option<Listener>,
}

impl App {
    /// Brings the parts up, the ones that others need first.
    #[expect(clippy::too_many_lines, reason = "one step after the other, each of a few lines")]
    async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(path) = &config.data_path {
            std::fs::create_dir_all(path)
                .map_err(|source| StartError::DataPath { path: path.clone(), source })?;
        }
        let network = config.network.load()?;
        tracing::info!(network = network.name, "signing roots are computed for this network");
        let prefetch = prefetch_on(&config, &network)?;
        let metrics = Arc::new(Metrics::new(MetricsOptions {
            version: env!("CARGO_PKG_VERSION"),
            slashing_protection_enabled: config.slashing.enabled,
        }));
        // Taken before the slow part, so that a busy port is not found after it.
        let ports = Ports::take(&config)?;
        let slashing = open_slashing_protection(&config, &network, &metrics).await?;
        let bounds = Bounds(Class::ALL.map(|class| config.scheduler.queue_bounds.of(class)));
        let threads = config.scheduler.signing_threads;
        let scheduler = Scheduler::start(threads, bounds, metrics.clone());
        let scheduler = Arc::new(scheduler.map_err(StartError::Threads)?);

        let registry = Arc::new(Registry::default());
        let proofs = proof_cache(&config.proofs, &network, &registry, &metrics);
        let tasks = TaskTracker::new();
        let shutdown = Shutdown::default();
        let reloader = Arc::new(Reloader::new(
            Loader::new(key_sources(&config.keys)),
            registry.clone(),
            proofs.clone(),
            slashing.clone(),
            metrics.clone(),
            tasks.clone(),
            shutdown.drain.clone(),
        ));
        reloader.load().await?;
        if registry.is_empty() {
            tracing::warn!(
                "there are no keys to sign with; add key files and reload (POST /reload or SIGHUP)"
            );
        }

        let signing = SigningService::new(
            network,
            registry.clone(),
            scheduler.clone(),
            slashing.clone(),
            metrics.clone(),
        )
        .with_slashable_generic(config.slashing.slashable_generic)
        .with_proofs(proofs)
        .with_background(tasks.clone(), shutdown.drain.clone());
        let signing = Arc::new(signing);
        let prefetch = start_prefetch(prefetch, &signing, &tasks, &shutdown)?;
        let one_shot = Arc::new(OneShot::new(signing.clone()));
        let aggregation = start_aggregation(&config.aggregation, &one_shot, &metrics)?;
        let signing_router = SigningPort {
            signing,
            registry,
            reloader: reloader.clone(),
            slashing: slashing.clone(),
            prefetch,
            audit_api: config.audit.api_enabled,
            signing_extension: config.http.signing_extension_enabled,
            max_body_bytes: config.limits.max_body_size_bytes,
            max_body_bytes_in_flight: config.limits.max_body_bytes_in_flight,
            max_batch_keys: config.limits.max_batch_keys,
            server_timing: config.http.server_timing_enabled,
            host_allow_list: config.http.host_allow_list.clone(),
            cors_origins: config.http.cors_origins.clone(),
            access_log: config.http.access_logs_enabled,
            aggregation: aggregation.clone().map(|service| {
                let max_body_bytes = config.aggregation.max_body_size_bytes;
                AggregationRoutes { service, one_shot, max_body_bytes }
            }),
        }
        .router();
        let metrics_router = MetricsPort {
            metrics,
            slashing: slashing.clone(),
            categories: config.metrics.categories.clone(),
            host_allow_list: config.metrics.host_allow_list.clone(),
        }
        .router();

        let idle_timeout = config.http.idle_connection_timeout;
        let address = ports.signing.address();
        let metrics_port = ports.metrics.as_ref().map(|port| port.address().port());
        let connections = listen::affordable_connections(config.limits.max_connections);
        let routers = [
            (Some(ports.signing), signing_router, connections),
            (ports.metrics, metrics_router, MAX_METRICS_CONNECTIONS),
        ];
        for (port, router, connections) in routers {
            if let Some(port) = port {
                let limits = Limits { connections, idle_timeout };
                tasks.spawn(listen::serve(port.open()?, router, limits, shutdown.clone()));
            }
        }
        let ports_file = config
            .data_path
            .as_ref()
            .map(|folder| {
                PortsFile::write(folder, address.port(), metrics_port)
                    .map_err(|source| StartError::PortsFile { folder: folder.clone(), source })
            })
            .transpose()?;
        // Scripts that wait for Web3Signer look for the second half of this line.
        tracing::info!(
            "Midslot has started with TLS disabled, and ready to handle signing requests on {address}"
        );
        Ok(Self { slashing, scheduler, aggregation, reloader, tasks, shutdown, ports_file })
    }

    /// Lets running requests end, then takes the parts down, the ones that others need last.
    async fn stop(self, signals: &mut Signals) {
        tracing::info!("stopping: no new connections, running requests end");
        drop(self.ports_file);
        self.shutdown.drain.cancel();
        if let Some(aggregation) = &self.aggregation {
            // Whoever waits for a job gets its end.
            aggregation.begin_stop();
        }
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = tokio::time::sleep(DRAIN) => {
                tracing::warn!(seconds = DRAIN.as_secs(), "requests that did not end in time are cut");
            }
            () = signals.stop() => tracing::warn!("told to stop again: running requests are cut"),
        }
        // What is cut leaves its audit row, and its job leaves the queue.
        self.shutdown.cut.cancel();
        self.tasks.wait().await;
        tokio::task::block_in_place(|| {
            if let Some(aggregation) = &self.aggregation {
                aggregation.close();
            }
            self.scheduler.close();
        });
        tokio::select! {
            closed = self.slashing.close() => {
                if let Err(error) = closed {
                    tracing::error!(%error, "the database was not closed in order");
                }
            }
            () = signals.stop() => tracing::warn!("told to stop again: the database was not closed"),
        }
        tracing::info!("stopped");
    }
}

impl Ports {
    fn take(config: &Config) -> Result<Self, ListenError> {
        let (http, metrics) = (&config.http, &config.metrics);
        let signing =
            Listener::bind(&http.host, http.port, "--http-listen-host", "--http-listen-port")?;
        let take_metrics =
            || Listener::bind(&metrics.host, metrics.port, "--metrics-host", "--metrics-port");
        let metrics = metrics.enabled.then(take_metrics).transpose()?;
        Ok(Self { signing, metrics })
    }
}

async fn open_slashing_protection(
    config: &Config,
    network: &Network,
    metrics: &Arc<Metrics>,
) -> Result<SlashingProtection, StartError> {
    let SlashingConfig {
        enabled,
        database,
        postgres,
        accept_new_database,
        health_check_interval,
        health_check_timeout,
        pruning,
        safe_start,
        refuse_far_future,
        ..
    } = &config.slashing;
    let Some(database) = database else {
        tracing::warn!("no audit is kept: there is no --data-path and no database");
        return Ok(SlashingProtection::disabled());
    };
    let clock = |option| {
        let unknown = || StartError::GenesisTimeUnknown { option, network: network.name.clone() };
        NetworkClock::of(network).ok_or_else(unknown)
    };
    let protection = SlashingProtection::open(OpenOptions {
        safe_start: safe_start
            .then(|| safe_floors(clock(SAFE_START_OPTION)?, network))
            .transpose()?,
        far_future_guard: refuse_far_future.then(|| clock("--refuse-far-future")).transpose()?,
        network_genesis_validators_root: network.genesis_validators_root,
        marker_directories: config.marker_directories(),
        postgres: postgres.clone(),
        accept_new_database: *accept_new_database,
        health_check_interval: *health_check_interval,
        health_check_timeout: *health_check_timeout,
        pruning: pruning.enabled.then_some(PruningSchedule {
            policy: PruningPolicy {
                epochs_to_keep: pruning.epochs_to_keep,
                slots_per_epoch: pruning.slots_per_epoch,
            },
            interval: pruning.interval,
            at_start: pruning.at_boot,
        }),
        enabled: *enabled,
        instance: instance_name(),
        audit: AuditOptions {
            durability: config.audit.durability,
            retention: config.audit.retention,
            metrics: Some(metrics.clone()),
            ..AuditOptions::default()
        },
        ..OpenOptions::new(database.clone())
    })
    .await?;
    Ok(protection)
}

/// The options of prefetch, when it is on, with the chain that it is for.
fn prefetch_on(
    config: &Config,
    network: &Network,
) -> Result<Option<(PrefetchOptions, prefetch::Chain)>, StartError> {
    let Some(options) = &config.prefetch else { return Ok(None) };
    let unknown = || StartError::GenesisUnknown { network: network.name.clone() };
    Ok(Some((options.clone(), prefetch::Chain::of(network).ok_or_else(unknown)?)))
}

/// Starts prefetch, when it is on.
fn start_prefetch(
    prefetch: Option<(PrefetchOptions, prefetch::Chain)>,
    signing: &Arc<SigningService>,
    tasks: &TaskTracker,
    shutdown: &Shutdown,
) -> Result<Option<Arc<PrefetchStatus>>, StartError> {
    let Some((options, chain)) = prefetch else { return Ok(None) };
    prefetch::start(options, chain, signing, tasks, &shutdown.drain)
        .map(Some)
        .map_err(StartError::BeaconClient)
}

/// The floors of a safe start now.
fn safe_floors(clock: NetworkClock, network: &Network) -> Result<SafeFloors, StartError> {
    let now_unix_ms = clock::now_unix_micros().max(0).cast_unsigned() / 1000;
    SafeFloors::at(clock, now_unix_ms)
        .ok_or_else(|| StartError::BeforeGenesis { network: network.name.clone() })
}

/// The cache of selection proofs, which keeps those of loaded keys.
fn proof_cache(
    config: &ProofsConfig,
    network: &Network,
    registry: &Arc<Registry>,
    metrics: &Arc<Metrics>,
) -> Arc<ProofCache> {
    let keys = registry.clone();
    let is_loaded = move |key: &PublicKey| keys.get(key).is_some();
    ProofCache::new(ProofCacheOptions {
        capacity: config.cache_capacity,
        max_slots_ahead: config.max_slots_ahead,
        ..ProofCacheOptions::new(network, is_loaded, metrics.clone())
    })
}

/// The aggregation worker, if it is wanted. What it has proved is signed by `one_shot`.
fn start_aggregation(
    config: &AggregationConfig,
    one_shot: &Arc<OneShot>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<AggregationService>>, StartError> {
    if !config.enabled {
        return Ok(None);
    }
    let options = AggregationOptions {
        threads: config.threads,
        deadline: config.deadline,
        max_jobs: config.max_jobs,
    };
    let signer: Arc<dyn GroupSigner> = Arc::new(JobSigner(one_shot.clone()));
    let network = one_shot.network().clone();
    let service = AggregationService::start(network, metrics.clone(), options, Some(signer));
    Ok(Some(Arc::new(service.map_err(StartError::AggregationThreads)?)))
}

/// Name of this signer in the audit: the host's name.
fn instance_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn key_sources(config: &KeysConfig) -> KeySources {
    let bulk_keystores = config.keystores.as_ref().map(|folder| BulkKeystores {
        directory: folder.path.clone(),
        passwords: match &folder.passwords {
            KeystorePasswords::Directory(path) => keys::KeystorePasswords::Directory(path.clone()),
            KeystorePasswords::File(path) => keys::KeystorePasswords::File(path.clone()),
        },
    });
    KeySources {
        config_files: ConfigFiles {
            directory: config.key_config_path.clone(),
            max_file_size_bytes: config.config_file_max_size_bytes,
        },
        bulk_keystores,
        threads: Some(config.loading_threads.get()),
    }
}
