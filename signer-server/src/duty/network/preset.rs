//! The presets: constants that a network can't choose one by one (consensus-specs, `presets/`).

use std::num::NonZeroU64;

/// Members of one committee at most, in every preset (`MAX_VALIDATORS_PER_COMMITTEE`).
pub(in crate::duty) const MAX_VALIDATORS_PER_COMMITTEE: usize = 2048;

/// Subcommittees of a sync committee, in every preset (`SYNC_COMMITTEE_SUBNET_COUNT`).
pub(in crate::duty) const SYNC_COMMITTEE_SUBNET_COUNT: usize = 4;

/// A preset. Only the constants that a signing root or an epoch depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Ethereum and its test networks.
    Mainnet,
    /// Gnosis Chain and Chiado.
    Gnosis,
    /// Small development networks.
    Minimal,
}

impl Preset {
    /// The preset with this `PRESET_BASE`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "mainnet" => Some(Self::Mainnet),
            "gnosis" => Some(Self::Gnosis),
            "minimal" => Some(Self::Minimal),
            _ => None,
        }
    }

    /// Slots in an epoch (`SLOTS_PER_EPOCH`) of a network that sets no other number.
    pub(super) const fn slots_per_epoch(self) -> NonZeroU64 {
        const MAINNET: NonZeroU64 = NonZeroU64::new(32).expect("not zero");
        const GNOSIS: NonZeroU64 = NonZeroU64::new(16).expect("not zero");
        const MINIMAL: NonZeroU64 = NonZeroU64::new(8).expect("not zero");
        match self {
            Self::Mainnet => MAINNET,
            Self::Gnosis => GNOSIS,
            Self::Minimal => MINIMAL,
        }
    }

    /// Members of one subcommittee of the sync committee (consensus-specs, altair
    /// `compute_subnets_for_sync_committee`).
    pub const fn sync_subcommittee_size(self) -> usize {
        self.sync_committee_size() / SYNC_COMMITTEE_SUBNET_COUNT
    }

    /// Members of the sync committee (`SYNC_COMMITTEE_SIZE`).
    pub const fn sync_committee_size(self) -> usize {
        match self {
            Self::Mainnet | Self::Gnosis => 512,
            Self::Minimal => 32,
        }
    }

    /// Committees of one slot at most (`MAX_COMMITTEES_PER_SLOT`).
    pub const fn max_committees_per_slot(self) -> usize {
        match self {
            Self::Mainnet | Self::Gnosis => 64,
            Self::Minimal => 4,
        }
    }
}
