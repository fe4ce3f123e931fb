//! The signer as a whole: its parts in the order in which they come up, and go down again.
//!
//! It refuses to start rather than run with less than was asked for. Bad key files are the one
//! exception: they are reported, and every other key signs.

mod error;
mod parts;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

pub use self::error::StartError;
use self::parts::{
    Ports, key_sources, open_slashing_protection, prefetch_on, proof_cache, start_aggregation,
    start_prefetch,
};
use crate::{
    aggregation::{AggregationService, Background},
    config::Config,
    http::{AggregationRoutes, MetricsPort, SigningPort},
    keys::{Loader, Registry},
    lifecycle::{Signals, Wish},
    listen::{self, Limits, Shutdown},
    one_shot::OneShot,
    ports_file::PortsFile,
    reload::Reloader,
    scheduler::{Bounds, Class, Scheduler},
    signing::SigningService,
    slashing::SlashingProtection,
    telemetry::metrics::{Metrics, MetricsOptions},
};

/// How long running requests may take to end after the signer was told to stop.
const DRAIN: Duration = Duration::from_secs(25);

/// Most connections to the metrics port: a few collectors, and people.
const MAX_METRICS_CONNECTIONS: usize = 64;

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
        let background = Background { tasks: tasks.clone(), cut: shutdown.cut.clone() };
        let aggregation = start_aggregation(&config.aggregation, &one_shot, &metrics, background)?;
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
