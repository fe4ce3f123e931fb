//! Slashing protection: on or off, its database, and how that is kept.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

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
        own::{ACCEPT_NEW_DATABASE, REFUSE_FAR_FUTURE, SAFE_START},
        root::DATA_PATH,
    },
    secret::Secret,
    values::Values,
};
use crate::slashing::DatabaseUrl;

const SECONDS_PER_HOUR: u64 = 3600;

/// Name of the SQLite file in the data path.
const DATABASE_FILE: &str = "slashing-protection.sqlite";

/// Slashing protection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct SlashingConfig {
    /// Whether slashable requests are checked and recorded.
    pub enabled: bool,
    /// Where the records are. `None` only when protection is off and neither a database nor a data
    /// path is given.
    pub database: Option<DatabaseUrl>,
    /// User of the `PostgreSQL` database, when it is not in the address.
    pub username: Option<String>,
    /// Password of the `PostgreSQL` database, when it is not in the address.
    pub password: Option<Secret>,
    /// Properties of the `PostgreSQL` connections; the file existed when the options were read.
    pub pool_configuration_file: Option<PathBuf>,
    /// The same for the connection that prunes.
    pub pruning_pool_configuration_file: Option<PathBuf>,
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
    /// Reads the section. With `is_needed` a database must be known even if protection is off.
    pub(super) fn from_values(
        values: &Values,
        is_needed: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ParameterError> {
        let enabled = values.boolean(&SLASHING_PROTECTION_ENABLED)?;
        let database = database(values)?;
        if database.is_none() && (enabled || is_needed) {
            return Err(ParameterError::Missing {
                option: DB_URL.dashed_name(),
                reason: "slashing protection needs a database: give --data-path (before eth2) for \
                         a SQLite file in that folder, or --slashing-protection-db-url"
                    .to_owned(),
            });
        }
        if matches!(database, Some(DatabaseUrl::Sqlite(_))) {
            warn_of_postgresql_options(values, warnings);
        }
        Ok(Self {
            enabled,
            database,
            username: values.text(&DB_USERNAME).map(str::to_owned),
            password: values.text(&DB_PASSWORD).map(Secret::new),
            pool_configuration_file: existing_file(values, &DB_POOL_FILE)?,
            pruning_pool_configuration_file: existing_file(values, &PRUNING_DB_POOL_FILE)?,
            pruning: PruningConfig::from_values(values)?,
            health_check_interval: Duration::from_millis(values.integer(&HEALTH_CHECK_INTERVAL)?),
            health_check_timeout: Duration::from_millis(values.integer(&HEALTH_CHECK_TIMEOUT)?),
            accept_new_database: values.boolean(&ACCEPT_NEW_DATABASE)?,
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
        Ok(DatabaseUrl::Postgres(_)) => Err(ParameterError::Unavailable {
            option: DB_URL.dashed_name(),
            origin: values.origin(&DB_URL).cloned().unwrap_or(super::error::Origin::Default),
            function: "PostgreSQL",
        }),
        Ok(database) => Ok(Some(database)),
        Err(error) => Err(values.invalid(&DB_URL, error.to_string())),
    }
}

fn warn_of_postgresql_options(values: &Values, warnings: &mut Vec<String>) {
    for spec in [&DB_USERNAME, &DB_PASSWORD, &DB_POOL_FILE, &PRUNING_DB_POOL_FILE] {
        if let Some(origin) = values.origin(spec) {
            let option = spec.dashed_name();
            warnings.push(format!("{option} ({origin}) has no effect: the database is SQLite"));
        }
    }
}

fn existing_file(values: &Values, spec: &OptionSpec) -> Result<Option<PathBuf>, ParameterError> {
    match values.optional_path(spec)? {
        Some(path) if !Path::is_file(&path) => {
            Err(values.invalid(spec, format!("there is no file {}", path.display())))
        }
        path => Ok(path),
    }
}
