//! Hashes each signing root to the curve once, however many keys sign it.
//!
//! All validators with a duty in one slot sign the same root: attestations (one committee index
//! since Electra), selection proofs, sync committee messages. The cache goes by the root alone, so
//! it serves every client, whether it asks for one signature at a time or for many.
//!
//! - *Single-flight*: the first thread that asks for a root hashes it and others that ask meanwhile
//!   wait for the result. If the first one panics, one of those that wait takes over.
//! - *Bounded*: two generations of roots. A root that is asked for moves to the young one; when
//!   that is full it becomes the old one, and the former old one is dropped. So a root stays for as
//!   long as fewer than `capacity` others are asked for between two uses, and a flood of roots that
//!   come once can't push out one in constant use.
//! - *Faster after a while*: a root that many keys sign gets a table of multiples, with which a
//!   signature costs less than half. The keys that sign meanwhile make it, a small part each, so
//!   that no signing thread is kept from a block for long.
//! - The lock guards two maps, for well under a microsecond; nobody holds it while hashing, and a
//!   generation is freed after it is released.

mod place;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use signer_client::wire::{Root, Signature};

use self::place::Place;
use super::{MessagePoint, SecretKey};
use crate::telemetry::metrics::Metrics;

/// How a point was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointLookup {
    /// It was there.
    Hit,
    /// This thread hashed the root.
    Miss,
    /// Another thread was hashing the root, and this one waited for it.
    Wait,
}

/// Tables kept at most, 160 KB each. A slot has a handful of roots that hundreds of keys sign.
const MAX_TABLES: usize = 16;

/// Points of the signing roots that were asked for last.
///
/// Holds at most twice `capacity` roots of less than 512 bytes each (the point has 288): 1 MiB for
/// a capacity of 1024; and 16 tables, 2.5 MiB together.
pub struct PointCache {
    capacity: usize,
    generations: Mutex<Generations>,
    /// Places that have a table, the oldest first.
    tables: Mutex<VecDeque<Weak<Place>>>,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Root, Arc<Place>>,
    old: HashMap<Root, Arc<Place>>,
}

impl PointCache {
    /// An empty cache whose generations hold `capacity` roots each; 0 counts as 1.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            generations: Mutex::default(),
            tables: Mutex::default(),
            metrics: None,
        }
    }

    /// Counts every lookup by its [`PointLookup`].
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Signs a root. Costs the hashing, about 0.2 ms, or the wait for a thread that does it, unless
    /// the root was asked for lately; then about 0.2 ms for the signature, or half of that if the
    /// root has a table: call it on a signing thread only.
    pub fn sign(&self, key: &SecretKey, root: &Root) -> Signature {
        let place = self.place(root);
        let point = self.point_at(&place, root, MessagePoint::of_root);
        if let Some(table) = place.table() {
            return key.sign_with(&table);
        }
        if place.help_to_make_table(point) {
            self.keep_table_of(&place);
        }
        key.sign_point(point)
    }

    /// The point of a place, hashed with `hash` by one of the threads that ask.
    fn point_at<'a>(
        &self,
        place: &'a Place,
        root: &Root,
        hash: impl FnOnce(&Root) -> MessagePoint,
    ) -> &'a MessagePoint {
        let (point, lookup) = place.point(|| hash(root));
        if let Some(metrics) = &self.metrics {
            metrics.point_looked_up(lookup);
        }
        point
    }

    /// Counts the new table of a place, and drops the oldest one when there are too many.
    fn keep_table_of(&self, place: &Arc<Place>) {
        let mut tables = self.tables.lock();
        tables.retain(|other| other.strong_count() > 0);
        let oldest = (tables.len() >= MAX_TABLES).then(|| tables.pop_front()).flatten();
        tables.push_back(Arc::downgrade(place));
        drop(tables);
        if let Some(oldest) = oldest.as_ref().and_then(Weak::upgrade) {
            oldest.drop_table();
        }
    }

    /// The root's place, which is in the young generation from now on.
    fn place(&self, root: &Root) -> Arc<Place> {
        let mut generations = self.generations.lock();
        if let Some(place) = generations.young.get(root) {
            return Arc::clone(place);
        }
        let place = generations.old.remove(root).unwrap_or_default();
        let outdated = (generations.young.len() >= self.capacity).then(|| {
            let full = mem::replace(&mut generations.young, HashMap::with_capacity(self.capacity));
            mem::replace(&mut generations.old, full)
        });
        generations.young.insert(*root, Arc::clone(&place));
        drop(generations);
        drop(outdated);
        place
    }
}
