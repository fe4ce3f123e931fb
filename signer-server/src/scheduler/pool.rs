//! The queues and the threads that serve them.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use super::{Admission, Class, admission::Work};
use crate::telemetry::metrics::Metrics;

/// How many jobs may wait in each class's queue, in the order of [`Class::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds(pub [usize; Class::ALL.len()]);

/// The class's queue is full, or the signer is shutting down: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many signing requests of class {} are waiting", .class.name())]
pub struct Overloaded {
    /// The class whose queue had no room.
    pub class: Class,
}

/// The signing pool.
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What admissions and threads share.
pub(super) struct Shared {
    bounds: Bounds,
    metrics: Arc<Metrics>,
    queues: Mutex<Queues>,
    job_or_close: Condvar,
}

struct Queues {
    waiting: [VecDeque<Box<dyn Work>>; Class::ALL.len()],
    /// Admissions that have not brought their job yet. They count against the bound.
    reserved: [usize; Class::ALL.len()],
    closed: bool,
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
            bounds,
            metrics,
            queues: Mutex::new(Queues {
                waiting: Default::default(),
                reserved: [0; Class::ALL.len()],
                closed: false,
            }),
            job_or_close: Condvar::new(),
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

    /// Reserves room for one job.
    ///
    /// # Errors
    /// When the class's queue is full or the pool is closed. Nothing was reserved then.
    pub fn admit(&self, class: Class) -> Result<Admission, Overloaded> {
        let index = class as usize;
        let mut queues = self.shared.queues.lock();
        if queues.closed
            || queues.waiting[index].len() + queues.reserved[index] >= self.shared.bounds.0[index]
        {
            drop(queues);
            self.shared.metrics.job_shed(class);
            return Err(Overloaded { class });
        }
        queues.reserved[index] += 1;
        Ok(Admission::new(self.shared.clone(), class))
    }

    /// Jobs that wait now, in the order of [`Class::ALL`].
    pub fn depths(&self) -> [usize; Class::ALL.len()] {
        let queues = self.shared.queues.lock();
        std::array::from_fn(|index| queues.waiting[index].len())
    }

    /// Admits no more jobs, lets the threads finish those that were brought, and waits for the
    /// threads to end. Blocks: not for an asynchronous context.
    pub fn close(&self) {
        self.shared.close();
        for thread in self.threads.lock().drain(..) {
            // A signing thread catches the panics of its jobs, so it ends by returning.
            drop(thread.join());
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// Turns a reservation into a waiting job. A closed pool drops the job, which tells its
    /// requester.
    pub(super) fn push(&self, class: Class, job: Box<dyn Work>) {
        let mut queues = self.queues.lock();
        if queues.closed {
            return;
        }
        self.metrics.job_queued(class);
        queues.waiting[class as usize].push_back(job);
        drop(queues);
        self.job_or_close.notify_one();
    }

    /// Gives a reservation back.
    pub(super) fn release(&self, class: Class) {
        self.queues.lock().reserved[class as usize] -= 1;
    }

    fn close(&self) {
        self.queues.lock().closed = true;
        self.job_or_close.notify_all();
    }

    fn serve(&self) {
        while let Some((class, job)) = self.next() {
            let started = Instant::now();
            self.metrics.job_started(class, started - job.since());
            // The requester learns of a panic because the job's reply channel is dropped.
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a signing job panicked; the signing thread goes on");
            }
            self.metrics.job_finished(started.elapsed());
        }
    }

    /// The next job to run, or `None` once the pool is closed and every queue is empty.
    fn next(&self) -> Option<(Class, Box<dyn Work>)> {
        let mut queues = self.queues.lock();
        loop {
            while let Some((class, job)) = queues.pop() {
                if !job.is_abandoned() {
                    return Some((class, job));
                }
                // Its client has gone: nobody would read the signature.
                self.metrics.job_abandoned(class);
            }
            if queues.closed {
                return None;
            }
            self.job_or_close.wait(&mut queues);
        }
    }
}

impl Queues {
    /// The oldest job of the highest class that has one.
    fn pop(&mut self) -> Option<(Class, Box<dyn Work>)> {
        Class::ALL
            .into_iter()
            .find_map(|class| self.waiting[class as usize].pop_front().map(|job| (class, job)))
    }
}
