//! The tasks that talk to the database, and the queues in front of them.
//!
//! On SQLite one worker does everything. On PostgreSQL there is one worker for each connection:
//! some share the attestations by key, so that two batches never meet in one key, one has the
//! blocks, one the rest. Of each worker the following holds.
//!
//! Natural group commit: while one batch is being written the next one gathers, and whatever
//! waits when the database is free becomes one transaction. There are no timers to tune: alone, a
//! request takes one transaction; in a burst, many share one.
//!
//! Order of service: one batch of blocks, one of attestations, audit rows that are due, one command
//! (registering keys, reading the audit trail). Everybody gets a turn in every round, so that no
//! flood of one kind starves another; a block waits for at most one turn of each.
//!
//! Old records are pruned in small pieces, each only when nothing waits.
//!
//! When the database fails, every waiting and arriving request is told so at once until the
//! database is open again. When it has lost records, they are told so until the end: an operator
//! must look first.

mod batch;
mod pruner;
mod status;
mod sweeper;
mod upkeep;
mod worker;

use std::{ops::Range, sync::Arc};

use signer_client::wire::{PublicKey, Slot};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::pruner::PruningSchedule;
pub(super) use self::status::{HealthCheck, Status};
use self::{batch::Waiting, worker::Worker};
use super::{
    error::Unavailable,
    rules::VoteEpochs,
    state::ProtectionState,
    store::{AuditPart, Decision, HighWatermark, Request, Store, StoreError},
};
use crate::audit::{Buffer, Filter};

/// Everything that is not a request for clearance.
#[derive(Debug)]
enum Command {
    Register { keys: Vec<PublicKey>, reply: oneshot::Sender<Result<(), Unavailable>> },
    ReadAudit { filter: Filter, reply: oneshot::Sender<Result<AuditPart, Unavailable>> },
    Close { reply: oneshot::Sender<Result<(), StoreError>> },
}

/// The ways to the workers.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    workers: Arc<[Queues]>,
    /// Workers for attestations; each key has its own among them.
    attestations: Range<usize>,
    /// The worker for blocks.
    blocks: usize,
    /// The worker for commands and audit rows.
    general: usize,
    /// Ends the pruning beside the workers, at the latest when the lane is dropped.
    pruning: Option<Arc<DropGuard>>,
}

/// The senders' end of one worker's queues. They live and die together, also those that nothing is
/// sent to.
#[derive(Debug)]
struct Queues {
    attestations: mpsc::Sender<Waiting<VoteEpochs>>,
    blocks: mpsc::Sender<Waiting<Slot>>,
    commands: mpsc::Sender<Command>,
    status: Arc<Status>,
}

/// The stores of a lane that has one for each kind of work.
#[derive(Debug)]
pub(super) struct Stores<S> {
    /// At least one.
    pub(super) attestations: Vec<S>,
    pub(super) blocks: S,
    pub(super) general: S,
    /// Prunes, on no schedule of the others.
    pub(super) pruning: S,
}

impl Queues {
    /// Starts a worker.
    fn start<S: Store>(
        store: S,
        audit: Arc<Buffer>,
        capacity: usize,
        health_check: HealthCheck,
        pruning: Option<PruningSchedule>,
    ) -> Self {
        let (attestations, waiting_attestations) = mpsc::channel(capacity);
        let (blocks, waiting_blocks) = mpsc::channel(capacity);
        let (commands, waiting_commands) = mpsc::channel(16);
        let status = Arc::new(Status::new(store.high_watermark(), health_check));
        status.set_transactions(store.transactions());
        let worker = Worker::new(
            store,
            waiting_attestations,
            waiting_blocks,
            waiting_commands,
            audit,
            Arc::clone(&status),
            health_check,
        );
        tokio::spawn(worker.pruning(pruning).run());
        Self { attestations, blocks, commands, status }
    }
}

impl Lane {
    /// Starts one worker for everything on the current runtime. `capacity` bounds each of its two
    /// queues.
    pub(super) fn start<S: Store>(
        store: S,
        audit: Arc<Buffer>,
        capacity: usize,
        health_check: HealthCheck,
        pruning: Option<PruningSchedule>,
    ) -> Self {
        let worker = Queues::start(store, audit, capacity, health_check, pruning);
        Self {
            workers: Arc::new([worker]),
            attestations: 0..1,
            blocks: 0,
            general: 0,
            pruning: None,
        }
    }

    /// Starts one worker for each store. `capacity` bounds each of their queues.
    pub(super) fn start_divided<S: Store>(
        stores: Stores<S>,
        audit: Arc<Buffer>,
        capacity: usize,
        health_check: HealthCheck,
        pruning: Option<PruningSchedule>,
    ) -> Self {
        // Only one worker writes audit rows; the others look after a buffer that stays empty.
        let other =
            |store| Queues::start(store, Buffer::discarding(), capacity, health_check, None);
        let mut workers: Vec<_> = stores.attestations.into_iter().map(other).collect();
        let attestations = 0..workers.len();
        workers.push(other(stores.blocks));
        workers.push(Queues::start(stores.general, audit, capacity, health_check, None));
        let (blocks, general) = (attestations.end, attestations.end + 1);
        let pruning = pruning.map(|schedule| {
            let stop = CancellationToken::new();
            let status = Arc::clone(&workers[general].status);
            tokio::spawn(upkeep::prune(stores.pruning, schedule, status, stop.clone()));
            Arc::new(stop.drop_guard())
        });
        Self { workers: workers.into(), attestations, blocks, general, pruning }
    }

