//! What slashing protection says about itself without asking the database.

use std::time::Duration;

/// Whether blocks and attestations can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionState {
    /// They can.
    Running,
    /// The database is away or hangs; it is being opened again by itself.
    Unavailable {
        /// Why, in words that may be shown to anybody.
        reason: &'static str,
    },
    /// The database has lost records or is another one: nothing slashable is signed until an
    /// operator has looked and the signer is started again.
    Halted {
        /// Why, in words that may be shown to anybody.
        reason: &'static str,
    },
}

impl ProtectionState {
    /// Its name in metrics and in the health.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Unavailable { .. } => "unavailable",
            Self::Halted { .. } => "halted",
        }
    }

    /// How bad it is.
    pub(super) const fn severity(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Unavailable { .. } => 1,
            Self::Halted { .. } => 2,
        }
    }

    /// Why it is not running.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Running => None,
            Self::Unavailable { reason } | Self::Halted { reason } => Some(reason),
        }
    }
}

/// What pruning has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruningTotals {
    /// Records that were deleted.
    pub rows: u64,
    /// Runs that came to their end.
    pub runs: u64,
    /// When the last of them ended, in microseconds since the Unix epoch.
    pub last_end_unix_us: Option<i64>,
    /// How long it took from its beginning to its end, the pauses for signing included.
    pub last_took: Duration,
}
