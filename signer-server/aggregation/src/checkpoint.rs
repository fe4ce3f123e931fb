//! How a caller stops a group and follows its phases.

/// The caller's clock and its wish to stop, asked at steps of at most about 12 ms on one core of
/// 2024: before a group, every 32 entries that are decoded, and before every pairing check.
pub trait Checkpoint {
    /// Whether to go on. Once it said stop it is not asked again for this group.
    fn check(&mut self) -> Control;

    /// A phase begins; the one before has ended. Phases may come again. For measuring only.
    fn enter(&mut self, phase: Phase) {
        let _ = phase;
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop here.
    Stop(StopReason),
}

/// Why a group was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The deadline has come.
    Deadline,
    /// The job was cancelled.
    Cancelled,
}

/// A part of the work on a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Entries and public keys are decoded and checked.
    Decode,
    /// Children are chosen.
    Select,
    /// Points are added up.
    Sum,
    /// Entries are checked together.
    Verify,
    /// Who is to blame for a check that failed.
    Bisect,
    /// The finished aggregate is verified as whoever receives it will do.
    SelfCheck,
}

/// Never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverStop;

impl Checkpoint for NeverStop {
    fn check(&mut self) -> Control {
        Control::Continue
    }
}
