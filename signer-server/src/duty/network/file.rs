//! Reading a network from the standard configuration format (consensus-specs, `configs/*.yaml`).
//!
//! Every scalar is read as text and converted here: YAML would take an unquoted `0x01000000` for
//! a number. Unknown keys are ignored, because the format grows with every fork.
//!
//! A file may also set keys of its preset. `SLOTS_PER_EPOCH` is honoured, as Teku does; the others
//! that signing roots depend on must be the preset's, because ignoring another value would give
//! wrong roots silently.

use std::{num::NonZeroU64, str::FromStr};

use serde::Deserialize;
use signer_client::wire::{Epoch, Fork, ForkVersion, Root};

use super::{
    FAR_FUTURE_EPOCH, MAX_VALIDATORS_PER_COMMITTEE, Network, NetworkError, Preset, ScheduledFork,
};

/// The keys that are read. The last two are our own: the standard format tells neither.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct ConfigFile {
    preset_base: Option<String>,
    config_name: Option<String>,
    slot_duration_ms: Option<String>,
    seconds_per_slot: Option<String>,
    slots_per_epoch: Option<String>,
    sync_committee_size: Option<String>,
    max_committees_per_slot: Option<String>,
    max_validators_per_committee: Option<String>,
    genesis_fork_version: Option<String>,
    altair_fork_version: Option<String>,
    altair_fork_epoch: Option<String>,
    bellatrix_fork_version: Option<String>,
    bellatrix_fork_epoch: Option<String>,
    capella_fork_version: Option<String>,
    capella_fork_epoch: Option<String>,
    deneb_fork_version: Option<String>,
    deneb_fork_epoch: Option<String>,
    electra_fork_version: Option<String>,
    electra_fork_epoch: Option<String>,
    fulu_fork_version: Option<String>,
    fulu_fork_epoch: Option<String>,
    gloas_fork_version: Option<String>,
    gloas_fork_epoch: Option<String>,
    heze_fork_version: Option<String>,
    heze_fork_epoch: Option<String>,
    midslot_genesis_validators_root: Option<String>,
    midslot_genesis_time: Option<String>,
}

/// Reads a configuration; `default_name` stands in for a missing `CONFIG_NAME`.
pub(super) fn parse(yaml: &str, default_name: &str) -> Result<Network, NetworkError> {
    let file: ConfigFile = serde_saphyr::from_str(yaml)
        .map_err(|error| NetworkError::Yaml { reason: one_line(error.without_snippet()) })?;

    let preset_base = required("PRESET_BASE", file.preset_base.as_deref())?;
    let preset = Preset::from_name(preset_base)
        .ok_or_else(|| invalid("PRESET_BASE", "mainnet, gnosis or minimal", preset_base))?;
    check_preset_keys(&file, preset)?;
    let genesis_fork_version = hex(
        "GENESIS_FORK_VERSION",
        required("GENESIS_FORK_VERSION", file.genesis_fork_version.as_deref())?,
    )?;
    let network = Network {
        name: file.config_name.clone().unwrap_or_else(|| default_name.to_owned()),
        preset,
        slots_per_epoch: slots_per_epoch(&file, preset)?,
        genesis_fork_version,
        genesis_validators_root: file
            .midslot_genesis_validators_root
            .as_deref()
            .map(|text| hex("MIDSLOT_GENESIS_VALIDATORS_ROOT", text))
            .transpose()?,
        genesis_time: file
            .midslot_genesis_time
            .as_deref()
            .map(|text| integer("MIDSLOT_GENESIS_TIME", text))
            .transpose()?,
        slot_duration_ms: slot_duration_ms(&file)?,
        forks: fork_table(&file, genesis_fork_version)?,
    };
    network.check_fork_order()?;
    Ok(network)
}

/// Refuses a key of the preset that has another value than the preset.
fn check_preset_keys(file: &ConfigFile, preset: Preset) -> Result<(), NetworkError> {
    for (key, text, expected) in [
        ("SYNC_COMMITTEE_SIZE", &file.sync_committee_size, preset.sync_committee_size()),
        (
            "MAX_COMMITTEES_PER_SLOT",
            &file.max_committees_per_slot,
            preset.max_committees_per_slot(),
        ),
        (
            "MAX_VALIDATORS_PER_COMMITTEE",
            &file.max_validators_per_committee,
            MAX_VALIDATORS_PER_COMMITTEE,
        ),
    ] {
        if let Some(text) = text
            && text.parse() != Ok(expected)
        {
            let found = text.clone();
            return Err(NetworkError::NotThePresets { key, expected, found });
        }
    }
    Ok(())
}

