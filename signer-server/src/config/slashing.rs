//! Slashing protection: on or off, its database, and how that is kept.

use std::time::Duration;

use super::{
    error::ParameterError,
    option::OptionSpec,
    options::{
        eth2::{
            DB_PASSWORD, DB_POOL_FILE, DB_URL, DB_USERNAME, HEALTH_CHECK_INTERVAL,
            HEALTH_CHECK_TIMEOUT, PRUNING_AT_BOOT_ENABLED, PRUNING_DB_POOL_FILE, PRUNING_ENABLED,
            PRUNING_EPOCHS_TO_KEEP, PRUNING_INTERVAL, PRUNING_SLOTS_PER_EPOCH,
            SLASHING_PROTECTION_ENABLED,
        },
        own::{
            ACCEPT_NEW_DATABASE, ALLOW_GENERIC_SLASHABLE_DOMAINS, DB_MIGRATE, REFUSE_FAR_FUTURE,
            SAFE_START,
        },
        root::DATA_PATH,
    },
    pool_file::PoolFile,
    secret::Secret,
    values::Values,
};
use crate::{
    duty::SlashableGeneric,
    slashing::{DatabaseUrl, PostgresOptions},
};

const SECONDS_PER_HOUR: u64 = 3600;

/// Name of the SQLite file in the data path.
const DATABASE_FILE: &str = "slashing-protection.sqlite";

/// Slashing protection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct SlashingConfig {
    /// Whether slashable requests are checked and recorded.
    pub enabled: bool,
    /// Where the records are, with user and password. `None` only when protection is off and neither a database nor a data
    /// path is given.
    pub database: Option<DatabaseUrl>,
    /// How it is used, when it is `PostgreSQL`.
    pub postgres: PostgresOptions,
    /// The deletion of old records.
    pub pruning: PruningConfig,
    /// The database is asked for a sign of life this often.
    pub health_check_interval: Duration,
    /// It counts as failed when it has not answered after this time.
    pub health_check_timeout: Duration,
    /// Whether an empty database is accepted for keys that were registered in another one before.
    pub accept_new_database: bool,
    /// Whether the floors of all keys are raised to the present before anything is signed.
    pub safe_start: bool,
    /// Whether duties far ahead of the wall clock are refused.
    pub refuse_far_future: bool,
    /// What becomes of `GENERIC` requests for blocks and attestations.
    pub slashable_generic: SlashableGeneric,
}

/// When a database must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseNeed {
    Always,
    /// Unless protection is off.
    IfEnabled,
    Never,
}

/// The deletion of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruningConfig {
    /// Whether there is any.
    pub enabled: bool,
    /// Epochs of records that are left.
    pub epochs_to_keep: u64,
    /// Slots of one epoch, to count the block records that are left.
    pub slots_per_epoch: u64,
    /// Time between two prunings.
    pub interval: Duration,
    /// Whether one happens right after the start.
    pub at_boot: bool,
}

impl SlashingConfig {
    /// Reads the section.
    pub(super) fn from_values(
        values: &Values,
        need: DatabaseNeed,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ParameterError> {
        let enabled = values.boolean(&SLASHING_PROTECTION_ENABLED)?;
        let database = database(values)?;
        let (postgres, postgres_warnings) = postgres(values)?;
        let is_needed = match need {
            DatabaseNeed::Always => true,
            DatabaseNeed::IfEnabled => enabled,
            DatabaseNeed::Never => false,
        };
        if database.is_none() && is_needed {
            return Err(ParameterError::Missing {
                option: DB_URL.dashed_name(),
                reason: "slashing protection needs a database: give --data-path (before eth2) for \
                         a SQLite file in that folder, or --slashing-protection-db-url"
                    .to_owned(),
            });
        }
        match &database {
            Some(DatabaseUrl::Sqlite(_)) => warn_of_postgresql_options(values, warnings),
            Some(DatabaseUrl::Postgres(url)) => {
                warnings.extend(
                    url.ignored_parameters().iter().map(|name| {
                        without_effect(values, &DB_URL, &format!("its parameter {name}"))
                    }),
                );
                warnings.extend(postgres_warnings);
            }
            None => {}
        }
        Ok(Self {
            enabled,
            database,
            postgres,
            pruning: PruningConfig::from_values(values)?,
            health_check_interval: Duration::from_millis(values.integer(&HEALTH_CHECK_INTERVAL)?),
            health_check_timeout: Duration::from_millis(values.integer(&HEALTH_CHECK_TIMEOUT)?),
            accept_new_database: values.boolean(&ACCEPT_NEW_DATABASE)?,
            slashable_generic: if values.boolean(&ALLOW_GENERIC_SLASHABLE_DOMAINS)? {
                SlashableGeneric::WithObject
            } else {
                SlashableGeneric::Refused
            },
            safe_start: values.boolean(&SAFE_START)?,
            refuse_far_future: values.boolean(&REFUSE_FAR_FUTURE)?,
        })
    }
}

impl PruningConfig {
    fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let interval_hours: u64 = values.integer(&PRUNING_INTERVAL)?;
        Ok(Self {
            enabled: values.boolean(&PRUNING_ENABLED)?,
            epochs_to_keep: values.integer(&PRUNING_EPOCHS_TO_KEEP)?,
            slots_per_epoch: values.integer(&PRUNING_SLOTS_PER_EPOCH)?,
            interval: Duration::from_secs(interval_hours.saturating_mul(SECONDS_PER_HOUR)),
            at_boot: values.boolean(&PRUNING_AT_BOOT_ENABLED)?,
        })
    }
}

