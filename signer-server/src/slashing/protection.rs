//! The handle that the rest of the signer holds.

mod open;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use signer_client::wire::PublicKey;
use tokio::{task::spawn_blocking, time::timeout};

use self::open::OpenDatabase;
pub use self::open::OpenOptions;
use super::{
    Cleared, HighWatermark, NotCleared, OpenError, ProtectionState, PruningTotals, RegisterError,
    StoreError, Unavailable, far_future,
    lane::Lane,
    marker::Keeper,
    rules::VoteEpochs,
    store::{Decision, Request},
};
use crate::{
    audit::{Buffer, Filter, Page, PageBuilder, Ticket, Writer},
    duty::{Duty, NetworkClock, Protection},
};

/// Keys per transaction when registering: short enough not to hold up a signature for long.
const REGISTER_CHUNK: usize = 2_048;

/// Slashing protection and, on the same database, the audit trail. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SlashingProtection {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    audit: Arc<Buffer>,
    database: Option<OpenDatabase>,
    enabled: bool,
    timeout: Duration,
    far_future_guard: Option<NetworkClock>,
}

impl SlashingProtection {
    /// Opens the database; must be called on a tokio runtime, on which its task then lives.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let (database, audit) = open::open(&options).await?;
        if !options.enabled {
            warn_disabled();
        }
        let parts = Parts {
            audit,
            database: Some(database),
            enabled: options.enabled,
            timeout: options.timeout,
            far_future_guard: options.far_future_guard,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// No database at all: every duty is cleared, nothing is recorded, no audit trail is kept.
    pub fn disabled() -> Self {
        warn_disabled();
        let audit = Buffer::discarding();
        let parts = Parts {
            audit,
            database: None,
            enabled: false,
            timeout: Duration::ZERO,
            far_future_guard: None,
        };
        Self { parts: Arc::new(parts) }
    }

    /// Whether blocks and attestations are checked at all.
    pub fn is_enabled(&self) -> bool {
        self.parts.enabled
    }

    /// The audit trail, to open tickets for [`Self::clear`].
    pub fn audit(&self) -> Writer {
        Writer::new(Arc::clone(&self.parts.audit))
    }

    /// Makes state for keys that have none, and writes the marker that remembers it. Call it for
    /// every key before it signs; known keys stay as they are, disabled ones stay disabled.
    pub async fn register(&self, keys: &[PublicKey]) -> Result<(), RegisterError> {
        let Some(database) = self.parts.database.as_ref().filter(|_| self.parts.enabled) else {
            return Ok(());
        };
        if keys.is_empty() {
            return Ok(());
        }
        // First the marker: a crash in between leaves one too many, never one too few.
        let Keeper { places, identity, database: path } = database.keeper.clone();
        let transactions = database.lane.status().general().transactions();
        #[expect(clippy::disallowed_methods, reason = "once per reload, and one reload at a time")]
        let written = spawn_blocking(move || places.write(&identity, transactions, &path)).await;
        written.map_err(|_| Unavailable::Closed)??;
        for chunk in keys.chunks(REGISTER_CHUNK) {
            database.lane.register(chunk.to_vec()).await?;
        }
        Ok(())
    }

    /// Clears a duty of a key, or says why not. For a block or attestation that is cleared for the
    /// first time, record and audit row are durable when this returns.
    ///
    /// `ticket` must come from [`Self::audit`] of the same handle and must be finished by the
    /// caller with what the request came to; it is borrowed here so that the row that goes with
    /// the record is that of this request.
    ///
    /// Dropping the future is safe: a request that no batch has taken is withdrawn, any other runs
    /// to its end.
    pub async fn clear(
        &self,
        key: &PublicKey,
        duty: &Duty,
        ticket: &mut Ticket,
    ) -> Result<Cleared, NotCleared> {
        if !ticket.belongs_to(&self.parts.audit) {
            return Err(NotCleared::ForeignTicket);
        }
        ticket.name_key(key);
        ticket.describe(duty);
        let cleared = Cleared::new(*key, duty.signing_root);
        let lane = match &self.parts.database {
            Some(database) if self.parts.enabled => &database.lane,
            _ => return Ok(cleared),
        };
        if duty.protection == Protection::Unprotected {
            return Ok(cleared);
        }

        if let Some(clock) = self.parts.far_future_guard {
            far_future::check_now(clock, &duty.protection)?;
        }
        let asked = Instant::now();
        let decision = timeout(self.parts.timeout, ask(lane, key, duty, ticket)).await;
        let waited = asked.elapsed();
        ticket.waited_for_database(waited);
        match decision.unwrap_or(Err(Unavailable::TimedOut))? {
            Some(Decision::New) => {
                ticket.is_recorded();
                Ok(cleared.after(waited, false))
            }
            Some(Decision::Repeat) => Ok(cleared.after(waited, true)),
            Some(Decision::Refused(refusal)) => Err(NotCleared::Refused(refusal)),
            Some(Decision::Unreadable) => Err(Unavailable::Database.into()),
            Some(Decision::Unregistered) => Err(NotCleared::Unregistered { key: *key }),
            None => Err(NotCleared::ForeignTicket),
        }
    }

    /// Where all signing stops, when the operator has set such a point.
    pub fn high_watermark(&self) -> Option<HighWatermark> {
        self.parts.database.as_ref()?.lane.status().high_watermark()
    }

    /// Whether blocks and attestations can be cleared and audit rows are written: the database is
    /// open, the last write went well, none hangs, and no record was lost. Asks nobody.
    pub fn state(&self) -> ProtectionState {
        let database = self.parts.database.as_ref();
        database.map_or(ProtectionState::Running, |database| database.lane.status().state())
    }

    /// Whether the state is [`ProtectionState::Running`].
    pub fn is_healthy(&self) -> bool {
        self.parts.database.as_ref().is_none_or(|database| database.lane.status().is_healthy())
    }

    /// What pruning has done since the start.
    pub fn pruning(&self) -> PruningTotals {
        let database = self.parts.database.as_ref();
        database.map_or_else(PruningTotals::default, |database| {
            database.lane.status().general().pruning()
        })
    }

    /// Reads the audit trail, newest first. Rows of the last
    /// [`FLUSH_INTERVAL`](crate::audit::FLUSH_INTERVAL) may be missing.
    pub async fn read_audit(&self, filter: &Filter) -> Result<Page, Unavailable> {
        let Some(database) = &self.parts.database else { return Ok(Page::default()) };
        let mut page = PageBuilder::new(filter);
        while let Some(part) = page.next_part() {
            let part = database.lane.read_audit(part).await?;
            page.add(part.entries, part.next_before_id);
        }
        Ok(page.finish())
    }

    /// Answers what waits, writes what is finished, and lets go of the database. Everything asked
    /// later is answered with [`Unavailable::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        match &self.parts.database {
            Some(database) => {
                let closed = database.lane.close().await;
                if self.parts.enabled {
                    let status = database.lane.status();
                    let transactions = status.general().transactions();
                    let keeper = database.keeper.clone();
                    match status.state() {
                        ProtectionState::Halted { reason } => {
                            keeper.note_halt(transactions, reason).await;
                        }
                        _ => keeper.advance(transactions).await,
                    }
                }
                closed
            }
            None => Ok(()),
        }
    }
}

fn warn_disabled() {
    tracing::warn!(
        "slashing protection is OFF: blocks and attestations are signed without any check or \
         record; when it is switched on again, it will not know of them"
    );
}

/// Sends a slashable duty to the lane. `None` when there is nothing to send: a finished ticket.
async fn ask(
    lane: &Lane,
    key: &PublicKey,
    duty: &Duty,
    ticket: &Ticket,
) -> Result<Option<Decision>, Unavailable> {
    let Some(audit) = ticket.unconfirmed() else { return Ok(None) };
    let (key, signing_root) = (*key, duty.signing_root);
    match duty.protection {
        Protection::Unprotected => Ok(None),
        Protection::Block { slot: subject, genesis_validators_root } => {
            let request = Request { key, subject, signing_root, genesis_validators_root, audit };
            lane.clear_block(request).await.map(Some)
        }
        Protection::Attestation { source, target, genesis_validators_root } => {
            let subject = VoteEpochs { source, target };
            let request = Request { key, subject, signing_root, genesis_validators_root, audit };
            lane.clear_attestation(request).await.map(Some)
        }
    }
}

#[cfg(test)]
mod tests;
