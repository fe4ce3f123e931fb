//! Which proofs are wanted, under way and made. No clock, no I/O.
//!
//! Invariant: of one proof at most one request is under way that was taken from here, and a proof
//! that was made is never asked for again. What was forgotten by [`Queue::remove_key`] does not come
//! back with a late answer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::{
    client::{Selection, SignError},
    wire::{PublicKey, Signature, Slot},
};

/// Proofs that differ in nothing but the key: one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Message {
    pub(super) slot: Slot,
    pub(super) selection: Selection,
}

/// A proof that is wanted and not under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It was not asked for yet.
    Fresh,
    /// The signer could not make it; it may be able to now.
    Failed,
    /// The signer would not make it; nothing but a change at the signer will help.
    Refused,
}

enum Entry {
    Waiting(Waiting),
    /// Asked for; whoever wants it too is told when the request ends.
    UnderWay(Arc<Notify>),
    Made(Signature),
}

/// Proofs that are asked for together. Ends with [`Queue::settle`] or [`Queue::release`].
pub(super) struct Flight {
    pub(super) message: Message,
    pub(super) keys: Vec<PublicKey>,
    ended: Arc<Notify>,
}

/// What a look-up finds.
pub(super) enum Found {
    Made(Signature),
    /// Completes when the request ends that it is under way in.
    UnderWay(OwnedNotified),
    /// Nobody has asked for it: now the one who looked it up does.
    Taken(Flight),
}

/// What became of a flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) made: u64,
    pub(super) failed: u64,
}

#[derive(Default)]
pub(super) struct Queue {
    messages: BTreeMap<Message, HashMap<PublicKey, Entry>>,
}

impl Queue {
    /// Makes `wanted` all that is wanted of the messages in `slots` for which `of_kind` holds. What
    /// is not wanted any more leaves the queue; what was made or is under way stays, because it may
    /// be wanted again.
    pub(super) fn replace(
        &mut self,
        slots: RangeInclusive<Slot>,
        of_kind: fn(Selection) -> bool,
        wanted: impl IntoIterator<Item = (Message, PublicKey)>,
    ) {
        let wanted: HashSet<(Message, PublicKey)> = wanted.into_iter().collect();
        self.messages.retain(|message, entries| {
            if slots.contains(&message.slot) && of_kind(message.selection) {
                entries.retain(|key, entry| {
                    !matches!(entry, Entry::Waiting(_)) || wanted.contains(&(*message, *key))
                });
            }
            !entries.is_empty()
        });
        for (message, key) in wanted {
            let entries = self.messages.entry(message).or_default();
            entries.entry(key).or_insert(Entry::Waiting(Waiting::Fresh));
        }
    }

    /// Takes waiting proofs of these slots, the nearest first, at most `chunk` in a flight, until
    /// flights for `most_slots` are full. What the signer refused before comes along without being
    /// counted, or it would keep others from their turn for ever.
    pub(super) fn take(
        &mut self,
        slots: RangeInclusive<Slot>,
        most_slots: u64,
        chunk: usize,
        may_take: fn(Waiting) -> bool,
    ) -> Vec<Flight> {
        let mut flights = Vec::new();
        let mut counted_slots = 0;
        let mut last_counted = None;
        for (message, entries) in &mut self.messages {
            if !slots.contains(&message.slot) {
                continue;
            }
            let mut has_room = last_counted == Some(message.slot);
            if !has_room && counted_slots < most_slots {
                has_room = true;
                if entries.values().any(|entry| takes_a_turn(entry, may_take)) {
                    counted_slots += 1;
                    last_counted = Some(message.slot);
                }
            }
            let mut keys: Vec<PublicKey> = entries
                .iter()
                .filter_map(|(key, entry)| match entry {
                    Entry::Waiting(Waiting::Refused) if may_take(Waiting::Refused) => Some(*key),
                    entry if has_room && takes_a_turn(entry, may_take) => Some(*key),
                    _ => None,
                })
                .collect();
            keys.sort_unstable();
            for keys in keys.chunks(chunk.max(1)) {
                let ended = Arc::new(Notify::new());
                for key in keys {
                    entries.insert(*key, Entry::UnderWay(ended.clone()));
                }
                flights.push(Flight { message: *message, keys: keys.to_vec(), ended });
            }
        }
        flights
    }

