//! The one lock between those who bring jobs and the threads that do them. Nobody polls: a thread
//! without work sleeps until a job comes or the queues are closed.

use std::{sync::PoisonError, time::Instant};

use super::{
    queue::{Next, Queue},
    sync::{Condvar, Mutex},
};
use crate::scheduler::{Bounds, Class};

/// The queues, shared.
pub(super) struct Handoff<J> {
    queue: Mutex<Queue<J>>,
    job_or_close: Condvar,
}

impl<J> Handoff<J> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { queue: Mutex::new(Queue::new(bounds)), job_or_close: Condvar::new() }
    }

    /// Looks at or changes the queues without bringing or taking a job.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Queue<J>) -> T) -> T {
        // No code that can panic runs under the lock, so a poisoned one is still whole.
        look(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings jobs for which room was promised. When the queues were closed meanwhile the jobs are
    /// dropped, which tells their requesters.
    pub(super) fn push(&self, class: Class, deadline: Instant, jobs: impl Iterator<Item = J>) {
        let mut refused = Vec::new();
        let count = self.with(|queue| {
            let mut count = 0_usize;
            for job in jobs {
                match queue.push(class, deadline, job) {
                    Ok(()) => count += 1,
                    Err(job) => refused.push(job),
                }
            }
            count
        });
        // Dropped outside the lock: what a job does when it is dropped is not ours.
        drop(refused);
        if count == 1 {
            self.job_or_close.notify_one();
        } else if count > 1 {
            self.job_or_close.notify_all();
        }
    }

    /// Sleeps until there is a job. `None` once the queues are closed and empty.
    pub(super) fn next(&self, now: impl Fn() -> Instant) -> Option<Next<J>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(next) = queue.pop(now()) {
                return Some(next);
            }
            if queue.is_closed() {
                return None;
            }
            queue = self.job_or_close.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more room, no more jobs; threads end once the queues are empty.
    pub(super) fn close(&self) {
        self.with(Queue::close);
        self.job_or_close.notify_all();
    }
}
