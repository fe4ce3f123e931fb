//! How proofs are kept.

use std::sync::Arc;

use signer_client::wire::{PublicKey, Slot};

use crate::{
    clock,
    duty::{Network, NetworkClock},
    telemetry::metrics::Metrics,
};

/// Proofs kept when nothing is said: an epoch of 65,536 validators.
const USUAL_CAPACITY: usize = 65_536;

/// Slots ahead when nothing is said: two epochs, as far as duties are known.
const USUAL_SLOTS_AHEAD: u64 = 64;

type Now = Box<dyn Fn() -> Option<Slot> + Send + Sync>;
type IsLoaded = Box<dyn Fn(&PublicKey) -> bool + Send + Sync>;

/// How proofs are kept.
pub struct ProofCacheOptions {
    /// Most proofs that are kept; as many again may wait to be made in the background. A proof takes
    /// at most 512 bytes (208 of its own, in the nodes of a B-tree that are at least 5/11 full), one
    /// that waits at most 256: 48 MiB for the default of 65,536, and nothing before there are any.
    pub capacity: usize,
    /// How many slots after the present one are kept and may be asked for ahead.
    pub max_slots_ahead: u64,
    /// The present slot; `None` when the network's genesis time is not known. Without it nothing is
    /// kept, because nothing could ever be dropped.
    pub now: Now,
    /// Whether a key can sign now. Asked under the lock, so it must not ask back.
    pub is_loaded: IsLoaded,
    /// Where all is counted.
    pub metrics: Arc<Metrics>,
}

impl ProofCacheOptions {
    /// The defaults for a network.
    pub fn new(
        network: &Network,
        is_loaded: impl Fn(&PublicKey) -> bool + Send + Sync + 'static,
        metrics: Arc<Metrics>,
    ) -> Self {
        let clock = NetworkClock::of(network);
        Self {
            capacity: USUAL_CAPACITY,
            max_slots_ahead: USUAL_SLOTS_AHEAD,
            now: Box::new(move || {
                let now_unix_ms = clock::now_unix_micros().max(0).cast_unsigned() / 1000;
                // Before genesis, slot 0 is the one to come.
                clock.map(|clock| clock.slot_at(now_unix_ms).unwrap_or(Slot(0)))
            }),
            is_loaded: Box::new(is_loaded),
            metrics,
        }
    }
}
