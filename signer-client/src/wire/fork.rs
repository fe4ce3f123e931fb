//! Forks of the consensus layer, and what a request says about them.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::primitives::{Epoch, ForkVersion, Root};

/// The name of a fork (consensus-specs), in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fork {
    /// The beacon chain as it started.
    Phase0,
    /// Sync committees.
    Altair,
    /// Execution payloads (the merge).
    Bellatrix,
    /// Withdrawals.
    Capella,
    /// Blobs; exits for ever valid (EIP-7044).
    Deneb,
    /// Attestations over several committees (EIP-7549).
    Electra,
    /// Data columns.
    Fulu,
    /// Payloads apart from blocks (EIP-7732), progressive containers (EIP-7688).
    Gloas,
    /// Inclusion lists (EIP-7805).
    Heze,
}

impl Fork {
    /// Every fork, oldest first.
    pub const ALL: [Self; 9] = [
        Self::Phase0,
        Self::Altair,
        Self::Bellatrix,
        Self::Capella,
        Self::Deneb,
        Self::Electra,
        Self::Fulu,
        Self::Gloas,
        Self::Heze,
    ];

    /// The name on the wire, in upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phase0 => "PHASE0",
            Self::Altair => "ALTAIR",
            Self::Bellatrix => "BELLATRIX",
            Self::Capella => "CAPELLA",
            Self::Deneb => "DENEB",
            Self::Electra => "ELECTRA",
            Self::Fulu => "FULU",
            Self::Gloas => "GLOAS",
            Self::Heze => "HEZE",
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A text is not the upper-case name of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fork name (known are PHASE0 to HEZE, in upper case)")]
pub struct UnknownFork;

impl FromStr for Fork {
    type Err = UnknownFork;

    /// Exact, upper-case names only, as the reference signer demands.
    fn from_str(text: &str) -> Result<Self, UnknownFork> {
        Self::ALL.into_iter().find(|fork| fork.name() == text).ok_or(UnknownFork)
    }
}

impl Serialize for Fork {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Fork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The two fork versions around a fork epoch (consensus-specs, phase0 `Fork`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkVersions {
    /// Version before `epoch`.
    pub previous_version: ForkVersion,
    /// Version from `epoch` on.
    pub current_version: ForkVersion,
    /// First epoch of `current_version`; some clients send the epoch of the signed object here.
    pub epoch: Epoch,
}

impl ForkVersions {
    /// The version that signs objects of `epoch` (consensus-specs, phase0 `get_domain`).
    pub const fn version_at(&self, epoch: Epoch) -> ForkVersion {
        if epoch.0 < self.epoch.0 { self.previous_version } else { self.current_version }
    }
}

/// On which chain, and around which fork, an object is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkInfo {
    /// Fork versions.
    pub fork: ForkVersions,
    /// Identity of the chain.
    pub genesis_validators_root: Root,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_round_trip() {
        for fork in Fork::ALL {
            let json = serde_json::to_string(&fork).unwrap();
            assert_eq!(serde_json::from_str::<Fork>(&json).unwrap(), fork);
        }
        for text in ["deneb", "Deneb", "DENEB ", "", "PHASE_0"] {
            assert_eq!(text.parse::<Fork>(), Err(UnknownFork), "{text}");
        }
        assert!(Fork::ALL.is_sorted());
    }

    #[test]
    fn version_follows_the_epoch() {
        let fork = ForkVersions {
            previous_version: ForkVersion([1, 0, 0, 0]),
            current_version: ForkVersion([2, 0, 0, 0]),
            epoch: Epoch(10),
        };
        assert_eq!(fork.version_at(Epoch(9)), fork.previous_version);
        assert_eq!(fork.version_at(Epoch(10)), fork.current_version);
    }
}
