//! Decoded points, shared by all worker threads and kept from job to job.
//!
//! A time saver only: what is in here went through the checks of the core, and an empty cache gives
//! the same results. Each map keeps at most two generations; when the younger one is full the older
//! one is dropped. So memory is bounded, and what is used stays.

use std::collections::HashMap;

use midslot_aggregation::{DecodedSignature, PointCache, ValidKey};
use parking_lot::Mutex;

/// Locks of each map. Threads seldom meet at one of sixteen.
const SHARDS: usize = 16;

/// Public keys of one generation: with both, 131,072 keys in about 40 MB.
const KEYS: usize = 1 << 16;

/// Signatures of one generation: with both, two slots of 64 committees of 512, in about 40 MB.
const SIGNATURES: usize = 1 << 15;

/// The points.
#[derive(Debug)]
pub(super) struct Points {
    keys: [Mutex<Generations<48, ValidKey>>; SHARDS],
    signatures: [Mutex<Generations<96, DecodedSignature>>; SHARDS],
}

#[derive(Debug)]
struct Generations<const N: usize, P> {
    young: HashMap<[u8; N], P>,
    old: HashMap<[u8; N], P>,
    capacity: usize,
}

impl<const N: usize, P: Copy> Generations<N, P> {
    fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    fn get(&mut self, bytes: &[u8; N]) -> Option<P> {
        if let Some(point) = self.young.get(bytes) {
            return Some(*point);
        }
        let point = self.old.remove(bytes)?;
        self.keep(bytes, point);
        Some(point)
    }

    fn keep(&mut self, bytes: &[u8; N], point: P) {
        if self.young.len() >= self.capacity && !self.young.contains_key(bytes) {
            // The map that is emptied keeps its room, so that a full cache allocates nothing.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(*bytes, point);
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl Points {
    pub(super) fn new() -> Self {
        Self {
            keys: std::array::from_fn(|_| Mutex::new(Generations::new(KEYS / SHARDS))),
            signatures: std::array::from_fn(|_| Mutex::new(Generations::new(SIGNATURES / SHARDS))),
        }
    }

    /// How many public keys and signatures are kept.
    pub(super) fn len(&self) -> (usize, usize) {
        (
            self.keys.iter().map(|shard| shard.lock().len()).sum(),
            self.signatures.iter().map(|shard| shard.lock().len()).sum(),
        )
    }
}

/// By the last byte of the x coordinate, which is as good as random.
fn shard<const N: usize>(bytes: &[u8; N]) -> usize {
    usize::from(bytes[N - 1]) % SHARDS
}

impl PointCache for &Points {
    fn key(&mut self, bytes: &[u8; 48]) -> Option<ValidKey> {
        self.keys[shard(bytes)].lock().get(bytes)
    }

    fn keep_key(&mut self, bytes: &[u8; 48], key: ValidKey) {
        self.keys[shard(bytes)].lock().keep(bytes, key);
    }

    fn signature(&mut self, bytes: &[u8; 96]) -> Option<DecodedSignature> {
        self.signatures[shard(bytes)].lock().get(bytes)
    }

    fn keep_signature(&mut self, bytes: &[u8; 96], signature: DecodedSignature) {
        self.signatures[shard(bytes)].lock().keep(bytes, signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut kept: Generations<48, u32> = Generations::new(4);
        let bytes = |number: u8| [number; 48];
        kept.keep(&bytes(0), 0);
        for number in 1..100 {
            kept.keep(&bytes(number), u32::from(number));
            assert!(kept.len() <= 9, "{}", kept.len());
            assert_eq!(kept.get(&bytes(0)), Some(0), "it is used all the time");
            assert_eq!(kept.get(&bytes(number)), Some(u32::from(number)));
        }
        assert_eq!(kept.get(&bytes(1)), None);
    }

    #[test]
    fn keeping_again_replaces() {
        let mut kept: Generations<48, u32> = Generations::new(1);
        kept.keep(&[1; 48], 1);
        kept.keep(&[1; 48], 2);
        assert_eq!((kept.get(&[1; 48]), kept.len()), (Some(2), 1));
    }
}
