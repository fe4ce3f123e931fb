//! The one task that talks to the database, and the queues in front of it.
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
mod worker;

use std::sync::Arc;

use signer_client::wire::{PublicKey, Slot};
use tokio::sync::{mpsc, oneshot};

pub use self::pruner::PruningSchedule;
pub(super) use self::status::{HealthCheck, Status};
use self::{batch::Waiting, worker::Worker};
use super::{
    error::Unavailable,
    rules::VoteEpochs,
    store::{AuditPart, Decision, Request, Store, StoreError},
};
use crate::audit::{Buffer, Filter};

/// Everything that is not a request for clearance.
#[derive(Debug)]
enum Command {
    Register { keys: Vec<PublicKey>, reply: oneshot::Sender<Result<(), Unavailable>> },
    ReadAudit { filter: Filter, reply: oneshot::Sender<Result<AuditPart, Unavailable>> },
    Close { reply: oneshot::Sender<Result<(), StoreError>> },
}

/// The senders' end of the queues.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    attestations: mpsc::Sender<Waiting<VoteEpochs>>,
    blocks: mpsc::Sender<Waiting<Slot>>,
    commands: mpsc::Sender<Command>,
    status: Arc<Status>,
}

impl Lane {
    /// Starts the task on the current runtime. `capacity` bounds each of the two queues.
    pub(super) fn start<S: Store>(
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
        status.set_batches(store.batches());
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

    pub(super) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Clears an attestation. Dropping the future before the request is in a batch withdraws it;
    /// later it runs to its end without anybody to tell.
    pub(super) async fn clear_attestation(
        &self,
        request: Request<VoteEpochs>,
    ) -> Result<Decision, Unavailable> {
        enqueue(&self.attestations, request).await
    }

    /// Clears a block; the same holds.
    pub(super) async fn clear_block(
        &self,
        request: Request<Slot>,
    ) -> Result<Decision, Unavailable> {
        enqueue(&self.blocks, request).await
    }

    pub(super) async fn register(&self, keys: Vec<PublicKey>) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Register { keys, reply }, answer).await?
    }

    pub(super) async fn read_audit(&self, filter: Filter) -> Result<AuditPart, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::ReadAudit { filter, reply }, answer).await?
    }

    /// Answers what waits, writes the audit rows that are finished, and lets go of the database.
    /// A second call does nothing.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Close { reply }, answer).await.unwrap_or(Ok(()))
    }

    async fn command<Answer>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Answer>,
    ) -> Result<Answer, Unavailable> {
        self.commands.send(command).await.map_err(|_| Unavailable::Closed)?;
        answer.await.map_err(|_| Unavailable::Closed)
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
