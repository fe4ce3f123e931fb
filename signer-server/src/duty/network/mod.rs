//! The chain that the signer works for: its preset, its fork versions and when they begin.
//!
//! A network is read from a file in the standard configuration format of consensus-specs; the
//! well-known ones are such files too, embedded. Only what signing roots and slot times depend on
//! is kept.

mod clock;
mod error;
mod file;
mod preset;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU64, path::Path};

pub use clock::NetworkClock;
pub use error::NetworkError;
pub use preset::Preset;
pub(in crate::duty) use preset::{MAX_VALIDATORS_PER_COMMITTEE, SYNC_COMMITTEE_SUBNET_COUNT};
use signer_client::wire::{Epoch, Fork, ForkVersion, Root, Slot};

/// The epoch of a fork that is not scheduled (consensus-specs, `FAR_FUTURE_EPOCH`).
pub const FAR_FUTURE_EPOCH: Epoch = Epoch(u64::MAX);

/// The embedded configurations, by canonical name.
const BUILT_IN: [(&str, &str); 8] = [
    ("mainnet", include_str!("../../../networks/mainnet.yaml")),
    ("sepolia", include_str!("../../../networks/sepolia.yaml")),
    ("holesky", include_str!("../../../networks/holesky.yaml")),
    ("hoodi", include_str!("../../../networks/hoodi.yaml")),
    ("gnosis", include_str!("../../../networks/gnosis.yaml")),
    ("chiado", include_str!("../../../networks/chiado.yaml")),
    ("lukso", include_str!("../../../networks/lukso.yaml")),
    ("minimal", include_str!("../../../networks/minimal.yaml")),
];

/// Names that the reference signer knows but whose configuration is not embedded, because it is
/// reset regularly or belongs to tests.
const NOT_EMBEDDED: [&str; 3] = ["ephemery", "swift", "less-swift"];

/// One row of a network's fork table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledFork {
    /// Name of the fork.
    pub fork: Fork,
    /// Its version, unique within the network.
    pub version: ForkVersion,
    /// Its first epoch; [`FAR_FUTURE_EPOCH`] when it is not scheduled.
    pub epoch: Epoch,
}

/// A consensus layer network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// `CONFIG_NAME`, or the name of the file's path when it has none.
    pub name: String,
    /// The preset it is based on.
    pub preset: Preset,
    /// Slots in an epoch: the preset's, if the configuration does not say otherwise.
    pub slots_per_epoch: NonZeroU64,
    /// Version of phase 0.
    pub genesis_fork_version: ForkVersion,
    /// Identity of the chain, when the configuration tells it.
    pub genesis_validators_root: Option<Root>,
    /// Start of slot 0 in Unix seconds, when the configuration tells it.
    pub genesis_time: Option<u64>,
    /// Length of a slot in milliseconds.
    pub slot_duration_ms: u64,
    /// The forks, oldest first, beginning with phase 0 and without gaps.
    forks: Vec<ScheduledFork>,
}

impl Network {
    /// The embedded network of that name (upper or lower case, `_` for `-`), else the one that the
    /// file at that path describes.
    pub fn by_name_or_file(name_or_path: &str) -> Result<Self, NetworkError> {
        let name = name_or_path.to_ascii_lowercase().replace('_', "-");
        if let Some((name, yaml)) = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == name) {
            return file::parse(yaml, name);
        }
        if name.contains("://") || NOT_EMBEDDED.contains(&&*name) {
            return Err(NetworkError::NeedsFile { name: name_or_path.to_owned() });
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let known = BUILT_IN.map(|(name, _)| name).join(", ");
            return Err(NetworkError::Unknown { name: name_or_path.to_owned(), known });
        }
        let yaml = std::fs::read_to_string(path)
            .map_err(|source| NetworkError::Unreadable { path: path.to_owned(), source })?;
        file::parse(&yaml, name_or_path)
            .map_err(|error| NetworkError::InFile { path: path.to_owned(), error: Box::new(error) })
    }

    /// The forks, oldest first, beginning with phase 0 and without gaps.
    pub fn forks(&self) -> &[ScheduledFork] {
        &self.forks
    }

    /// Moves the first epoch of a fork. Call [`Network::check_fork_order`] after the last move:
    /// on the way there the order may be wrong.
    pub fn override_fork_epoch(&mut self, fork: Fork, epoch: Epoch) -> Result<(), NetworkError> {
        let scheduled = self.forks.iter_mut().find(|scheduled| scheduled.fork == fork);
        let Some(scheduled) = scheduled else {
            return Err(NetworkError::NoSuchFork { fork, network: self.name.clone() });
        };
        scheduled.epoch = epoch;
        Ok(())
    }

    /// Checks that no fork begins before the one that it builds on.
    pub fn check_fork_order(&self) -> Result<(), NetworkError> {
        let disordered = self.forks.windows(2).find(|pair| pair[0].epoch > pair[1].epoch);
        match disordered {
            None => Ok(()),
            Some(pair) => Err(NetworkError::Disordered { earlier: pair[0], later: pair[1] }),
        }
    }

    /// The fork with that version, scheduled or not.
    pub fn fork_with_version(&self, version: ForkVersion) -> Option<Fork> {
        self.forks.iter().find(|scheduled| scheduled.version == version).map(|found| found.fork)
    }

    /// The version of a fork, `None` if the network does not know the fork.
    pub fn version_of(&self, fork: Fork) -> Option<ForkVersion> {
        self.forks.iter().find(|scheduled| scheduled.fork == fork).map(|found| found.version)
    }

    /// The fork that the schedule gives an epoch.
    pub fn fork_at_epoch(&self, epoch: Epoch) -> Fork {
        self.forks
            .iter()
            .rfind(|scheduled| scheduled.epoch <= epoch && scheduled.epoch != FAR_FUTURE_EPOCH)
            .map_or(Fork::Phase0, |found| found.fork)
    }

    /// The epoch that a slot belongs to.
    pub const fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.slots_per_epoch.get())
    }
}
