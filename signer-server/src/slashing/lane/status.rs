//! What the database task says about itself without being asked.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::slashing::store::HighWatermark;

/// When the database counts as healthy.
#[derive(Clone, Copy, Debug)]
pub(in crate::slashing) struct HealthCheck {
    /// After this long without work the task proves that a record could be written.
    pub(in crate::slashing) interval: Duration,
    /// Work that takes longer than this means that the database hangs.
    pub(in crate::slashing) timeout: Duration,
}

/// In place of a time while the task waits for work.
const RESTING: u64 = u64::MAX;

/// The task writes it, everybody reads it.
#[derive(Debug)]
pub(in crate::slashing) struct Status {
    open: AtomicBool,
    high_watermark: Mutex<Option<HighWatermark>>,
    health_check: HealthCheck,
    start: Instant,
    /// When the present piece of work began, in milliseconds since `start`.
    working_since_ms: AtomicU64,
}

impl Status {
    pub(super) fn new(high_watermark: Option<HighWatermark>, health_check: HealthCheck) -> Self {
        Self {
            open: AtomicBool::new(true),
            high_watermark: Mutex::new(high_watermark),
            health_check,
            start: Instant::now(),
            working_since_ms: AtomicU64::new(RESTING),
        }
    }

    /// Whether the database is open and does not hang.
    pub(in crate::slashing) fn is_healthy(&self) -> bool {
        self.is_open() && !self.hangs()
    }

    pub(in crate::slashing) fn high_watermark(&self) -> Option<HighWatermark> {
        *self.high_watermark.lock()
    }

    pub(super) fn set_high_watermark(&self, high_watermark: Option<HighWatermark>) {
        *self.high_watermark.lock() = high_watermark;
    }

    /// Whether the last that the task heard of the database was good.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// The task begins a piece of work.
    pub(super) fn works(&self) {
        self.working_since_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// The task waits for work.
    pub(super) fn rests(&self) {
        self.working_since_ms.store(RESTING, Ordering::Relaxed);
    }

    fn hangs(&self) -> bool {
        let since = self.working_since_ms.load(Ordering::Relaxed);
        let timeout_ms = u64::try_from(self.health_check.timeout.as_millis()).unwrap_or(u64::MAX);
        since != RESTING && self.elapsed_ms().saturating_sub(since) > timeout_ms
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
