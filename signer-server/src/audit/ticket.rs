//! The obligation of one request to leave one row.

use std::{sync::Arc, time::Duration};

use signer_client::wire::PublicKey;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};

use super::{Buffer, Client, Entry, Outcome, Room, UNCONFIRMED, entry};
use crate::{
    clock,
    duty::{Duty, DutyType, Position},
    scheduler::Class,
    signing::Timings,
};

/// Longest identifier that is kept, in characters; a public key has 98.
const IDENTIFIER_CHARACTERS: usize = 128;

/// The row of a signature could not be made durable, so the signature must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit row could not be written (--audit-durability=strict)")]
pub struct NotDurable;

/// The open row of one request. End it with [`Ticket::finish`]; dropped unfinished it leaves a row
/// that says [`Outcome::Abandoned`].
#[derive(Debug)]
#[must_use = "dropping a ticket records the request as abandoned"]
pub struct Ticket {
    buffer: Arc<Buffer>,
    /// Taken when the row is handed to the buffer.
    entry: Option<Box<Entry>>,
    room: Option<OwnedSemaphorePermit>,
    /// Whether a row of this request is durable already.
    recorded: bool,
}

impl Ticket {
    pub(super) fn begin(buffer: Arc<Buffer>, client: Client, identifier: &str) -> Self {
        let key = identifier.parse().ok();
        let identifier = key
            .is_none()
            .then(|| identifier.chars().take(IDENTIFIER_CHARACTERS).collect::<String>())
            .filter(|identifier| !identifier.is_empty());
        let entry = Entry {
            id: buffer.next_id(),
            received_at_us: clock::now_unix_micros(),
            instance: Arc::clone(buffer.instance()),
            client,
            key,
            identifier,
            duty_type: None,
            slot: None,
            epoch: None,
            signing_root: None,
            outcome: Outcome::Abandoned,
            reason: None,
            queue_us: None,
            database_us: None,
            bls_us: None,
        };
        Self { buffer, entry: Some(Box::new(entry)), room: None, recorded: false }
    }

    /// Notes the key as it was found, however the request spelled it.
    pub fn name_key(&mut self, key: &PublicKey) {
        if let Some(entry) = &mut self.entry {
            entry.key = Some(*key);
            entry.identifier = None;
        }
    }

    /// Notes the type of a request that was not understood beyond it.
    pub fn name_type(&mut self, duty_type: Option<DutyType>) {
        if let Some(entry) = &mut self.entry {
            entry.duty_type = duty_type;
        }
    }

    /// Notes what is asked for.
    pub fn describe(&mut self, duty: &Duty) {
        let Some(entry) = &mut self.entry else { return };
        entry.duty_type = Some(duty.duty_type);
        entry.signing_root = Some(duty.signing_root);
        (entry.slot, entry.epoch) = match duty.position {
            Some(Position::Slot(slot)) => (Some(slot), None),
            Some(Position::Epoch(epoch)) => (None, Some(epoch)),
            None => (None, None),
        };
    }

    /// Waits until the buffer has room for a row of this class. Call it before any work is done
    /// for the request. Blocks and attestations never wait, and nobody waits while the database is
    /// away.
    pub async fn wait_for_room(&mut self, class: Class) {
        if self.room.is_none() {
            self.room = self.buffer.room(class, 1).await;
        }
    }

    /// Takes one row's share of a batch's room.
    pub fn take_room(&mut self, room: &mut Room) {
        self.room = room.0.as_mut().and_then(|permit| permit.split(1));
    }

    /// Notes in words what the outcome and the times of a good end do not say. A reason that is
    /// given at the end takes its place.
    pub fn note(&mut self, reason: &'static str) {
        if let Some(entry) = &mut self.entry {
            entry.reason = Some(reason.to_owned());
        }
    }

    /// How long the request waited for a signing thread.
    pub fn waited_in_queue(&mut self, duration: Duration) {
        if let Some(entry) = &mut self.entry {
            entry.queue_us = Some(entry::micros(duration));
        }
    }

    /// How long slashing protection took.
    pub(crate) fn waited_for_database(&mut self, duration: Duration) {
        if let Some(entry) = &mut self.entry {
            entry.database_us = Some(entry::micros(duration));
        }
    }

    /// How long the signature took.
    pub fn spent_signing(&mut self, duration: Duration) {
        if let Some(entry) = &mut self.entry {
            entry.bls_us = Some(entry::micros(duration));
        }
    }

    /// Where the request's time went so far.
    pub fn timings(&self) -> Timings {
        self.entry.as_ref().map_or_else(Timings::default, |entry| Timings {
            queue_us: entry.queue_us,
            database_us: entry.database_us,
            bls_us: entry.bls_us,
        })
    }

    /// The key, as far as it is known.
    pub fn key(&self) -> Option<PublicKey> {
        self.entry.as_ref().and_then(|entry| entry.key)
    }

    /// The row's id.
    pub fn id(&self) -> i64 {
        self.entry.as_ref().map_or(0, |entry| entry.id)
    }

    /// Ends the request.
    pub fn finish(mut self, outcome: Outcome, reason: Option<String>) {
        self.end(outcome, reason);
    }

    /// Ends the request with a signature, which may leave once this returns `Ok`: with
    /// [`Durability::Strict`](super::Durability::Strict) a row of it is durable then.
    ///
    /// # Errors
    /// When the row is not known to be durable. It then says [`Outcome::Failed`].
    pub async fn release(mut self, outcome: Outcome) -> Result<(), NotDurable> {
        if self.recorded || !self.buffer.is_strict() {
            self.end(outcome, None);
            return Ok(());
        }
        let Some(mut entry) = self.entry.take() else { return Err(NotDurable) };
        entry.outcome = outcome;
        let withheld = Box::new(Entry {
            outcome: Outcome::Failed,
            reason: Some(NotDurable.to_string()),
            ..Entry::clone(&entry)
        });
        let (when_durable, durable) = oneshot::channel();
        self.buffer.push(entry, self.room.take(), Some(when_durable));
        if let Ok(Ok(())) = timeout(self.buffer.options().timeout, durable).await {
            return Ok(());
        }
        // Under the same id, and written after the first, which it replaces.
        self.buffer.push(withheld, None, None);
        Err(NotDurable)
    }

    /// A row of this request became durable together with its slashing record.
    pub(crate) fn is_recorded(&mut self) {
        self.recorded = true;
    }

    /// Whether the row goes to this buffer.
    pub(crate) fn belongs_to(&self, buffer: &Arc<Buffer>) -> bool {
        Arc::ptr_eq(&self.buffer, buffer)
    }

    /// The row as it is written together with a slashing record.
    pub(crate) fn unconfirmed(&self) -> Option<Box<Entry>> {
        self.entry.as_ref().map(|entry| {
            Box::new(Entry {
                outcome: Outcome::Signed,
                reason: Some(UNCONFIRMED.to_owned()),
                ..Entry::clone(entry)
            })
        })
    }

    fn end(&mut self, outcome: Outcome, reason: Option<String>) {
        if let Some(mut entry) = self.entry.take() {
            entry.outcome = outcome;
            entry.reason = reason.or_else(|| entry.reason.take());
            self.buffer.push(entry, self.room.take(), None);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned, None);
    }
}
