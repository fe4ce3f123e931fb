//! The chain that the load is played on: made up, so that nothing that is signed for it is worth
//! anything anywhere else.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::wire::{Epoch, ForkInfo, ForkVersion, ForkVersions, Root, Slot};

/// Slots of an epoch in the mainnet preset.
pub const SLOTS_PER_EPOCH: u64 = 32;
/// How old a new chain is, in slots: its attestations need an epoch before their own.
const AGE_OF_NEW_CHAIN: u64 = 2 * SLOTS_PER_EPOCH;
/// The names of the forks in configuration files, oldest first.
const FORKS: [&str; 6] = ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"];

/// A chain in Fulu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadChain {
    fork_info: ForkInfo,
    genesis_unix_ms: u64,
    slot_ms: u64,
}

/// Why a file gives no chain to play on.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML.
    #[error("{} is no network configuration: {reason}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A key that is needed is absent or has an unusable value.
    #[error("{}: {key} must be {expected}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct File {
    electra_fork_version: Option<String>,
    fulu_fork_version: Option<String>,
    fulu_fork_epoch: Option<String>,
    slot_duration_ms: Option<String>,
    midslot_genesis_time: Option<String>,
    midslot_genesis_validators_root: Option<String>,
}

impl LoadChain {
    /// The chain of a seed: the same again for the same seed, and another one for every other. Its
    /// genesis is that of Unix time, so that its slots go on between two runs.
    ///
    /// `slot_ms` of zero counts as one.
    pub fn of_seed(seed: u64, slot_ms: u64) -> Self {
        let mut hash = Sha256::new_with_prefix(b"midslot signer-load chain");
        hash.update(seed.to_le_bytes());
        Self::new(Root(hash.finalize().into()), 0, slot_ms)
    }

    /// A chain with mainnet's fork versions. `genesis_time` is in Unix seconds.
    pub fn new(genesis_validators_root: Root, genesis_time: u64, slot_ms: u64) -> Self {
        Self {
            fork_info: ForkInfo {
                fork: ForkVersions {
                    previous_version: ForkVersion([5, 0, 0, 0]),
                    current_version: ForkVersion([6, 0, 0, 0]),
                    epoch: Epoch(0),
                },
                genesis_validators_root,
            },
            genesis_unix_ms: genesis_time.saturating_mul(1000),
            slot_ms: slot_ms.max(1),
        }
    }

    /// A chain that nobody else has, with its genesis two epochs ago.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random(slot_ms: u64) -> Result<Self, getrandom::Error> {
        let mut root = [0; 32];
        getrandom::fill(&mut root)?;
        let age = AGE_OF_NEW_CHAIN.saturating_mul(slot_ms).div_ceil(1000);
        let now = since_unix_epoch().as_secs();
        Ok(Self::new(Root(root), now.saturating_sub(age), slot_ms))
    }

    /// The chain of a network's configuration file (consensus-specs, `configs/*.yaml`, with the keys
    /// `MIDSLOT_GENESIS_TIME` and `MIDSLOT_GENESIS_VALIDATORS_ROOT`), as [`Self::network_file`]
    /// writes it.
    ///
    /// # Errors
    /// See [`ChainFileError`].
    pub fn from_network_file(path: &Path) -> Result<Self, ChainFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ChainFileError::Unreadable { path: path.to_owned(), source })?;
        let file: File = serde_saphyr::from_str(&text).map_err(|error| ChainFileError::Yaml {
            path: path.to_owned(),
            reason: error.without_snippet().to_string().replace('\n', " "),
        })?;
        file.chain().map_err(|(key, expected)| ChainFileError::Key {
            path: path.to_owned(),
            key,
            expected,
        })
    }

    /// A network's configuration file for the signer (`--network`): it then knows this chain's
    /// clock, and signs blocks and attestations of no other one.
    pub fn network_file(&self) -> String {
        let mut text = format!(
            "# A made-up chain for load tests; its validators' keys are known to everybody.\n\
             PRESET_BASE: mainnet\n\
             CONFIG_NAME: signer-load\n\
             MIDSLOT_GENESIS_VALIDATORS_ROOT: {}\n\
             MIDSLOT_GENESIS_TIME: {}\n\
             SLOT_DURATION_MS: {}\n\
             GENESIS_FORK_VERSION: 0x00000000\n",
            self.fork_info.genesis_validators_root,
            self.genesis_unix_ms / 1000,
            self.slot_ms,
        );
        for (number, fork) in (1..).zip(FORKS) {
            // Writing to a text can't fail.
            let _ = writeln!(text, "{fork}_FORK_VERSION: 0x{number:02x}000000");
            let _ = writeln!(text, "{fork}_FORK_EPOCH: 0");
        }
        text
    }

    /// Chain and fork, as requests state them.
    pub const fn fork_info(&self) -> ForkInfo {
        self.fork_info
    }

    /// Start of slot 0 in Unix seconds.
    pub const fn genesis_time(&self) -> u64 {
        self.genesis_unix_ms / 1000
    }

    /// Length of a slot.
    pub const fn slot_duration(&self) -> Duration {
        Duration::from_millis(self.slot_ms)
    }

    /// The first slot that has not begun.
    pub fn next_slot(&self) -> Slot {
        let now = u64::try_from(since_unix_epoch().as_millis()).unwrap_or(u64::MAX);
        Slot(now.saturating_sub(self.genesis_unix_ms) / self.slot_ms + 1)
    }

    /// Time until a slot begins; zero when it has.
    pub fn until(&self, slot: Slot) -> Duration {
        let start = self.genesis_unix_ms.saturating_add(slot.0.saturating_mul(self.slot_ms));
        Duration::from_millis(start).saturating_sub(since_unix_epoch())
    }
}

