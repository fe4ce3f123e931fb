//! What the database task says about itself without being asked.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    clock,
    slashing::{ProtectionState, PruningTotals, error::Unavailable, store::HighWatermark},
};

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
    halted: Mutex<Option<&'static str>>,
    high_watermark: Mutex<Option<HighWatermark>>,
    pruning: Mutex<PruningTotals>,
    /// Durable transactions; zero for a database that does not count them.
    transactions: AtomicU64,
    health_check: HealthCheck,
    start: Instant,
    /// When the present piece of work began, in milliseconds since `start`.
    working_since_ms: AtomicU64,
}

impl Status {
    pub(super) fn new(high_watermark: Option<HighWatermark>, health_check: HealthCheck) -> Self {
        Self {
            open: AtomicBool::new(true),
            halted: Mutex::new(None),
            high_watermark: Mutex::new(high_watermark),
            pruning: Mutex::new(PruningTotals::default()),
            transactions: AtomicU64::new(0),
            health_check,
            start: Instant::now(),
            working_since_ms: AtomicU64::new(RESTING),
        }
    }

    /// Whether the database is open and does not hang, and if not, why.
    pub(in crate::slashing) fn state(&self) -> ProtectionState {
        if let Some(reason) = *self.halted.lock() {
            ProtectionState::Halted { reason }
        } else if !self.is_open() {
            ProtectionState::Unavailable { reason: "the database failed" }
        } else if self.hangs() {
            ProtectionState::Unavailable { reason: "the database does not answer" }
        } else {
            ProtectionState::Running
        }
    }

    /// What to answer at once, without asking the database.
    pub(in crate::slashing) fn known_trouble(&self) -> Option<Unavailable> {
        if let Some(reason) = *self.halted.lock() {
            Some(Unavailable::Halted { reason })
        } else {
            self.hangs().then_some(Unavailable::TimedOut)
        }
    }

    pub(in crate::slashing) fn high_watermark(&self) -> Option<HighWatermark> {
        *self.high_watermark.lock()
    }

    pub(super) fn set_high_watermark(&self, high_watermark: Option<HighWatermark>) {
        *self.high_watermark.lock() = high_watermark;
    }

    /// What pruning has done.
    pub(in crate::slashing) fn pruning(&self) -> PruningTotals {
        *self.pruning.lock()
    }

    pub(super) fn rows_were_pruned(&self, rows: u64) {
        self.pruning.lock().rows += rows;
    }

    pub(super) fn pruning_ended(&self, took: Duration) {
        let mut totals = self.pruning.lock();
        totals.runs += 1;
        totals.last_end_unix_us = Some(clock::now_unix_micros());
        totals.last_took = took;
    }

    /// Transactions that are durable for certain.
    pub(in crate::slashing) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub(super) fn set_transactions(&self, transactions: Option<u64>) {
        self.transactions.store(transactions.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether the last that the task heard of the database was good.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// Nothing more until the next start.
    pub(super) fn halt(&self, reason: &'static str) {
        *self.halted.lock() = Some(reason);
    }

    /// The task begins a piece of work.
    pub(super) fn works(&self) {
        self.working_since_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// The task waits for work.
    pub(super) fn rests(&self) {
        self.working_since_ms.store(RESTING, Ordering::Relaxed);
    }

    /// Whether the task has nothing to do.
    pub(in crate::slashing) fn is_resting(&self) -> bool {
        self.working_since_ms.load(Ordering::Relaxed) == RESTING
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
