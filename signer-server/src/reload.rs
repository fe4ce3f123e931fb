//! Loading keys: at the start, and again when asked to.
//!
//! A new set of keys is registered with slashing protection *before* it becomes visible, so a key
//! that can be found can also attest. When registration fails the old set stays, and the next
//! reload tries again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock,
    keys::{LoadOutcome, Loader, Registry},
    selection::ProofCache,
    slashing::{RegisterError, SlashingProtection},
    telemetry::metrics::Metrics,
};

/// Why no reload was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reload is already running")]
pub struct AlreadyRunning;

/// Why loading did not change the set of keys.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The keys could not be registered with slashing protection.
    #[error("the keys could not be registered with slashing protection: {0}")]
    Register(#[from] RegisterError),
    /// The loading thread could not be started.
    #[error("the loading thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The loading thread panicked: a fault in this program.
    #[error("loading the keys ended unexpectedly")]
    Panicked,
    /// The signer stops.
    #[error("the signer is stopping")]
    Stopping,
}

/// Where the latest reload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// None was asked for yet.
    Idle,
    /// One runs now.
    Running,
    /// The latest one had no error.
    Completed,
    /// The latest one changed the keys, but some files failed.
    CompletedWithErrors {
        /// How many files failed.
        errors: usize,
    },
    /// The latest one changed nothing.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The state of reloading.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where the latest reload stands.
    pub phase: Phase,
    /// When it ended, as ISO 8601 in UTC.
    pub last_operation_time: Option<String>,
}

/// How the latest loading from one source went.
#[derive(Clone, Copy, Debug)]
pub struct SourceHealth {
    /// Name of the health check.
    pub id: &'static str,
    /// Keys that the source gave.
    pub keys_loaded: usize,
    /// Files that failed.
    pub errors: usize,
}

impl SourceHealth {
    /// A source is up when nothing in it failed.
    pub const fn is_up(&self) -> bool {
        self.errors == 0
    }
}

/// Loads keys into the registry.
pub struct Reloader {
    loader: Arc<Loader>,
    registry: Arc<Registry>,
    proofs: Arc<ProofCache>,
    slashing: SlashingProtection,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    status: Mutex<Status>,
    sources: Mutex<Vec<SourceHealth>>,
}

impl Reloader {
    /// Nothing is read yet. Reloads run as one of `tasks`, and end without an effect at `shutdown`.
    pub fn new(
        loader: Loader,
        registry: Arc<Registry>,
        proofs: Arc<ProofCache>,
        slashing: SlashingProtection,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            loader: Arc::new(loader),
            registry,
            proofs,
            slashing,
            metrics,
            tasks,
            shutdown,
            status: Mutex::new(Status { phase: Phase::Idle, last_operation_time: None }),
            sources: Mutex::default(),
        }
    }

    /// Loads the keys and makes them visible. Gives the number of files that failed.
    ///
    /// # Errors
    /// When the set of keys could not be changed at all.
    pub async fn load(&self) -> Result<usize, ReloadError> {
        let outcome = self.read_sources().await?;
        let errors = outcome.error_count();
        *self.sources.lock() = outcome
            .reports
            .iter()
            .map(|report| SourceHealth {
                id: report.source.as_str(),
                keys_loaded: report.keys_loaded,
                errors: report.errors.len(),
            })
            .collect();
        self.slashing.register(&outcome.added).await?;
        tracing::info!(
            keys = outcome.snapshot.public_keys().len(),
            added = outcome.added.len(),
            removed = outcome.removed.len(),
            errors,
            "the set of keys is complete"
        );
        self.registry.install(outcome.snapshot);
        // Only now: what is made until here for a removed key is forgotten, too.
        self.proofs.forget(&outcome.removed);
        self.metrics.signers_loaded(self.registry.len());
        Ok(errors)
    }

    /// Reads and decrypts on a thread of its own, because that takes up to minutes.
    async fn read_sources(&self) -> Result<LoadOutcome, ReloadError> {
        let (reply, finished) = oneshot::channel();
        let (loader, registry) = (self.loader.clone(), self.registry.clone());
        std::thread::Builder::new().name("key-loading".to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| loader.load(&registry.snapshot())));
            // Without an outcome the channel is dropped, which is the answer.
            if let Ok(outcome) = outcome {
                drop(reply.send(outcome));
            }
        })?;
        finished.await.map_err(|_| ReloadError::Panicked)
    }

    /// Starts a reload in the background.
    ///
    /// # Errors
    /// While one runs.
    pub fn start(self: &Arc<Self>) -> Result<(), AlreadyRunning> {
        {
            let mut status = self.status.lock();
            if status.phase == Phase::Running {
                return Err(AlreadyRunning);
            }
            status.phase = Phase::Running;
        }
        let reloader = self.clone();
        self.tasks.spawn(async move {
            let loaded = tokio::select! {
                loaded = reloader.load() => loaded,
                () = reloader.shutdown.cancelled() => Err(ReloadError::Stopping),
            };
            let phase = match loaded {
                Ok(0) => Phase::Completed,
                Ok(errors) => Phase::CompletedWithErrors { errors },
                Err(error) => {
                    tracing::error!(%error, "the reload failed; the keys stay as they were");
                    Phase::Failed { reason: error.to_string() }
                }
            };
            *reloader.status.lock() =
                Status { phase, last_operation_time: Some(clock::now_iso8601()) };
        });
        Ok(())
    }

    /// Where the latest reload stands.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// How the latest loading went, source by source.
    pub fn sources(&self) -> Vec<SourceHealth> {
        self.sources.lock().clone()
    }
}
