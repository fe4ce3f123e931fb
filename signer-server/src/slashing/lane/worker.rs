//! The loop of a database task.

mod recovery;

use std::{sync::Arc, time::Duration};

use signer_client::wire::Slot;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    Command, HealthCheck, PruningSchedule, Status,
    batch::{Intake, Waiting},
    pruner::Pruner,
    sweeper::Sweeper,
};
use crate::{
    audit::{Buffer, FLUSH_INTERVAL, Row, SMALL_WRITE, WRITE_BATCH},
    slashing::{
        error::Unavailable,
        rules::VoteEpochs,
        store::{Store, StoreError},
    },
};

/// How long nothing must have come in before housekeeping.
const IDLE: Duration = Duration::from_millis(500);

/// Shortest time between two checks of an idle database: each costs a write.
const SHORTEST_CHECK_INTERVAL: Duration = Duration::from_millis(100);

type CloseReply = oneshot::Sender<Result<(), StoreError>>;

/// The task. It ends when it is told to close or when nobody is left who could ask.
pub(super) struct Worker<S> {
    store: S,
    attestations: Intake<VoteEpochs>,
    blocks: Intake<Slot>,
    commands: mpsc::Receiver<Command>,
    audit: Arc<Buffer>,
    /// When the rows that wait should be written; `None` while none wait.
    audit_due: Option<Instant>,
    sweeper: Sweeper,
    /// Whether the housekeeping is done since the last event.
    rested: bool,
    check_interval: Duration,
    pruner: Pruner,
    status: Arc<Status>,
}

/// Whether to go on.
enum Step {
    Continue,
    End(Option<CloseReply>),
}

/// What woke the worker up.
enum Event {
    Block(Option<Waiting<Slot>>),
    Attestation(Option<Waiting<VoteEpochs>>),
    Command(Option<Command>),
    AuditDue,
    Idle,
    CheckDue,
    SweepDue,
    PruningDue,
}

/// Turns the status to unhealthy even if the worker panics.
struct UnhealthyAtTheEnd {
    status: Arc<Status>,
    audit: Arc<Buffer>,
}

impl Drop for UnhealthyAtTheEnd {
    fn drop(&mut self) {
        self.status.set_open(false);
        self.audit.close();
    }
}

impl<S: Store> Worker<S> {
    pub(super) fn new(
        store: S,
        attestations: mpsc::Receiver<Waiting<VoteEpochs>>,
        blocks: mpsc::Receiver<Waiting<Slot>>,
        commands: mpsc::Receiver<Command>,
        audit: Arc<Buffer>,
        status: Arc<Status>,
        health_check: HealthCheck,
    ) -> Self {
        Self {
            store,
            attestations: Intake::new(attestations),
            blocks: Intake::new(blocks),
            commands,
            sweeper: Sweeper::new(audit.options().clone()),
            audit,
            audit_due: None,
            rested: true,
            check_interval: health_check.interval.max(SHORTEST_CHECK_INTERVAL),
            pruner: Pruner::new(None),
            status,
        }
    }

    /// The same worker, which also prunes.
    pub(super) fn pruning(self, schedule: Option<PruningSchedule>) -> Self {
        Self { pruner: Pruner::new(schedule), ..self }
    }

    pub(super) async fn run(mut self) {
        let _guard =
            UnhealthyAtTheEnd { status: Arc::clone(&self.status), audit: Arc::clone(&self.audit) };
        let reply = self.work().await;
        let closed = self.shut_down().await;
        match (reply, closed) {
            // A requester that went away needs no answer.
            (Some(reply), closed) => drop(reply.send(closed)),
            (None, Err(error)) => {
                tracing::error!(%error, "closing the slashing protection database");
            }
            (None, Ok(())) => {}
        }
    }

