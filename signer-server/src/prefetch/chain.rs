//! The chain of this signer, and whether a beacon node is on it.

use signer_client::wire::{Epoch, Fork, ForkInfo, ForkVersion, ForkVersions, Root, Slot};

use super::answers::{Genesis, Spec};
use crate::duty::{FAR_FUTURE_EPOCH, Network, NetworkClock};

/// The chain of this signer: a network whose genesis is known. What is known of it was never learned
/// from a beacon node.
#[derive(Clone, Debug)]
pub struct Chain {
    network: Network,
    clock: NetworkClock,
    genesis_time: u64,
    genesis_validators_root: Root,
}

/// How a beacon node shows that it is on another chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongChain {
    #[error("its genesis validators root is {found}, not {expected}")]
    GenesisValidatorsRoot { found: Root, expected: Root },
    #[error("its genesis time is {found}, not {expected}")]
    GenesisTime { found: u64, expected: u64 },
    #[error("its {key} is {found}, not {expected}")]
    Spec { key: &'static str, found: u64, expected: u64 },
    #[error("its fork version {version} of epoch {epoch} is none of this network")]
    ForkVersion { version: ForkVersion, epoch: Epoch },
    #[error("it names no fork for epoch {epoch}")]
    NoFork { epoch: Epoch },
}

impl Chain {
    /// The chain of a network that tells its genesis time and genesis validators root.
    pub fn of(network: &Network) -> Option<Self> {
        Some(Self {
            clock: NetworkClock::of(network)?,
            genesis_time: network.genesis_time?,
            genesis_validators_root: network.genesis_validators_root?,
            network: network.clone(),
        })
    }

    pub(super) fn clock(&self) -> NetworkClock {
        self.clock
    }

    pub(super) fn slots_per_epoch(&self) -> u64 {
        self.network.slots_per_epoch.get()
    }

    /// The epoch of a slot.
    pub(super) fn epoch_of(&self, slot: Slot) -> Epoch {
        self.clock.epoch_of(slot)
    }

    /// Places in the sync committee.
    pub(super) fn sync_committee_size(&self) -> u64 {
        self.network.preset.sync_committee_size() as u64
    }

    /// The subcommittee of a place in the sync committee; `None` for a place that it has not.
    pub(super) fn subcommittee_of(&self, place: u64) -> Option<u8> {
        let members = self.network.preset.sync_subcommittee_size() as u64;
        (place < self.sync_committee_size()).then(|| u8::try_from(place / members).ok()).flatten()
    }

    pub(super) fn check_genesis(&self, genesis: &Genesis) -> Result<(), WrongChain> {
        let (found, expected) = (genesis.genesis_validators_root, self.genesis_validators_root);
        if found != expected {
            return Err(WrongChain::GenesisValidatorsRoot { found, expected });
        }
        let (found, expected) = (genesis.genesis_time.0, self.genesis_time);
        if found != expected {
            return Err(WrongChain::GenesisTime { found, expected });
        }
        Ok(())
    }

    /// Compares what slots and committees depend on, as far as the node tells it.
    pub(super) fn check_spec(&self, spec: &Spec) -> Result<(), WrongChain> {
        let slot_ms = spec
            .slot_duration_ms
            .map(|duration| duration.0)
            .or_else(|| Some(spec.seconds_per_slot?.0.saturating_mul(1000)));
        for (key, found, expected) in [
            ("SLOTS_PER_EPOCH", spec.slots_per_epoch.map(|slots| slots.0), self.slots_per_epoch()),
            ("SLOT_DURATION_MS", slot_ms, self.clock.slot_duration_ms()),
            (
                "SYNC_COMMITTEE_SIZE",
                spec.sync_committee_size.map(|size| size.0),
                self.sync_committee_size(),
            ),
        ] {
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(WrongChain::Spec { key, found, expected });
            }
        }
        Ok(())
    }

    /// The forks as a beacon node has them scheduled. The versions must be the network's for every
    /// epoch up to `until`; what is scheduled later may be news.
    pub(super) fn forks(
        &self,
        scheduled: Vec<ForkVersions>,
        until: Epoch,
    ) -> Result<Forks, WrongChain> {
        let mut forks: Vec<(Fork, ForkVersions)> = Vec::new();
        for versions in scheduled.into_iter().filter(|fork| fork.epoch <= until) {
            for version in [versions.previous_version, versions.current_version] {
                if self.network.fork_with_version(version).is_none() {
                    let epoch = versions.epoch;
                    return Err(WrongChain::ForkVersion { version, epoch });
                }
            }
            let fork = self.network.fork_with_version(versions.current_version);
            forks.extend(fork.map(|fork| (fork, versions)));
        }
        // A development network may have many forks at one epoch, of which the last one counts.
        forks.sort_by_key(|(fork, versions)| (versions.epoch, *fork));
        Ok(Forks { forks, genesis_validators_root: self.genesis_validators_root })
    }

    /// The forks where a node tells only the one at its head: what the network has scheduled is taken
    /// for what comes after.
    pub(super) fn forks_after(&self, head: ForkVersions) -> Vec<ForkVersions> {
        let mut forks = vec![head];
        let rows = self.network.forks();
        for pair in rows.windows(2) {
            let [before, after] = pair else { continue };
            if after.epoch > head.epoch && after.epoch != FAR_FUTURE_EPOCH {
                forks.push(ForkVersions {
                    previous_version: before.version,
                    current_version: after.version,
                    epoch: after.epoch,
                });
            }
        }
        forks
    }
}

/// When which fork begins, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forks {
    forks: Vec<(Fork, ForkVersions)>,
    genesis_validators_root: Root,
}

impl Forks {
    fn at(&self, epoch: Epoch) -> Option<&(Fork, ForkVersions)> {
        self.forks.iter().rfind(|(_, versions)| versions.epoch <= epoch)
    }

    /// Demands a fork for an epoch.
    pub(super) fn check(&self, epoch: Epoch) -> Result<(), WrongChain> {
        self.at(epoch).map(drop).ok_or(WrongChain::NoFork { epoch })
    }

    /// What is signed in an epoch is signed with this: always the fork of the epoch itself, whatever
    /// the time is now.
    pub(super) fn fork_info(&self, epoch: Epoch) -> Option<ForkInfo> {
        let genesis_validators_root = self.genesis_validators_root;
        self.at(epoch).map(|(_, fork)| ForkInfo { fork: *fork, genesis_validators_root })
    }

    /// Whether there are sync committees in an epoch.
    pub(super) fn has_sync_committees(&self, epoch: Epoch) -> bool {
        self.at(epoch).is_some_and(|(fork, _)| *fork >= Fork::Altair)
    }
}