fn slots_per_epoch(file: &ConfigFile, preset: Preset) -> Result<NonZeroU64, NetworkError> {
    let key = "SLOTS_PER_EPOCH";
    let Some(text) = &file.slots_per_epoch else {
        return Ok(preset.slots_per_epoch());
    };
    NonZeroU64::new(integer(key, text)?)
        .ok_or_else(|| invalid(key, "the positive number of slots in an epoch", text))
}

fn slot_duration_ms(file: &ConfigFile) -> Result<u64, NetworkError> {
    let (key, text, factor) = match (&file.slot_duration_ms, &file.seconds_per_slot) {
        (Some(text), _) => ("SLOT_DURATION_MS", text, 1),
        (None, Some(text)) => ("SECONDS_PER_SLOT", text, 1000),
        (None, None) => {
            return Err(NetworkError::MissingKey {
                key: "SLOT_DURATION_MS (or SECONDS_PER_SLOT)".to_owned(),
            });
        }
    };
    integer(key, text)?
        .checked_mul(factor)
        .filter(|duration| *duration > 0)
        .ok_or_else(|| invalid(key, "the positive length of a slot", text))
}

/// The forks that the file names, oldest first. The later ones may be absent, but none between.
fn fork_table(
    file: &ConfigFile,
    genesis_fork_version: ForkVersion,
) -> Result<Vec<ScheduledFork>, NetworkError> {
    let rows = [
        (Fork::Altair, &file.altair_fork_version, &file.altair_fork_epoch),
        (Fork::Bellatrix, &file.bellatrix_fork_version, &file.bellatrix_fork_epoch),
        (Fork::Capella, &file.capella_fork_version, &file.capella_fork_epoch),
        (Fork::Deneb, &file.deneb_fork_version, &file.deneb_fork_epoch),
        (Fork::Electra, &file.electra_fork_version, &file.electra_fork_epoch),
        (Fork::Fulu, &file.fulu_fork_version, &file.fulu_fork_epoch),
        (Fork::Gloas, &file.gloas_fork_version, &file.gloas_fork_epoch),
        (Fork::Heze, &file.heze_fork_version, &file.heze_fork_epoch),
    ];
    let mut forks =
        vec![ScheduledFork { fork: Fork::Phase0, version: genesis_fork_version, epoch: Epoch(0) }];
    let mut absent: Option<Fork> = None;
    for (fork, version, epoch) in rows {
        let version_key = format!("{fork}_FORK_VERSION");
        let Some(version) = version else {
            if epoch.is_some() {
                return Err(NetworkError::MissingKey { key: version_key });
            }
            absent = absent.or(Some(fork));
            continue;
        };
        if let Some(absent) = absent {
            return Err(NetworkError::MissingKey { key: format!("{absent}_FORK_VERSION") });
        }
        let version: ForkVersion = hex(&version_key, version)?;
        if let Some(twin) = forks.iter().find(|other| other.version == version) {
            return Err(NetworkError::SameVersion { first: twin.fork, second: fork });
        }
        let epoch = match epoch {
            Some(text) => Epoch(integer(&format!("{fork}_FORK_EPOCH"), text)?),
            None => FAR_FUTURE_EPOCH,
        };
        forks.push(ScheduledFork { fork, version, epoch });
    }
    Ok(forks)
}

fn required<'a>(key: &str, value: Option<&'a str>) -> Result<&'a str, NetworkError> {
    value.ok_or_else(|| NetworkError::MissingKey { key: key.to_owned() })
}

fn invalid(key: &str, expected: &'static str, found: &str) -> NetworkError {
    NetworkError::InvalidValue { key: key.to_owned(), expected, found: found.to_owned() }
}

fn hex<T: FromStr>(key: &str, text: &str) -> Result<T, NetworkError> {
    let expected = if size_of::<T>() == Root::SIZE {
        "32 bytes of hexadecimal text"
    } else {
        "4 bytes of hexadecimal text"
    };
    // On the wire a root may be short; in a file that is a slip that would stop all signing.
    let digits = text.strip_prefix("0x").unwrap_or(text).len();
    let value = text.parse().ok().filter(|_| digits == 2 * size_of::<T>());
    value.ok_or_else(|| invalid(key, expected, text))
}

fn integer(key: &str, text: &str) -> Result<u64, NetworkError> {
    text.parse().map_err(|_| invalid(key, "an unsigned 64-bit decimal integer", text))
}

fn one_line(error: &impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