    /// Serves until it is told to close (then it returns whom to tell) or nobody can ask any more.
    async fn work(&mut self) -> Option<CloseReply> {
        loop {
            match self.step().await {
                Ok(Step::Continue) => {}
                Ok(Step::End(reply)) => return reply,
                Err(error) => {
                    if let Step::End(reply) = self.recover(&error).await {
                        return reply;
                    }
                }
            }
        }
    }

    /// One round of everything that waits; when nothing does, waits for something to come.
    async fn step(&mut self) -> Result<Step, StoreError> {
        self.status.works();
        let blocks = self.clear_blocks().await?;
        let busy = self.clear_attestations().await? || blocks;
        let writes_audit = self.is_audit_due(busy);
        if writes_audit {
            self.write_audit().await?;
            self.status.set_high_watermark(self.store.high_watermark());
        }
        let event = match self.commands.try_recv() {
            Ok(command) => Event::Command(Some(command)),
            Err(_) if busy || writes_audit => {
                self.rested = false;
                return Ok(Step::Continue);
            }
            Err(_) => {
                self.status.set_transactions(self.store.transactions());
                self.status.rests();
                let event = self.wait().await;
                self.status.works();
                event
            }
        };
        self.rested = match event {
            Event::Idle => true,
            Event::CheckDue => self.rested,
            _ => false,
        };
        match event {
            Event::Block(Some(waiting)) => self.blocks.defer(waiting),
            Event::Attestation(Some(waiting)) => self.attestations.defer(waiting),
            Event::Command(Some(command)) => return self.obey(command).await,
            Event::AuditDue => {}
            Event::Idle => {
                self.store.idle().await?;
                self.status.set_high_watermark(self.store.high_watermark());
            }
            Event::CheckDue => {
                self.store.check().await?;
                // Another program may have moved it.
                self.status.set_high_watermark(self.store.high_watermark());
            }
            Event::SweepDue => self.sweeper.step(&mut self.store).await?,
            Event::PruningDue => self.prune().await?,
            // The three senders live and die together.
            Event::Block(None) | Event::Attestation(None) | Event::Command(None) => {
                return Ok(Step::End(None));
            }
        }
        Ok(Step::Continue)
    }

    /// Clears the blocks that wait; says whether there were any.
    async fn clear_blocks(&mut self) -> Result<bool, StoreError> {
        let batch = self.blocks.next_batch();
        if batch.is_empty() {
            return Ok(false);
        }
        let decisions = self.store.clear_blocks(&batch.requests).await;
        batch.answer(decisions)?;
        self.recorded();
        Ok(true)
    }

    /// The same for one batch of attestations.
    async fn clear_attestations(&mut self) -> Result<bool, StoreError> {
        let batch = self.attestations.next_batch();
        if batch.is_empty() {
            return Ok(false);
        }
        let decisions = self.store.clear_attestations(&batch.requests).await;
        batch.answer(decisions)?;
        self.recorded();
        Ok(true)
    }

    fn recorded(&mut self) {
        self.pruner.request_came();
        self.status.set_transactions(self.store.transactions());
    }

    /// One short piece of pruning.
    async fn prune(&mut self) -> Result<(), StoreError> {
        let Some(policy) = self.pruner.begin_step() else { return Ok(()) };
        let step = self.store.prune_step(policy).await;
        match &step {
            Ok(step) => self.pruner.end_step(*step, &self.status),
            Err(_) => self.pruner.fail_step(),
        }
        step.map(drop)
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) -> Event {
        let (wake_up, event) = match self.audit_due {
            Some(due) => (due, Event::AuditDue),
            None if self.rested => (Instant::now() + self.check_interval, Event::CheckDue),
            None => (Instant::now() + IDLE, Event::Idle),
        };
        let (wake_up, event) = match self.sweeper.next_step() {
            Some(step) if step < wake_up => (step, Event::SweepDue),
            _ => (wake_up, event),
        };
        let (wake_up, event) = match self.pruner.due() {
            Some(due) if due <= wake_up => (due, Event::PruningDue),
            _ => (wake_up, event),
        };
        tokio::select! {
            biased;
            waiting = self.blocks.queue.recv() => Event::Block(waiting),
            waiting = self.attestations.queue.recv() => Event::Attestation(waiting),
            command = self.commands.recv() => Event::Command(command),
            () = self.audit.changed() => Event::AuditDue,
            () = sleep_until(wake_up) => event,
        }
    }

