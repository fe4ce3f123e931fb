//! Whether a connection carries requests, and since when it does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// The requests of one connection.
pub(super) struct Activity {
    opened: Instant,
    running: AtomicUsize,
    last_end_ms: AtomicU64,
    began: Notify,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            running: AtomicUsize::new(0),
            last_end_ms: AtomicU64::new(0),
            began: Notify::new(),
        })
    }

    /// A request begins now and ends when the result is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.began.notify_one();
        Running(self.clone())
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Since when no request runs; zero while one does.
    pub(super) fn idle_for(&self) -> Duration {
        if self.is_running() {
            return Duration::ZERO;
        }
        let last_end = Duration::from_millis(self.last_end_ms.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last_end)
    }

    /// Resolves when a request has begun since the last call. That request may have ended.
    pub(super) async fn request_began(&self) {
        self.began.notified().await;
    }
}

/// A request in flight; ends when dropped.
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let since_opened = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end_ms.store(since_opened, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
