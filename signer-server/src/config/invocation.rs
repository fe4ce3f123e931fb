//! What the program was asked to do.

use std::{ffi::OsString, path::PathBuf};

use signer_client::wire::{Epoch, PublicKey, Slot};

use super::{
    AggregationConfig, AuditConfig, AuditQuery, HttpConfig, KeysConfig, LimitsConfig,
    LoggingConfig, MetricsConfig, Migration, NetworkConfig, ProofsConfig, SchedulerConfig,
    SlashingConfig,
    command_line::{self, parameter_exit},
    environment,
    error::ParameterError,
    option::{OptionSpec, Scope},
    options::{
        root::{CONFIG_FILE, DATA_PATH},
        subcommands::{
            ALLOW_PARTIAL, EXPORT_KEYS, EXPORT_TO, IMPORT_FROM, REMOVE_HIGH_WATERMARK,
            REPAIR_EPOCH, REPAIR_KEYS, REPAIR_SLOT, SET_HIGH_WATERMARK,
        },
    },
    prefetch,
    slashing::DatabaseNeed,
    treatment,
    values::{Layer, Values},
    yaml_file,
};
use crate::prefetch::PrefetchOptions;

/// A command with everything that it needs.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// How.
    pub config: Config,
    /// Lines to log as warnings once there is a log.
    pub warnings: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `eth2`: serve signing requests.
    Sign,
    /// `eth2 export`: write the slashing protection records to a file.
    Export {
        /// The file; `-` is standard output.
        to: PathBuf,
        /// The keys whose records are wanted; `None` for all.
        keys: Option<Vec<PublicKey>>,
    },
    /// `eth2 import`: add the slashing protection records of a file.
    Import {
        /// The file.
        from: PathBuf,
        /// Leave out the keys whose records can't be taken.
        allow_partial: bool,
    },
    /// `eth2 watermark-repair`: change slashing protection watermarks.
    WatermarkRepair(WatermarkRepair),
    /// `eth2 migrate`: move all slashing protection records to another database.
    Migrate(Migration),
    /// `audit`: show the audit trail.
    Audit(Box<AuditQuery>),
}

/// How to change slashing protection watermarks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatermarkRepair {
    /// Raise low watermarks to these.
    RaiseLow {
        /// The keys whose watermarks are raised; `None` for all.
        keys: Option<Vec<PublicKey>>,
        /// For attestations, source and target.
        epoch: Epoch,
        /// For blocks.
        slot: Slot,
    },
    /// Set the high watermark, at and above which nothing is signed.
    SetHigh {
        /// For attestations, source and target.
        epoch: Epoch,
        /// For blocks.
        slot: Slot,
    },
    /// Remove the high watermark.
    RemoveHigh,
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for what the program writes.
    pub data_path: Option<PathBuf>,
    /// The signing interface.
    pub http: HttpConfig,
    /// The metrics interface.
    pub metrics: MetricsConfig,
    /// The log.
    pub logging: LoggingConfig,
    /// The sources of keys.
    pub keys: KeysConfig,
    /// The network.
    pub network: NetworkConfig,
    /// Slashing protection.
    pub slashing: SlashingConfig,
    /// The audit.
    pub audit: AuditConfig,
    /// The signing pool.
    pub scheduler: SchedulerConfig,
    /// The limits of a request.
    pub limits: LimitsConfig,
    /// Selection proofs that are kept.
    pub proofs: ProofsConfig,
    /// Which beacon nodes are asked for duties; `None` when none are.
    pub prefetch: Option<PrefetchOptions>,
    /// The aggregation worker.
    pub aggregation: AggregationConfig,
}

impl Config {
    /// Folders that keep the marker of a slashing protection database in use.
    pub fn marker_directories(&self) -> Vec<PathBuf> {
        let keystores = self.keys.keystores.as_ref().map(|folder| folder.path.clone());
        self.data_path
            .iter()
            .cloned()
            .chain([self.keys.key_config_path.clone()])
            .chain(keystores)
            .collect()
    }
}

/// Why the program ends before it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of the process: 0 for help and version, 2 for any parameter error.
    pub code: u8,
    /// Text to print, complete with its last newline.
    pub message: String,
    /// Whether the text goes to standard output rather than standard error.
    pub to_stdout: bool,
}

