//! Reserved room in a queue, and the jobs that take it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{Class, pool::Shared};

/// Room for some jobs in a queue, until a deadline. Made only by [`super::Scheduler::admit`]; gives
/// back what was not used when dropped.
pub struct Admission {
    shared: Arc<Shared>,
    class: Class,
    deadline: Instant,
    /// Jobs that may still be brought.
    room: usize,
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

/// Why a job gives no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Its deadline passed before a thread was free. It was not done.
    #[error("the deadline passed before a signing thread was free")]
    Expired,
    /// It panicked, or the pool was closed before it was brought.
    #[error("the signing job did not finish")]
    Unfinished,
}

type Outcome<T> = Result<Completed<T>, Lost>;

/// A job on its way. Dropping it before a thread took the job drops the job.
pub struct Pending<T>(oneshot::Receiver<Outcome<T>>);

impl<T> Pending<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// When the job will never give one.
    pub async fn finished(self) -> Outcome<T> {
        self.0.await.unwrap_or(Err(Lost::Unfinished))
    }
}

/// Several jobs on their way. Dropping it drops those that no thread has taken.
pub struct Batch<T> {
    size: usize,
    results: mpsc::UnboundedReceiver<(usize, Outcome<T>)>,
}

impl<T> Batch<T> {
    /// Waits for all results, in the order in which the jobs were given.
    pub async fn finished(mut self) -> Vec<Outcome<T>> {
        let mut outcomes = Vec::new();
        outcomes.resize_with(self.size, || Err(Lost::Unfinished));
        while let Some((index, outcome)) = self.results.recv().await {
            outcomes[index] = outcome;
        }
        outcomes
    }
}

impl Admission {
    pub(super) fn new(shared: Arc<Shared>, class: Class, deadline: Instant, room: usize) -> Self {
        Self { shared, class, deadline, room }
    }

    /// Queues `work` for a signing thread.
    pub fn run<T, F>(mut self, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (reply, pending) = oneshot::channel();
        let job: Box<dyn Work> = Box::new(Job { work, reply, since: Instant::now() });
        self.push(std::iter::once(job));
        Pending(pending)
    }

    /// Queues each of `works` as a job of its own, so that a job of a higher class waits for one of
    /// them only. Those beyond the room that was reserved come out as [`Lost::Unfinished`].
    pub fn run_each<T, F>(mut self, works: Vec<F>) -> Batch<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (reply, results) = mpsc::unbounded_channel();
        let size = works.len();
        let since = Instant::now();
        let jobs = works.into_iter().take(self.room).enumerate().map(|(index, work)| {
            Box::new(Job { work, reply: (index, reply.clone()), since }) as Box<dyn Work>
        });
        // Collected first: what is under the lock should be short.
        let jobs: Vec<_> = jobs.collect();
        self.push(jobs.into_iter());
        Batch { size, results }
    }

    /// Queues `work` that nobody waits for: it is done unless its deadline passes before, and then
    /// dropped.
    pub fn run_detached<F: FnOnce() + Send + 'static>(mut self, work: F) {
        let job: Box<dyn Work> = Box::new(Job { work, reply: Unread, since: Instant::now() });
        self.push(std::iter::once(job));
    }

    fn push(&mut self, jobs: impl ExactSizeIterator<Item = Box<dyn Work>>) {
        self.room -= jobs.len();
        self.shared.push(self.class, self.deadline, jobs);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.room > 0 {
            self.shared.release(self.class, self.room);
        }
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
    /// Answers that the deadline has passed.
    fn expire(self: Box<Self>);
}

/// Where a result goes.
trait Reply<T>: Send {
    fn is_closed(&self) -> bool;
    fn send(self, outcome: Outcome<T>);
}

impl<T: Send> Reply<T> for oneshot::Sender<Outcome<T>> {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn send(self, outcome: Outcome<T>) {
        // The requester may have gone meanwhile; its signature is then dropped with the channel.
        drop(Self::send(self, outcome));
    }
}

impl<T: Send> Reply<T> for (usize, mpsc::UnboundedSender<(usize, Outcome<T>)>) {
    fn is_closed(&self) -> bool {
        self.1.is_closed()
    }

    fn send(self, outcome: Outcome<T>) {
        drop(self.1.send((self.0, outcome)));
    }
}

/// The result concerns only the work itself.
struct Unread;

impl Reply<()> for Unread {
    fn is_closed(&self) -> bool {
        false
    }

    fn send(self, _: Outcome<()>) {}
}

struct Job<F, R> {
    work: F,
    reply: R,
    since: Instant,
}

impl<T, F, R> Work for Job<F, R>
where
    F: FnOnce() -> T + Send,
    R: Reply<T>,
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
        let queued = started - self.since;
        self.reply.send(Ok(Completed { value, queued, ran: started.elapsed() }));
    }

    fn expire(self: Box<Self>) {
        self.reply.send(Err(Lost::Expired));
    }
}