    /// Whether to write audit rows now. While attestations keep coming it may be a little later.
    fn is_audit_due(&mut self, busy: bool) -> bool {
        let waiting = self.audit.len();
        if waiting == 0 {
            self.audit_due = None;
            return false;
        }
        if self.audit.has_urgent() {
            return true;
        }
        let due = *self.audit_due.get_or_insert_with(|| Instant::now() + FLUSH_INTERVAL);
        let latest = if busy { due + FLUSH_INTERVAL } else { due };
        let much = if busy { 4 * WRITE_BATCH } else { WRITE_BATCH };
        waiting >= much || Instant::now() >= latest
    }

    /// Writes one batch of finished rows; on an error they stay in the buffer.
    async fn write_audit(&mut self) -> Result<(), StoreError> {
        let rows = self.audit.take();
        let start = Instant::now();
        let entries: Vec<_> = rows.iter().map(|row| &*row.entry).collect();
        match self.store.write_audit(&entries).await {
            Ok(()) => self.audit.written(rows, start.elapsed()),
            // One row that the database refuses must not hold up the others for ever.
            Err(StoreError::Constraint(_)) => self.write_audit_singly(rows).await?,
            Err(error) => {
                self.audit.put_back(rows);
                return Err(error);
            }
        }
        if self.audit.len() < SMALL_WRITE {
            self.audit_due = None;
        }
        Ok(())
    }

    /// Writes what can be written.
    async fn write_audit_singly(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        let mut rows = rows.into_iter();
        while let Some(row) = rows.next() {
            let start = Instant::now();
            match self.store.write_audit(&[&*row.entry]).await {
                Ok(()) => self.audit.written(vec![row], start.elapsed()),
                Err(StoreError::Constraint(error)) => {
                    tracing::error!(id = row.entry.id, %error, "the database refuses an audit row");
                    self.audit.count_lost(1);
                }
                Err(error) => {
                    self.audit.put_back([row].into_iter().chain(rows).collect());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Nobody is told the cause of a failure but the log: it may name paths.
    async fn obey(&mut self, command: Command) -> Result<Step, StoreError> {
        match command {
            Command::Register { keys, reply } => {
                let result = self.store.register(&keys).await;
                let answer = if result.is_ok() { Ok(()) } else { Err(Unavailable::Database) };
                let _ = reply.send(answer);
                result?;
            }
            Command::ReadAudit { filter, reply } => match self.store.read_audit(&filter).await {
                Ok(part) => {
                    let _ = reply.send(Ok(part));
                }
                Err(error) => {
                    // Reading left nothing half done; a write will tell if more is wrong.
                    tracing::error!(%error, "reading the audit trail");
                    let _ = reply.send(Err(Unavailable::Database));
                }
            },
            Command::Close { reply } => return Ok(Step::End(Some(reply))),
        }
        Ok(Step::Continue)
    }

    /// Answers what is still in the queues, writes the finished audit rows, closes the store.
    async fn shut_down(mut self) -> Result<(), StoreError> {
        self.blocks.queue.close();
        self.attestations.queue.close();
        self.commands.close();
        let drained = if self.status.is_open() { self.drain().await } else { Ok(()) };
        self.blocks.fail_all(Unavailable::Closed);
        self.attestations.fail_all(Unavailable::Closed);
        self.audit.close();
        self.status.set_transactions(self.store.transactions());
        let closed = self.store.close().await;
        drained.and(closed)
    }

    async fn drain(&mut self) -> Result<(), StoreError> {
        while self.clear_blocks().await? || self.clear_attestations().await? {}
        while self.audit.len() > 0 {
            self.write_audit().await?;
        }
        Ok(())
    }
}