fn database(values: &Values) -> Result<Option<DatabaseUrl>, ParameterError> {
    let Some(url) = values.text(&DB_URL) else {
        return Ok(values
            .optional_path(&DATA_PATH)?
            .map(|path| DatabaseUrl::Sqlite(path.join(DATABASE_FILE))));
    };
    match url.parse() {
        Ok(DatabaseUrl::Postgres(url)) => {
            let password = values.text(&DB_PASSWORD).map(Secret::new);
            let url = url.with_credentials(values.text(&DB_USERNAME), password.as_ref());
            Ok(Some(DatabaseUrl::Postgres(Box::new(url))))
        }
        Ok(database) => Ok(Some(database)),
        Err(error) => Err(values.invalid(&DB_URL, error.to_string())),
    }
}

/// How PostgreSQL is used, and warnings for the case that it is.
fn postgres(values: &Values) -> Result<(PostgresOptions, Vec<String>), ParameterError> {
    let mut warnings = Vec::new();
    let mut options =
        PostgresOptions { migrate: values.choice(&DB_MIGRATE)?, ..PostgresOptions::default() };
    if let Some(file) = pool_file(values, &DB_POOL_FILE)? {
        options.attestation_connections =
            file.attestation_connections.unwrap_or(options.attestation_connections);
        options.connect_timeout = file.connect_timeout.unwrap_or(options.connect_timeout);
        let effectless =
            |name: &String| without_effect(values, &DB_POOL_FILE, &format!("its property {name}"));
        warnings.extend(file.ignored.iter().map(effectless));
    }
    // Pruning has no connection of its own; a file that can't be read is a mistake all the same.
    if pool_file(values, &PRUNING_DB_POOL_FILE)?.is_some() {
        warnings.push(without_effect(values, &PRUNING_DB_POOL_FILE, "the file"));
    }
    Ok((options, warnings))
}

fn pool_file(values: &Values, spec: &OptionSpec) -> Result<Option<PoolFile>, ParameterError> {
    let Some(path) = values.optional_path(spec)? else { return Ok(None) };
    if !path.is_file() {
        return Err(values.invalid(spec, format!("there is no file {}", path.display())));
    }
    PoolFile::read(&path).map(Some).map_err(|reason| values.invalid(spec, reason))
}

fn without_effect(values: &Values, spec: &OptionSpec, what: &str) -> String {
    let option = spec.dashed_name();
    match values.origin(spec) {
        Some(origin) => format!("{option} ({origin}): {what} has no effect"),
        None => format!("{option}: {what} has no effect"),
    }
}

fn warn_of_postgresql_options(values: &Values, warnings: &mut Vec<String>) {
    for spec in [&DB_USERNAME, &DB_PASSWORD, &DB_POOL_FILE, &PRUNING_DB_POOL_FILE, &DB_MIGRATE] {
        if let Some(origin) = values.origin(spec) {
            let option = spec.dashed_name();
            warnings.push(format!("{option} ({origin}) has no effect: the database is SQLite"));
        }
    }
}
