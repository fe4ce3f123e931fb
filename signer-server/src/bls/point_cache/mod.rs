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
//! - The lock guards two maps, for well under a microsecond; nobody holds it while hashing, and a
//!   generation is freed after it is released.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use signer_client::wire::Root;

use super::MessagePoint;
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

/// A place for a point: empty until one thread has hashed the root. A panic leaves it empty.
type Place = Arc<OnceLock<Arc<MessagePoint>>>;

/// Points of the signing roots that were asked for last.
///
/// Holds at most twice `capacity` roots of less than 512 bytes each (the point has 288): 1 MiB for
/// a capacity of 1024.
pub struct PointCache {
    capacity: usize,
    generations: Mutex<Generations>,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Root, Place>,
    old: HashMap<Root, Place>,
}

impl PointCache {
    /// An empty cache whose generations hold `capacity` roots each; 0 counts as 1.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), generations: Mutex::default(), metrics: None }
    }

    /// Counts every lookup by its [`PointLookup`].
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The point of a signing root. Costs the hashing, about 0.2 ms, or the wait for a thread that
    /// does it, unless the root was asked for lately: call it on a signing thread only.
    pub fn point(&self, root: &Root) -> Arc<MessagePoint> {
        self.point_with(root, MessagePoint::of_root)
    }

    /// As [`PointCache::point`], hashing with `hash`.
    fn point_with(
        &self,
        root: &Root,
        hash: impl FnOnce(&Root) -> MessagePoint,
    ) -> Arc<MessagePoint> {
        let place = self.place(root);
        let mut lookup = if place.get().is_some() { PointLookup::Hit } else { PointLookup::Wait };
        let point = place.get_or_init(|| {
            lookup = PointLookup::Miss;
            Arc::new(hash(root))
        });
        if let Some(metrics) = &self.metrics {
            metrics.point_looked_up(lookup);
        }
        Arc::clone(point)
    }

    /// The root's place, which is in the young generation from now on.
    fn place(&self, root: &Root) -> Place {
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
