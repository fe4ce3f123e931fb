//! What a job is to its caller: its state, and the result of each group.

use std::{fmt, time::Duration};

use midslot_aggregation::{Aggregate, Phase};
use signer_client::wire::{Fork, ForkInfo, Slot};

use super::{
    snapshot::{JobId, SignWish, Subject},
    view::Json,
};

/// Where a job stands. Final states never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// Some of its groups are being proved.
    Running,
    /// Its groups are proved and what is to be signed is being signed.
    Signing,
    /// It is over.
    Final(Ending),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every group was dealt with.
    Complete,
    /// The deadline came after at least one group was finished.
    PartlyByDeadline,
    /// At least one group was finished and at least one failed inside.
    PartlyByFailure,
    /// Somebody cancelled it; groups that were finished stand.
    Cancelled,
    /// The deadline came before it was started.
    ExpiredBeforeStart,
    /// The deadline came before a group was finished.
    ExpiredByDeadline,
    /// Every group failed inside.
    Failed,
    /// It did no work.
    Dropped(DropReason),
}

/// Why a job did no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Another one took its place.
    Superseded {
        /// The other one.
        by: JobId,
    },
    /// One of a later slot was pending.
    Stale,
    /// The signer was stopped.
    Shutdown,
}

impl JobState {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running | Self::Signing => "running",
            Self::Final(ending) => ending.status(),
        }
    }

    /// How it ended, if it did.
    pub const fn ending(self) -> Option<Ending> {
        match self {
            Self::Final(ending) => Some(ending),
            Self::Queued | Self::Running | Self::Signing => None,
        }
    }
}

impl Ending {
    /// The state in answers.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Complete | Self::PartlyByDeadline | Self::PartlyByFailure => "done",
            Self::Cancelled => "cancelled",
            Self::ExpiredBeforeStart | Self::ExpiredByDeadline => "expired",
            Self::Failed => "failed",
            Self::Dropped(_) => "dropped",
        }
    }

    /// The reason in answers.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::PartlyByDeadline | Self::ExpiredByDeadline => "deadline",
            Self::PartlyByFailure | Self::Failed => "internal",
            Self::Cancelled => "cancelled",
            Self::ExpiredBeforeStart => "before_start",
            Self::Dropped(DropReason::Superseded { .. }) => "superseded",
            Self::Dropped(DropReason::Stale) => "stale",
            Self::Dropped(DropReason::Shutdown) => "shutdown",
        }
    }

    /// That of a job which ran, by what became of its groups.
    pub(super) fn of(groups: impl IntoIterator<Item = GroupStatus>, was_cancelled: bool) -> Self {
        let (mut finished, mut by_deadline, mut failed) = (0, 0, 0);
        for status in groups {
            match status {
                GroupStatus::Complete | GroupStatus::Empty | GroupStatus::TooFewSigners => {
                    finished += 1;
                }
                GroupStatus::Deadline => by_deadline += 1,
                GroupStatus::Cancelled => {}
                GroupStatus::SelfCheckFailed | GroupStatus::Internal => failed += 1,
            }
        }
        if was_cancelled {
            Self::Cancelled
        } else if by_deadline > 0 {
            if finished > 0 { Self::PartlyByDeadline } else { Self::ExpiredByDeadline }
        } else if failed > 0 {
            if finished > 0 { Self::PartlyByFailure } else { Self::Failed }
        } else {
            Self::Complete
        }
    }
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStatus {
    /// There is an aggregate.
    Complete,
    /// No entry was good.
    Empty,
    /// There is an aggregate, but of fewer positions than was asked for: it is not released.
    TooFewSigners,
    /// The deadline came first.
    Deadline,
    /// The job was cancelled.
    Cancelled,
    /// The aggregate did not verify; it is not released.
    SelfCheckFailed,
    /// A fault of this program.
    Internal,
}

impl GroupStatus {
    /// The name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Empty => "empty",
            Self::TooFewSigners => "too_few_signers",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
            Self::SelfCheckFailed => "self_check_failed",
            Self::Internal => "internal",
        }
    }
}

/// The result of a group. Kept for as long as its job: the verdicts on entries are in the JSON, as far
/// as the caller wants to know them, and nowhere else.
#[derive(Debug)]
pub struct GroupResult {
    /// Its place in the snapshot.
    pub group: usize,
    /// What its message is.
    pub subject: Subject,
    /// What became of it.
    pub status: GroupStatus,
    /// The aggregate, if it is released.
    pub aggregate: Option<Aggregate>,
    /// Where the time went.
    pub phases: Phases,
    /// All of it as JSON, written once.
    pub json: Json,
}

/// A group that is to be signed.
#[derive(Clone, Debug)]
pub struct GroupToSign {
    /// Chain and fork of the slot.
    pub fork_info: ForkInfo,
    /// The fork of the slot.
    pub fork: Fork,
    /// The slot.
    pub slot: Slot,
    /// What its members signed.
    pub subject: Subject,
    /// Their aggregate, if there is one.
    pub aggregate: Option<Aggregate>,
    /// Who signs.
    pub wish: SignWish,
}

/// Time of each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Duration; Phases::ALL.len()]);

impl Phases {
    /// The phases, in the order in which they first come.
    pub const ALL: [Phase; 6] =
        [Phase::Decode, Phase::Select, Phase::Sum, Phase::Verify, Phase::Bisect, Phase::SelfCheck];

    /// The time of one phase.
    pub fn of(&self, phase: Phase) -> Duration {
        self.0[phase as usize]
    }

    /// Adds to the time of one phase.
    pub fn add(&mut self, phase: Phase, took: Duration) {
        self.0[phase as usize] += took;
    }

    /// Adds that of another group.
    pub fn include(&mut self, other: &Self) {
        for phase in Self::ALL {
            self.add(phase, other.of(phase));
        }
    }

    /// The time of all phases.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

/// The name of a phase in answers.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Decode => "decode",
        Phase::Select => "select",
        Phase::Sum => "sum",
        Phase::Verify => "verify",
        Phase::Bisect => "bisect",
        Phase::SelfCheck => "self_check",
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status(), self.reason())
    }
}
