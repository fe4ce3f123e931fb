//! What the task does while the database is away, and when it has lost records.

use std::{pin::pin, time::Duration};

use signer_client::wire::Slot;
use tokio::{sync::mpsc, time::sleep};

use super::{CloseReply, Command, Intake, Step, Worker};
use crate::slashing::{
    error::{SAFE_START_OPTION, Unavailable},
    rules::VoteEpochs,
    store::{Store, StoreError},
};

/// Pause between attempts to open the database again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

impl<S: Store> Worker<S> {
    /// Opens the database again, however long it takes. Whoever asks meanwhile is told at once.
    /// Does not go on when it shall close or when the database needs an operator.
    pub(super) async fn recover(&mut self, cause: &StoreError) -> Step {
        if let Some(reason) = cause.halt_reason() {
            return Step::End(self.halt(reason, cause).await);
        }
        tracing::error!(error = %cause, "the slashing protection database failed; opening it again");
        self.status.set_open(false);
        self.audit.set_available(false);
        let mut pause = FIRST_RETRY;
        loop {
            let Self { store, attestations, blocks, commands, .. } = self;
            let (result, close) =
                refuse_until(store.recover(), blocks, attestations, commands).await;
            if close.is_some() {
                return Step::End(close);
            }
            match result {
                Ok(()) => break,
                Err(error) => {
                    if let Some(reason) = error.halt_reason() {
                        return Step::End(self.halt(reason, &error).await);
                    }
                    tracing::error!(
                        %error, retry_in_ms = pause.as_millis(),
                        "the slashing protection database is still away; no block and no \
                         attestation is signed"
                    );
                }
            }
            let Self { attestations, blocks, commands, .. } = self;
            let ((), close) = refuse_until(sleep(pause), blocks, attestations, commands).await;
            if close.is_some() {
                return Step::End(close);
            }
            pause = (pause * 2).min(LAST_RETRY);
        }
        tracing::info!("the slashing protection database is open again");
        self.status.set_high_watermark(self.store.high_watermark());
        self.status.set_open(true);
        self.audit.set_available(true);
        Step::Continue
    }

    /// Tells everybody that an operator must look first, until it shall close (then it returns whom
    /// to tell) or nobody is left who could ask.
    async fn halt(&mut self, reason: &'static str, cause: &StoreError) -> Option<CloseReply> {
        tracing::error!(
            error = %cause,
            "slashing protection is HALTED: the database may not know everything that was signed, \
             so no block and no attestation is signed any more. Put the right database in place \
             and start again; if it is lost, start with {SAFE_START_OPTION}"
        );
        self.status.halt(reason);
        self.status.set_open(false);
        self.audit.set_available(false);
        self.status.rests();
        let why = Unavailable::Halted { reason };
        let Self { blocks, attestations, commands, .. } = self;
        loop {
            blocks.fail_all(why);
            attestations.fail_all(why);
            tokio::select! {
                waiting = blocks.queue.recv() => waiting?.fail(why),
                waiting = attestations.queue.recv() => waiting?.fail(why),
                command = commands.recv() => {
                    let close = refuse(command?, why);
                    if close.is_some() {
                        return close;
                    }
                }
            }
        }
    }
}

/// Runs `task` and meanwhile answers everybody that the database is unavailable. Stops early when
/// told to close.
async fn refuse_until<Output>(
    task: impl Future<Output = Output>,
    blocks: &mut Intake<Slot>,
    attestations: &mut Intake<VoteEpochs>,
    commands: &mut mpsc::Receiver<Command>,
) -> (Output, Option<CloseReply>) {
    let mut task = pin!(task);
    let mut close = None;
    loop {
        blocks.fail_all(Unavailable::Database);
        attestations.fail_all(Unavailable::Database);
        let open = close.is_none();
        tokio::select! {
            output = &mut task => return (output, close),
            Some(waiting) = blocks.queue.recv() => waiting.fail(Unavailable::Database),
            Some(waiting) = attestations.queue.recv() => waiting.fail(Unavailable::Database),
            Some(command) = commands.recv(), if open => {
                close = refuse(command, Unavailable::Database);
            }
        }
    }
}

/// Answers a command that can't be obeyed; returns whom to tell about closing.
fn refuse(command: Command, why: Unavailable) -> Option<CloseReply> {
    match command {
        Command::Register { reply, .. } => drop(reply.send(Err(why))),
        Command::ReadAudit { reply, .. } => drop(reply.send(Err(why))),
        Command::Close { reply } => return Some(reply),
    }
    None
}
