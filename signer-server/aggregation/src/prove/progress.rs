//! Where a group may be stopped, and what it took until then.

use crate::{
    checkpoint::{Checkpoint, Control, Phase, StopReason},
    outcome::Counts,
};

/// Points that are decoded or looked at between two questions to the checkpoint: 32 of at most about
/// 0.1 ms each.
const STEPS_BETWEEN_CHECKS: u32 = 32;

/// The checkpoint and the counters.
pub(super) struct Progress<'c, K> {
    checkpoint: &'c mut K,
    pub(super) counts: Counts,
    steps: u32,
}

impl<'c, K: Checkpoint> Progress<'c, K> {
    pub(super) fn new(checkpoint: &'c mut K) -> Self {
        Self { checkpoint, counts: Counts::default(), steps: 0 }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.checkpoint.enter(phase);
    }

    /// Asks whether to go on.
    pub(super) fn ask(&mut self) -> Result<(), StopReason> {
        self.steps = 0;
        match self.checkpoint.check() {
            Control::Continue => Ok(()),
            Control::Stop(reason) => Err(reason),
        }
    }

    /// A point is about to be decoded or to be looked for in its group.
    pub(super) fn step(&mut self) -> Result<(), StopReason> {
        self.steps += 1;
        if self.steps >= STEPS_BETWEEN_CHECKS { self.ask() } else { Ok(()) }
    }

    /// A pairing check is about to be made.
    pub(super) fn pairing(&mut self) -> Result<(), StopReason> {
        self.ask()?;
        self.counts.pairings += 1;
        Ok(())
    }
}
