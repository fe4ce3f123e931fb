//! When, how far ahead and how much at a time.

use std::time::Duration;

use super::BasisPoints;

/// When, how far ahead and how much at a time.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// How many slots ahead proofs are made. Default 8.
    pub look_ahead_slots: u64,
    /// When in a slot proofs are made, unless its fork has a point of its own
    /// ([`super::ScheduledFork::offset`]). Default 8000, which is 80 %: before and after Gloas all
    /// other duties of a slot are done by then.
    pub offset: BasisPoints,
    /// Up to so much later, at random, so that many clients do not come at once. Default 300.
    pub jitter: BasisPoints,
    /// For how many slots proofs are made at one wake. One is enough when nothing is missing; more
    /// let the scheduler catch up after its start or an outage without a burst. Default 2.
    pub slots_per_wake: u64,
    /// Most keys in one request. Default 1024.
    pub chunk_keys: usize,
    /// Most requests at once. Default 2.
    pub max_in_flight: usize,
    /// How long a look-up waits for a proof that is being made before it asks for it itself.
    /// Default 250 ms.
    pub look_up_patience: Duration,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            look_ahead_slots: 8,
            offset: BasisPoints(8000),
            jitter: BasisPoints(300),
            slots_per_wake: 2,
            chunk_keys: 1024,
            max_in_flight: 2,
            look_up_patience: Duration::from_millis(250),
        }
    }
}

/// Options that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A number that must not be zero is.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The latest moment of work is not inside the slot.
    #[error("offset and jitter together must be less than 10000 basis points")]
    OutsideSlot,
}

impl SchedulerOptions {
    pub(super) fn check(&self) -> Result<(), OptionsError> {
        for (name, is_zero) in [
            ("look_ahead_slots", self.look_ahead_slots == 0),
            ("slots_per_wake", self.slots_per_wake == 0),
            ("chunk_keys", self.chunk_keys == 0),
            ("max_in_flight", self.max_in_flight == 0),
        ] {
            if is_zero {
                return Err(OptionsError::Zero(name));
            }
        }
        let latest = self.offset.0.saturating_add(self.jitter.0);
        if BasisPoints(latest) >= BasisPoints::WHOLE {
            return Err(OptionsError::OutsideSlot);
        }
        Ok(())
    }
}
