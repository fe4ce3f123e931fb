//! Which fork an object belongs to.
//!
//! Three sources may say so, and the first that speaks decides:
//! 1. the fork version that `fork_info` selects for the object's epoch, looked up in the network's
//!    table. It wins over the schedule, because the client knows the chain: a fresh development
//!    network runs forks that the configuration calls far away.
//! 2. the `version` of the wrapper, when the network does not know that fork version;
//! 3. the network's schedule at the object's epoch.
//!
//! When the first two both speak and differ, that matters only if the forks hash the object
//! differently; then a signature would be for something else than one of them means, and the
//! request is refused. Clients are not exact otherwise: an aggregate of Fulu may be called
//! `ELECTRA`. The members of the object must fit as well: `committee_bits` in an aggregate of
//! Deneb, or none in one of Electra, are refused. A full block's `version` must agree.
//!
//! What is hashed alike in every fork is not refused for its fork: a block header under any
//! `fork_info`, sync committee duties when `fork_info` or the schedule places them in Altair or
//! later. The reference signer's own tests send both with the genesis fork version. Only one root
//! is possible, slashing protection sees the same slot, and a wrong fork version only makes a
//! signature that no node accepts.
//!
//! The signing root that a client sends never chooses a fork, with the one exception of exits.

use signer_client::wire::{Epoch, Fork, ForkInfo, Slot};

use super::{DutyError, DutyType, Network, error::ForkSource};

/// A fork with what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectFork {
    pub(super) fork: Fork,
    pub(super) decided_by: ForkSource,
}

impl ObjectFork {
    /// Decides by the three sources above, without comparing them.
    pub(super) fn decide(
        network: &Network,
        fork_info: &ForkInfo,
        epoch: Epoch,
        wrapper: Option<Fork>,
    ) -> Self {
        let version = fork_info.fork.version_at(epoch);
        if let Some(fork) = network.fork_with_version(version) {
            return Self { fork, decided_by: ForkSource::ForkInfo { version, epoch } };
        }
        match wrapper {
            Some(fork) => Self { fork, decided_by: ForkSource::Wrapper },
            None => Self {
                fork: network.fork_at_epoch(epoch),
                decided_by: ForkSource::Schedule { epoch },
            },
        }
    }

    /// Refuses a wrapper whose fork hashes the object differently; `shape` tells which forks hash
    /// it alike.
    pub(super) fn check_wrapper<Shape: PartialEq>(
        self,
        key: &'static str,
        wrapper: Option<Fork>,
        shape: impl Fn(Fork) -> Shape,
    ) -> Result<(), DutyError> {
        match wrapper {
            Some(wrapper) if shape(wrapper) != shape(self.fork) => {
                let Self { fork, decided_by } = self;
                Err(DutyError::Contradiction { key, wrapper, fork, decided_by })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a sync committee duty before Altair: neither `fork_info`, nor `claimed` where the network
/// does not know that fork version, nor the schedule says that the slot's fork has sync committees.
pub(super) fn check_since_altair(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    slot: Slot,
    duty_type: DutyType,
) -> Result<(), DutyError> {
    let epoch = network.epoch_of(slot);
    let ObjectFork { fork, decided_by } = ObjectFork::decide(network, fork_info, epoch, claimed);
    if fork < Fork::Altair && network.fork_at_epoch(epoch) < Fork::Altair {
        return Err(DutyError::WrongFork { duty_type, fork, decided_by });
    }
    Ok(())
}