/// Reads the arguments (the first is the program's name), the environment and the configuration
/// file that the arguments name.
pub fn from_args(
    args: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Invocation, Exit> {
    let parsed = command_line::parse(args)?;
    invocation(parsed.scope, &parsed.layer, environment)
        .map_err(|error| parameter_exit(parsed.scope, &error))
}

fn invocation(
    scope: Scope,
    command_line: &Layer,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Invocation, ParameterError> {
    let config_file = Values::merge(Scope::Root, &[command_line])?.optional_path(&CONFIG_FILE)?;
    let file = match &config_file {
        Some(path) => yaml_file::read(path)?,
        None => Layer::default(),
    };
    let variables = environment::read(scope, environment)?;
    let values = Values::merge(scope, &[command_line, &variables, &file])?;

    let command = command(scope, &values)?;
    let mut warnings = treatment::warnings(scope, &values);
    if config_file.is_none() {
        warnings.extend(environment::ignored_config_file(environment));
    }
    // The other commands only read and write records: an option of the server that they share a
    // configuration file with is not asked of them.
    if command == Command::Sign {
        treatment::refuse_unavailable(scope, &values)?;
    }
    let config = Config {
        data_path: values.optional_path(&DATA_PATH)?,
        http: HttpConfig::from_values(&values)?,
        metrics: MetricsConfig::from_values(&values)?,
        logging: LoggingConfig::from_values(&values)?,
        keys: KeysConfig::from_values(&values, &mut warnings)?,
        network: NetworkConfig::from_values(&values)?,
        slashing: SlashingConfig::from_values(&values, need(&command), &mut warnings)?,
        audit: AuditConfig::from_values(&values)?,
        scheduler: SchedulerConfig::from_values(&values)?,
        limits: LimitsConfig::from_values(&values)?,
        proofs: ProofsConfig::from_values(&values)?,
        prefetch: prefetch::from_values(&values)?,
        aggregation: AggregationConfig::from_values(&values)?,
    };
    if command == Command::Sign {
        config.network.check(&values)?;
        config.aggregation.check(&values, config.limits.max_body_bytes_in_flight)?;
        config.audit.check(&values, config.slashing.database.is_some())?;
    }
    Ok(Invocation { command, config, warnings })
}

/// When a command needs a database.
fn need(command: &Command) -> DatabaseNeed {
    match command {
        Command::Sign => DatabaseNeed::IfEnabled,
        Command::Audit(query) if query.url.is_some() => DatabaseNeed::Never,
        // It names both of its databases.
        Command::Migrate(Migration::Relocate { .. }) => DatabaseNeed::Never,
        Command::Migrate(Migration::Web3Signer { .. })
        | Command::Audit(_)
        | Command::Export { .. }
        | Command::Import { .. }
        | Command::WatermarkRepair(_) => DatabaseNeed::Always,
    }
}

fn command(scope: Scope, values: &Values) -> Result<Command, ParameterError> {
    Ok(match scope {
        // Clap lets nobody stop at the root.
        Scope::Root | Scope::Eth2 => Command::Sign,
        Scope::Export => Command::Export {
            to: values.path(&EXPORT_TO)?,
            keys: public_keys(values, &EXPORT_KEYS)?,
        },
        Scope::Import => Command::Import {
            from: values.path(&IMPORT_FROM)?,
            allow_partial: values.boolean(&ALLOW_PARTIAL)?,
        },
        Scope::WatermarkRepair => Command::WatermarkRepair(watermark_repair(values)?),
        // Nor at `migrate`.
        Scope::Migrate
        | Scope::FromWeb3Signer
        | Scope::SqliteToPostgres
        | Scope::PostgresToSqlite => Command::Migrate(Migration::from_values(scope, values)?),
        Scope::Audit => Command::Audit(Box::new(AuditQuery::from_values(values)?)),
    })
}

/// The public keys of a list; `None` when it is not given.
fn public_keys(
    values: &Values,
    spec: &OptionSpec,
) -> Result<Option<Vec<PublicKey>>, ParameterError> {
    if values.origin(spec).is_none() {
        return Ok(None);
    }
    let keys = values.list(spec)?.into_iter().map(|text| {
        text.parse().map_err(|error| values.invalid(spec, format!("{text:?}: {error}")))
    });
    keys.collect::<Result<_, _>>().map(Some)
}

fn watermark_repair(values: &Values) -> Result<WatermarkRepair, ParameterError> {
    let keys = public_keys(values, &REPAIR_KEYS)?;
    let is_high = values.boolean(&SET_HIGH_WATERMARK)? || values.boolean(&REMOVE_HIGH_WATERMARK)?;
    if keys.is_some() && is_high {
        return Err(values.invalid(&REPAIR_KEYS, "the high watermark holds for all keys"));
    }
    if values.boolean(&REMOVE_HIGH_WATERMARK)? {
        return Ok(WatermarkRepair::RemoveHigh);
    }
    let epoch = Epoch(values.integer(&REPAIR_EPOCH)?);
    let slot = Slot(values.integer(&REPAIR_SLOT)?);
    Ok(if values.boolean(&SET_HIGH_WATERMARK)? {
        WatermarkRepair::SetHigh { epoch, slot }
    } else {
        WatermarkRepair::RaiseLow { keys, epoch, slot }
    })
}
