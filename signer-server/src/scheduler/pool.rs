//! The threads, and the door to their queues.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Admission, Bounds, Class, admission::Work, handoff::Handoff};
use crate::telemetry::metrics::Metrics;

/// What a signature is taken to cost until some have been made.
const FIRST_GUESS_NS: u64 = 500_000;

/// How long a signing thread does bulk work before it offers its core. Whoever woke up meanwhile (the
/// database for a block, the reader of a request) gets it then, rather than when the operating system
/// takes it, some milliseconds on. Not after each job: on a busy machine every offer costs a slice.
const BULK_SLICE: Duration = Duration::from_millis(1);

/// Why a job was not admitted. Nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// The class's queue is full, or the signer is shutting down.
    #[error("too many signing requests of class {} are waiting", .class.name())]
    Full {
        /// The class.
        class: Class,
    },
    /// So much waits that is served earlier that the deadline can't be met.
    #[error("a signing request of class {} would be served after its deadline", .class.name())]
    TooLate {
        /// The class.
        class: Class,
    },
}

/// The signing pool.
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What admissions and threads share.
pub(super) struct Shared {
    handoff: Handoff<Box<dyn Work>>,
    metrics: Arc<Metrics>,
    threads: u32,
    /// Mean time of a job, in nanoseconds, over the last dozens.
    mean_job_ns: AtomicU64,
}

impl Scheduler {
    /// Starts `threads` signing threads.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn start(
        threads: NonZeroUsize,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            handoff: Handoff::new(bounds),
            metrics,
            threads: u32::try_from(threads.get()).unwrap_or(u32::MAX),
            mean_job_ns: AtomicU64::new(FIRST_GUESS_NS),
        });
        let scheduler = Self { shared: shared.clone(), threads: Mutex::default() };
        for number in 0..threads.get() {
            let shared = shared.clone();
            // On an error the scheduler is dropped, which ends the threads started so far.
            let thread = std::thread::Builder::new()
                .name(format!("signing-{number}"))
                .spawn(move || shared.serve())?;
            scheduler.threads.lock().push(thread);
        }
        Ok(scheduler)
    }

    /// Reserves room for `count` jobs that are worth nothing after `deadline`: for all or for none.
    ///
    /// # Errors
    /// When the class's queue has no room, the pool is closed, or what is already waiting takes
    /// until after the deadline. So the lowest classes are refused first: they wait for all others.
    pub fn admit(
        &self,
        class: Class,
        count: usize,
        deadline: Instant,
    ) -> Result<Admission, Overloaded> {
        let wait_for = |jobs: usize| self.shared.time_of(jobs);
        let now = Instant::now();
        let admitted = self.shared.handoff.with(|queue| {
            let jobs = queue.ahead_of(class).saturating_add(count);
            if now.checked_add(wait_for(jobs)).is_none_or(|end| end > deadline) {
                Err(Overloaded::TooLate { class })
            } else if queue.reserve(class, count) {
                Ok(())
            } else {
                Err(Overloaded::Full { class })
            }
        });
        match admitted {
            Ok(()) => Ok(Admission::new(self.shared.clone(), class, deadline, count)),
            Err(overloaded) => {
                for _ in 0..count {
                    self.shared.metrics.job_shed(class);
                }
                Err(overloaded)
            }
        }
    }

    /// How many jobs of a class may wait.
    pub fn bound(&self, class: Class) -> usize {
        self.shared.handoff.with(|queue| queue.bound(class))
    }

    /// Jobs that wait now, in the order of [`Class::ALL`].
    pub fn depths(&self) -> [usize; Class::ALL.len()] {
        self.shared.handoff.with(|queue| queue.depths())
    }

    /// Admits no more jobs, lets the threads finish those that were brought, and waits for the
    /// threads to end. Blocks: not for an asynchronous context.
    pub fn close(&self) {
        self.shared.handoff.close();
        for thread in self.threads.lock().drain(..) {
            // A signing thread catches the panics of its jobs, so it ends by returning.
            drop(thread.join());
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.handoff.close();
    }
}

impl Shared {
    /// Turns reserved room into waiting jobs.
    pub(super) fn push(
        &self,
        class: Class,
        deadline: Instant,
        jobs: impl ExactSizeIterator<Item = Box<dyn Work>>,
    ) {
        for _ in 0..jobs.len() {
            self.metrics.job_queued(class);
        }
        self.handoff.push(class, deadline, jobs);
    }

    /// Gives reserved room back.
    pub(super) fn release(&self, class: Class, room: usize) {
        self.handoff.with(|queue| queue.release(class, room));
    }

    /// How long all threads together need for so many jobs.
    fn time_of(&self, jobs: usize) -> Duration {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        let mean_ns = self.mean_job_ns.load(Ordering::Relaxed);
        Duration::from_nanos(jobs.saturating_mul(mean_ns)) / self.threads
    }

    fn serve(&self) {
        let mut since_yield = Instant::now();
        while let Some(next) = self.handoff.next(Instant::now) {
            let (class, job) = (next.class, next.job);
            if job.is_abandoned() {
                // Its client has gone: nobody would read the signature.
                self.metrics.job_abandoned(class);
                continue;
            }
            let started = Instant::now();
            if next.deadline < started {
                self.metrics.job_expired(class);
                job.expire();
                continue;
            }
            self.metrics.job_started(class, started - job.since());
            // The requester learns of a panic because the job's reply channel is dropped.
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a signing job panicked; the signing thread goes on");
            }
            let took = started.elapsed();
            self.note(took);
            self.metrics.job_finished(took);
            if class.is_bulk() && since_yield.elapsed() > BULK_SLICE {
                std::thread::yield_now();
                since_yield = Instant::now();
            }
        }
    }

    /// Moves the mean a sixteenth of the way. Two threads may overwrite each other: it is a guess.
    ///
    /// A job counts for at most twice the mean: a thread that lost its core for some milliseconds
    /// says nothing about the jobs that wait, and must not have them refused as too late.
    fn note(&self, took: Duration) {
        let mean_ns = self.mean_job_ns.load(Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).min(2 * mean_ns);
        self.mean_job_ns.store(mean_ns - mean_ns / 16 + took_ns / 16, Ordering::Relaxed);
    }
}
