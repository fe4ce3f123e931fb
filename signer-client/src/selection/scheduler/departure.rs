//! One request for proofs, from the queue to the signer and back.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::timeout_at;

use super::{FIRST_PAUSE, Inner};
use crate::{
    client::{Deadline, KeyResults, ProofBatch, SignError},
    selection::queue::{Flight, Message, Settled},
};

/// A flight that gives its proofs back to the queue when it is dropped on the way.
pub(super) struct Departure {
    inner: Arc<Inner>,
    flight: Option<Flight>,
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.inner.queue.lock().release(&flight);
        }
    }
}

impl Departure {
    pub(super) const fn new(inner: Arc<Inner>, flight: Flight) -> Self {
        Self { inner, flight: Some(flight) }
    }

    /// Asks the signer. A proof is worth nothing after its slot, and the next wake begins anew.
    pub(super) async fn run(self, next_wake: Deadline) {
        let Some(flight) = &self.flight else { return };
        let Message { slot, selection } = flight.message;
        let end_of_slot = self.inner.until(slot, self.inner.clock.slot_duration());
        let deadline = next_wake.min(Deadline::within(end_of_slot));
        if deadline.remaining().is_zero() {
            return;
        }
        let batch = ProofBatch {
            slot,
            selection,
            fork_info: self.inner.chain.fork_info(slot),
            keys: flight.keys.clone(),
        };
        let asked = self.inner.signer.selection_proofs(&batch, deadline);
        // A signer that does not keep to its deadline must not hold up the next wake.
        let results =
            timeout_at(deadline.instant() + FIRST_PAUSE, asked).await.unwrap_or_else(|_| {
                batch.keys.iter().map(|_| Err(SignError::DeadlinePassed)).collect()
            });
        let inner = self.inner.clone();
        let settled = self.settle(results);
        inner.counters.made.fetch_add(settled.made, Ordering::Relaxed);
        inner.counters.failed.fetch_add(settled.failed, Ordering::Relaxed);
        if settled.failed > 0 {
            tracing::warn!(
                slot = slot.0,
                failed = settled.failed,
                made = settled.made,
                "selection proofs could not be made and stay queued"
            );
        }
    }

    /// Gives the results to the queue.
    pub(super) fn settle(mut self, results: KeyResults) -> Settled {
        self.flight
            .take()
            .map(|flight| self.inner.queue.lock().settle(&flight, results))
            .unwrap_or_default()
    }
}
