//! The obligation of one request to leave one row.

use std::{sync::Arc, time::Duration};

use signer_client::wire::PublicKey;
use tokio::sync::OwnedSemaphorePermit;

use super::{Buffer, Client, Entry, Outcome, Room, UNCONFIRMED, entry};
use crate::{
    clock,
    duty::{Duty, DutyType, Position},
    scheduler::Class,
    signing::Timings,
};

/// Longest identifier that is kept, in characters; a public key has 98.
const IDENTIFIER_CHARACTERS: usize = 128;

/// The open row of one request. End it with [`Ticket::finish`]; dropped unfinished it leaves a row
/// that says [`Outcome::Abandoned`].
#[derive(Debug)]
#[must_use = "dropping a ticket records the request as abandoned"]
pub struct Ticket {
    buffer: Arc<Buffer>,
    /// Taken when the row is handed to the buffer.
    entry: Option<Box<Entry>>,
    room: Option<OwnedSemaphorePermit>,
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
        Self { buffer, entry: Some(Box::new(entry)), room: None }
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
            entry.reason = reason;
            self.buffer.push(entry, self.room.take());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned, None);
    }
}
