//! Reserved room in a queue, and the job that takes it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Class, pool::Shared};

/// Room for one job in a queue. Made only by [`super::Scheduler::admit`]; gives the room back when
/// dropped.
pub struct Admission {
    shared: Arc<Shared>,
    class: Class,
}

/// A job's result and where its time went.
#[derive(Debug)]
pub struct Completed<T> {
    /// What the job returned.
    pub value: T,
    /// Time in the queue.
    pub queued: Duration,
    /// Time on the signing thread.
    pub ran: Duration,
}

/// The job panicked, or the pool was closed before the job was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing job did not finish")]
pub struct Lost;

/// A job on its way. Dropping it before a thread took the job drops the job.
pub struct Pending<T>(oneshot::Receiver<Completed<T>>);

impl<T> Pending<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// When the job will never give one.
    pub async fn finished(self) -> Result<Completed<T>, Lost> {
        self.0.await.map_err(|_| Lost)
    }
}

impl Admission {
    pub(super) fn new(shared: Arc<Shared>, class: Class) -> Self {
        Self { shared, class }
    }

    /// Queues `work` for a signing thread.
    pub fn run<T, F>(self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (reply, pending) = oneshot::channel();
        let job = Job { work, reply, since: Instant::now() };
        self.shared.push(self.class, Box::new(job));
        Pending(pending)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.release(self.class);
    }
}

/// What a signing thread needs to know of a job.
pub(super) trait Work: Send {
    /// When it was queued.
    fn since(&self) -> Instant;
    /// Nobody waits for the result any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work and answers.
    fn run(self: Box<Self>);
}

struct Job<T, F> {
    work: F,
    reply: oneshot::Sender<Completed<T>>,
    since: Instant,
}

impl<T, F> Work for Job<T, F>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    fn since(&self) -> Instant {
        self.since
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>) {
        let started = Instant::now();
        let value = (self.work)();
        let completed = Completed { value, queued: started - self.since, ran: started.elapsed() };
        // The requester may have gone meanwhile; its signature is then dropped with the channel.
        drop(self.reply.send(completed));
    }
}
