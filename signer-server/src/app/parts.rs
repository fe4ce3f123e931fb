//! The signer's parts, each made from its section of the configuration.

use std::sync::Arc;

use signer_client::wire::PublicKey;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::{
    aggregation::{AggregationOptions, AggregationService, Background, GroupSigner},
    audit::AuditOptions,
    clock,
    config::{
        AggregationConfig, Config, KeysConfig, KeystorePasswords, ProofsConfig, SlashingConfig,
    },
    duty::{Network, NetworkClock},
    keys::{self, BulkKeystores, ConfigFiles, KeySources, Registry},
    listen::{ListenError, Listener, Shutdown},
    one_shot::OneShot,
    prefetch::{self, PrefetchOptions, PrefetchStatus},
    selection::{ProofCache, ProofCacheOptions},
    signing::SigningService,
    slashing::{
        OpenOptions, PruningPolicy, PruningSchedule, SAFE_START_OPTION, SafeFloors,
        SlashingProtection,
    },
    telemetry::metrics::Metrics,
};

/// Ports that are ours but turn connections away.
pub(super) struct Ports {
    pub(super) signing: Listener,
    pub(super) metrics: Option<Listener>,
}

impl Ports {
    pub(super) fn take(config: &Config) -> Result<Self, ListenError> {
        let (http, metrics) = (&config.http, &config.metrics);
        let signing =
            Listener::bind(&http.host, http.port, "--http-listen-host", "--http-listen-port")?;
        let take_metrics =
            || Listener::bind(&metrics.host, metrics.port, "--metrics-host", "--metrics-port");
        let metrics = metrics.enabled.then(take_metrics).transpose()?;
        Ok(Self { signing, metrics })
    }
}

pub(super) async fn open_slashing_protection(
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
pub(super) fn prefetch_on(
    config: &Config,
    network: &Network,
) -> Result<Option<(PrefetchOptions, prefetch::Chain)>, StartError> {
    let Some(options) = &config.prefetch else { return Ok(None) };
    let unknown = || StartError::GenesisUnknown { network: network.name.clone() };
    Ok(Some((options.clone(), prefetch::Chain::of(network).ok_or_else(unknown)?)))
}

/// Starts prefetch, when it is on.
pub(super) fn start_prefetch(
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
pub(super) fn proof_cache(
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
pub(super) fn start_aggregation(
    config: &AggregationConfig,
    one_shot: &Arc<OneShot>,
    metrics: &Arc<Metrics>,
    background: Background,
) -> Result<Option<Arc<AggregationService>>, StartError> {
    if !config.enabled {
        return Ok(None);
    }
    let options = AggregationOptions {
        threads: config.threads,
        deadline: config.deadline,
        max_jobs: config.max_jobs,
    };
    let signer: Arc<dyn GroupSigner> = one_shot.clone();
    let network = one_shot.network().clone();
    let service =
        AggregationService::start(network, metrics.clone(), options, Some(signer), background);
    Ok(Some(Arc::new(service.map_err(StartError::AggregationThreads)?)))
}

/// Name of this signer in the audit: the host's name.
fn instance_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(super) fn key_sources(config: &KeysConfig) -> KeySources {
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