    pub(super) fn status(&self) -> LaneStatus<'_> {
        LaneStatus { lane: self }
    }

    /// The worker for a key's attestations. Keys are points on a curve, so that their last bytes
    /// are as good as random.
    fn worker_of(&self, key: &PublicKey) -> &Queues {
        let last = key.as_bytes().last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
        let count = self.attestations.len() as u64;
        let place = usize::try_from(last % count).unwrap_or(0);
        &self.workers[self.attestations.start + place]
    }

    /// Clears an attestation. Dropping the future before the request is in a batch withdraws it;
    /// later it runs to its end without anybody to tell.
    pub(super) async fn clear_attestation(
        &self,
        request: Request<VoteEpochs>,
    ) -> Result<Decision, Unavailable> {
        let worker = self.worker_of(&request.key);
        self.check_trouble_of(worker)?;
        enqueue(&worker.attestations, request).await
    }

    /// Clears a block; the same holds.
    pub(super) async fn clear_block(
        &self,
        request: Request<Slot>,
    ) -> Result<Decision, Unavailable> {
        let worker = &self.workers[self.blocks];
        self.check_trouble_of(worker)?;
        enqueue(&worker.blocks, request).await
    }

    /// Fails when the database is known not to answer, so that nobody waits for it. Lost records
    /// that one worker has found stop all of them.
    fn check_trouble_of(&self, worker: &Queues) -> Result<(), Unavailable> {
        if worker.commands.is_closed() {
            return Err(Unavailable::Closed);
        }
        if let ProtectionState::Halted { reason } = self.status().state() {
            return Err(Unavailable::Halted { reason });
        }
        worker.status.known_trouble().map_or(Ok(()), Err)
    }

    pub(super) async fn register(&self, keys: Vec<PublicKey>) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.command(self.general, Command::Register { keys, reply }, answer).await?
    }

    pub(super) async fn read_audit(&self, filter: Filter) -> Result<AuditPart, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.command(self.general, Command::ReadAudit { filter, reply }, answer).await?
    }

    /// Answers what waits, writes the audit rows that are finished, and lets go of the database.
    /// A second call does nothing.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        if let Some(pruning) = &self.pruning {
            pruning.token().cancel();
        }
        let mut closed = Ok(());
        let others = (0..self.workers.len()).filter(|worker| *worker != self.general);
        // The one with the audit rows last, so that it has those of all answers.
        for worker in others.chain([self.general]) {
            let (reply, answer) = oneshot::channel();
            let command = Command::Close { reply };
            closed = closed.and(self.command(worker, command, answer).await.unwrap_or(Ok(())));
        }
        closed
    }

    async fn command<Answer>(
        &self,
        worker: usize,
        command: Command,
        answer: oneshot::Receiver<Answer>,
    ) -> Result<Answer, Unavailable> {
        self.workers[worker].commands.send(command).await.map_err(|_| Unavailable::Closed)?;
        answer.await.map_err(|_| Unavailable::Closed)
    }
}

/// What all workers say about themselves.
pub(super) struct LaneStatus<'a> {
    lane: &'a Lane,
}

impl LaneStatus<'_> {
    /// Whether the database is open for each of them and hangs for none.
    pub(super) fn is_healthy(&self) -> bool {
        self.state() == ProtectionState::Running
    }

    /// That of the worker that is worst off.
    pub(super) fn state(&self) -> ProtectionState {
        let states = self.lane.workers.iter().map(|worker| worker.status.state());
        states.max_by_key(|state| state.severity()).unwrap_or(ProtectionState::Running)
    }

    /// Those of all workers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Status>> {
        self.lane.workers.iter().map(|worker| &worker.status)
    }

    /// The status of the worker for commands, which also prunes and counts.
    pub(super) fn general(&self) -> &Arc<Status> {
        &self.lane.workers[self.lane.general].status
    }

    /// As the worker for commands last saw it.
    pub(super) fn high_watermark(&self) -> Option<HighWatermark> {
        self.lane.workers[self.lane.general].status.high_watermark()
    }
}

async fn enqueue<Subject>(
    queue: &mpsc::Sender<Waiting<Subject>>,
    request: Request<Subject>,
) -> Result<Decision, Unavailable> {
    let (reply, answer) = oneshot::channel();
    queue.try_send(Waiting { request, reply }).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Unavailable::QueueFull,
        mpsc::error::TrySendError::Closed(_) => Unavailable::Closed,
    })?;
    answer.await.map_err(|_| Unavailable::Closed)?
}

#[cfg(test)]
mod tests;