    /// Whether [`Self::take`] would take something.
    pub(super) fn has(&self, slots: &RangeInclusive<Slot>, may_take: fn(Waiting) -> bool) -> bool {
        self.messages.iter().any(|(message, entries)| {
            slots.contains(&message.slot)
                && entries
                    .values()
                    .any(|entry| matches!(entry, Entry::Waiting(waiting) if may_take(*waiting)))
        })
    }

    /// What is known of a proof; if nothing, it is under way from now on.
    pub(super) fn look_up(&mut self, message: Message, key: PublicKey) -> Found {
        let entries = self.messages.entry(message).or_default();
        match entries.get(&key) {
            Some(Entry::Made(proof)) => Found::Made(*proof),
            Some(Entry::UnderWay(ended)) => Found::UnderWay(ended.clone().notified_owned()),
            Some(Entry::Waiting(_)) | None => {
                let ended = Arc::new(Notify::new());
                entries.insert(key, Entry::UnderWay(ended.clone()));
                Found::Taken(Flight { message, keys: vec![key], ended })
            }
        }
    }

    /// Keeps a proof that was asked for beside a flight.
    pub(super) fn keep(&mut self, message: Message, key: &PublicKey, proof: Signature) {
        if let Some(entry) = self.messages.get_mut(&message).and_then(|keys| keys.get_mut(key)) {
            *entry = Entry::Made(proof);
        }
    }

    /// Ends a flight with a result for each of its keys.
    pub(super) fn settle(
        &mut self,
        flight: &Flight,
        results: Vec<Result<Signature, SignError>>,
    ) -> Settled {
        let mut settled = Settled::default();
        let Some(entries) = self.messages.get_mut(&flight.message) else {
            flight.ended.notify_waiters();
            return settled;
        };
        for (key, result) in flight.keys.iter().zip(results) {
            let Some(entry) = entries.get_mut(key) else { continue };
            match result {
                Ok(proof) => {
                    *entry = Entry::Made(proof);
                    settled.made += 1;
                }
                Err(error) => {
                    if flight.holds(entry) {
                        *entry = Entry::Waiting(after(&error));
                    }
                    settled.failed += 1;
                }
            }
        }
        self.release(flight);
        settled
    }

    /// Ends a flight; what has no result waits again.
    pub(super) fn release(&mut self, flight: &Flight) {
        if let Some(entries) = self.messages.get_mut(&flight.message) {
            for key in &flight.keys {
                if let Some(entry) = entries.get_mut(key)
                    && flight.holds(entry)
                {
                    *entry = Entry::Waiting(Waiting::Failed);
                }
            }
        }
        flight.ended.notify_waiters();
    }

    /// Forgets all that is known and wanted of a key.
    pub(super) fn remove_key(&mut self, key: &PublicKey) {
        self.messages.retain(|_, entries| {
            entries.remove(key);
            !entries.is_empty()
        });
    }

    /// Forgets all slots before this one.
    pub(super) fn forget_before(&mut self, slot: Slot) {
        self.messages.retain(|message, _| message.slot >= slot);
    }

    /// How many proofs wait or are under way, and how many are made.
    pub(super) fn counts(&self) -> (usize, usize) {
        let entries = || self.messages.values().flat_map(HashMap::values);
        let made = entries().filter(|entry| matches!(entry, Entry::Made(_))).count();
        (entries().count() - made, made)
    }
}

impl Flight {
    /// Whether the entry is under way in this flight, and not in another one since.
    fn holds(&self, entry: &Entry) -> bool {
        matches!(entry, Entry::UnderWay(ended) if Arc::ptr_eq(ended, &self.ended))
    }
}

/// Whether an entry may be taken and counts against the number of slots.
fn takes_a_turn(entry: &Entry, may_take: fn(Waiting) -> bool) -> bool {
    matches!(entry, Entry::Waiting(waiting) if *waiting != Waiting::Refused && may_take(*waiting))
}

fn after(error: &SignError) -> Waiting {
    match error {
        SignError::UnknownKey
        | SignError::SlashingRefused(_)
        | SignError::Forbidden { .. }
        | SignError::Rejected { .. } => Waiting::Refused,
        SignError::Overloaded { .. }
        | SignError::Failed { .. }
        | SignError::Transport(_)
        | SignError::DeadlinePassed
        | SignError::Malformed(_) => Waiting::Failed,
    }
}
