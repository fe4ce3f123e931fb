//! The one lock between those who bring jobs and the threads that do them. Nobody polls: a thread
//! without work sleeps until a job comes or the queues are closed.

use std::{sync::PoisonError, time::Instant};

use super::{
    queue::{Next, Queue},
    sync::{Condvar, Mutex, MutexGuard},
};
use crate::scheduler::{Bounds, Class};

/// The queues, shared.
pub(super) struct Handoff<J> {
    state: Mutex<State<J>>,
    job_or_close: Condvar,
}

struct State<J> {
    queue: Queue<J>,
    /// Threads that sleep. A thread that is awake looks for the next job by itself, and to wake
    /// nobody costs a system call, too.
    asleep: usize,
}

impl<J> Handoff<J> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let state = State { queue: Queue::new(bounds), asleep: 0 };
        Self { state: Mutex::new(state), job_or_close: Condvar::new() }
    }

    /// Looks at or changes the queues without bringing or taking a job.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Queue<J>) -> T) -> T {
        look(&mut self.lock().queue)
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // No code that can panic runs under the lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings jobs for which room was promised. When the queues were closed meanwhile the jobs are
    /// dropped, which tells their requesters.
    pub(super) fn push(&self, class: Class, deadline: Instant, jobs: impl Iterator<Item = J>) {
        let (mut refused, now) = (Vec::new(), Instant::now());
        let mut state = self.lock();
        let mut count = 0;
        for job in jobs {
            match state.queue.push(class, now, deadline, job) {
                Ok(()) => count += 1,
                Err(job) => refused.push(job),
            }
        }
        let wakes = state.asleep.min(count);
        drop(state);
        // Dropped outside the lock: what a job does when it is dropped is not ours.
        drop(refused);
        for _ in 0..wakes {
            self.job_or_close.notify_one();
        }
    }

    /// Sleeps until there is a job. `None` once the queues are closed and empty.
    pub(super) fn next(&self, now: impl Fn() -> Instant) -> Option<Next<J>> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.queue.pop(now()) {
                return Some(next);
            }
            if state.queue.is_closed() {
                return None;
            }
            state.asleep += 1;
            state = self.job_or_close.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
    }

    /// No more room, no more jobs; threads end once the queues are empty.
    pub(super) fn close(&self) {
        self.with(Queue::close);
        self.job_or_close.notify_all();
    }
}