impl File {
    fn chain(self) -> Result<LoadChain, (&'static str, &'static str)> {
        fn read<T: std::str::FromStr>(
            value: Option<String>,
            key: &'static str,
            expected: &'static str,
        ) -> Result<T, (&'static str, &'static str)> {
            value.and_then(|text| text.parse().ok()).ok_or((key, expected))
        }
        const VERSION: &str = "a fork version of 4 bytes";
        const POSITIVE: &str = "the length of a slot in milliseconds";
        let genesis_time: u64 =
            read(self.midslot_genesis_time, "MIDSLOT_GENESIS_TIME", "in Unix seconds")?;
        let slot_ms: u64 = read(self.slot_duration_ms, "SLOT_DURATION_MS", POSITIVE)?;
        if slot_ms == 0 {
            return Err(("SLOT_DURATION_MS", POSITIVE));
        }
        Ok(LoadChain {
            fork_info: ForkInfo {
                fork: ForkVersions {
                    previous_version: read(
                        self.electra_fork_version,
                        "ELECTRA_FORK_VERSION",
                        VERSION,
                    )?,
                    current_version: read(self.fulu_fork_version, "FULU_FORK_VERSION", VERSION)?,
                    epoch: Epoch(read(self.fulu_fork_epoch, "FULU_FORK_EPOCH", "an epoch")?),
                },
                genesis_validators_root: read(
                    self.midslot_genesis_validators_root,
                    "MIDSLOT_GENESIS_VALIDATORS_ROOT",
                    "a root of 32 bytes",
                )?,
            },
            genesis_unix_ms: genesis_time.saturating_mul(1000),
            slot_ms,
        })
    }
}

/// The epoch of a slot.
pub(super) const fn epoch_of(slot: Slot) -> Epoch {
    Epoch(slot.0 / SLOTS_PER_EPOCH)
}

fn since_unix_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_chain() {
        let root = |seed| LoadChain::of_seed(seed, 12_000).fork_info().genesis_validators_root;
        assert_eq!(root(1), root(1));
        assert_ne!(root(1), root(2));
    }

    #[test]
    fn a_network_file_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.yaml");
        let chain = LoadChain::random(2_500).unwrap();
        std::fs::write(&path, chain.network_file()).unwrap();
        assert_eq!(LoadChain::from_network_file(&path).unwrap(), chain);
        assert!(epoch_of(chain.next_slot()) >= Epoch(2));
    }

    #[test]
    fn unusable_files_say_which_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.yaml");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            LoadChain::from_network_file(&path).unwrap_err().to_string()
        };
        assert!(message("PRESET_BASE: mainnet\n").contains("MIDSLOT_GENESIS_TIME must be"));
        let good = LoadChain::of_seed(1, 4_000).network_file();
        let zero = good.replace("SLOT_DURATION_MS: 4000", "SLOT_DURATION_MS: 0");
        assert!(message(&zero).contains("SLOT_DURATION_MS must be"));
        assert!(message("[").contains("is no network configuration"));
    }
}
