//! The task that has proofs made, and the look-up.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout_at},
};

use super::{
    Chain, OptionsError, SchedulerOptions, SlotClock,
    clock::{Moment, start_of},
    queue::{Found, Message, Queue, Waiting},
};
use crate::{
    client::{Deadline, RemoteSigner, Selection, SignError},
    wire::{Epoch, PublicKey, Signature, Slot},
};

mod departure;

use departure::Departure;

/// For how many slots after its own a proof is kept: a late look-up still finds it.
const SLOTS_KEPT: u64 = 2;
/// First pause before a failed proof that is needed soon is asked for again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A duty was given for a slot outside of the epoch that it was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot} is not in epoch {epoch}")]
pub struct DutyOutsideEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// The slot of the duty.
    pub slot: Slot,
}

/// What a scheduler has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerStats {
    /// Proofs made ahead of need.
    pub made: u64,
    /// Proofs that a request ahead of need did not bring.
    pub failed: u64,
    /// Look-ups answered from memory.
    pub hits: u64,
    /// Look-ups answered by a request that was under way.
    pub waited: u64,
    /// Look-ups that needed a request of their own.
    pub immediate: u64,
    /// Proofs that wait or are under way now.
    pub pending: usize,
    /// Proofs in memory now.
    pub kept: usize,
}

#[derive(Default)]
struct Counters {
    made: AtomicU64,
    failed: AtomicU64,
    hits: AtomicU64,
    waited: AtomicU64,
    immediate: AtomicU64,
}

/// Has selection proofs made ahead of need and keeps them until their slot has passed.
///
/// Give it the duties whenever they are known or have changed, and ask it for proofs. Its task ends
/// when it is dropped. It keeps about 200 bytes for each duty of the epochs it was told of.
pub struct SelectionProofScheduler {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl fmt::Debug for SelectionProofScheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SelectionProofScheduler")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Drop for SelectionProofScheduler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SelectionProofScheduler {
    /// Starts the task; needs a tokio runtime.
    ///
    /// # Errors
    /// See [`OptionsError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        signer: Arc<dyn RemoteSigner>,
        clock: Arc<dyn SlotClock>,
        chain: Chain,
        options: SchedulerOptions,
    ) -> Result<Self, OptionsError> {
        options.check()?;
        let inner = Arc::new(Inner {
            signer,
            clock,
            chain,
            options,
            queue: Mutex::default(),
            news: Notify::new(),
            counters: Counters::default(),
        });
        let task = tokio::spawn(Inner::run(inner.clone()));
        Ok(Self { inner, task })
    }

    /// Makes these the attestation duties of an epoch: who attests in which slot. May be called
    /// again with other duties, or the same; proofs that were made are not made again.
    ///
    /// # Errors
    /// [`DutyOutsideEpoch`]; nothing is changed then.
    pub fn set_attester_duties(
        &self,
        epoch: Epoch,
        duties: impl IntoIterator<Item = (PublicKey, Slot)>,
    ) -> Result<(), DutyOutsideEpoch> {
        let slots = self.inner.chain.slots_of(epoch);
        let wanted = duties
            .into_iter()
            .map(|(key, slot)| {
                let message = Message { slot, selection: Selection::Attestation };
                slots
                    .contains(&slot.0)
                    .then_some((message, key))
                    .ok_or(DutyOutsideEpoch { epoch, slot })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let of_kind = |selection| matches!(selection, Selection::Attestation);
        self.inner.replace(epoch, of_kind, wanted);
        Ok(())
    }

    /// Makes these the sync committee duties of an epoch: who sits in which subcommittee, in every
    /// slot of the epoch. As [`Self::set_attester_duties`] otherwise.
    pub fn set_sync_duties(
        &self,
        epoch: Epoch,
        duties: impl IntoIterator<Item = (PublicKey, u64)>,
    ) {
        let slots = self.inner.chain.slots_of(epoch);
        let wanted = duties
            .into_iter()
            .flat_map(|(key, subcommittee_index)| {
                let selection = Selection::SyncCommittee { subcommittee_index };
                slots.clone().map(move |slot| (Message { slot: Slot(slot), selection }, key))
            })
            .collect();
        let of_kind = |selection| matches!(selection, Selection::SyncCommittee { .. });
        self.inner.replace(epoch, of_kind, wanted);
    }

    /// Forgets a key, with its duties and its proofs.
    pub fn remove_key(&self, key: &PublicKey) {
        self.inner.queue.lock().remove_key(key);
    }

    /// The proof of an attester for its slot: from memory, or from the request that it is under way
    /// in, or by a request of its own at once.
    ///
    /// # Errors
    /// When the signer gives none by the end of the slot, or for a slot's length when that is far.
    pub async fn proof(&self, key: &PublicKey, slot: Slot) -> Result<Signature, SignError> {
        self.inner.proof(Message { slot, selection: Selection::Attestation }, key).await
    }

    /// The proof of a member of a sync subcommittee, as [`Self::proof`].
    ///
    /// # Errors
    /// As [`Self::proof`].
    pub async fn sync_proof(
        &self,
        key: &PublicKey,
        slot: Slot,
        subcommittee_index: u64,
    ) -> Result<Signature, SignError> {
        let selection = Selection::SyncCommittee { subcommittee_index };
        self.inner.proof(Message { slot, selection }, key).await
    }

    /// What was done so far.
    pub fn stats(&self) -> SchedulerStats {
        let (pending, kept) = self.inner.queue.lock().counts();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.inner.counters;
        SchedulerStats {
            made: read(&counters.made),
            failed: read(&counters.failed),
            hits: read(&counters.hits),
            waited: read(&counters.waited),
            immediate: read(&counters.immediate),
            pending,
            kept,
        }
    }
}

struct Inner {
    signer: Arc<dyn RemoteSigner>,
    clock: Arc<dyn SlotClock>,
    chain: Chain,
    options: SchedulerOptions,
    queue: Mutex<Queue>,
    /// Duties have changed.
    news: Notify,
    counters: Counters,
}

impl Inner {
    fn replace(
        &self,
        epoch: Epoch,
        of_kind: fn(Selection) -> bool,
        mut wanted: Vec<(Message, PublicKey)>,
    ) {
        let now = self.now().slot;
        wanted.retain(|(message, _)| message.slot >= now);
        let slots = self.chain.slots_of(epoch);
        let slots = Slot(slots.start)..=Slot(slots.end.saturating_sub(1));
        self.queue.lock().replace(slots, of_kind, wanted);
        self.news.notify_one();
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// When in a slot work begins, without the jitter.
    fn offset(&self, slot: Slot) -> Duration {
        let offset = self.chain.offset(slot).unwrap_or(self.options.offset);
        offset.of(self.clock.slot_duration())
    }

    /// Time from now until so far into a slot.
    fn until(&self, slot: Slot, into_slot: Duration) -> Duration {
        let slot_duration = self.clock.slot_duration();
        let then = start_of(slot, slot_duration).saturating_add(into_slot.min(slot_duration));
        then.saturating_sub(self.clock.since_genesis())
    }

    fn new_jitter(&self) -> Duration {
        let most = self.options.jitter.of(self.clock.slot_duration());
        most.mul_f64(crate::client::random_fraction())
    }

    async fn run(self: Arc<Self>) {
        let slot_duration = self.clock.slot_duration();
        let mut served = None;
        let mut jitter = self.new_jitter();
        let mut pause = FIRST_PAUSE;
        loop {
            let slot = self.now().slot;
            let is_served = served == Some(slot);
            let next = if is_served { Slot(slot.0.saturating_add(1)) } else { slot };
            let wait = self.until(next, self.offset(next) + jitter);
            if !is_served && wait.is_zero() {
                served = Some(slot);
                pause = FIRST_PAUSE;
                jitter = self.new_jitter();
                self.wake(slot).await;
                continue;
            }
            // What failed and is needed before the next wake can't wait for it.
            let soon = slot..=Slot(slot.0.saturating_add(1));
            let failed = |waiting| waiting == Waiting::Failed;
            let may_retry = self.queue.lock().has(&soon, failed);
            tokio::select! {
                // Not longer than a slot, because the machine's clock may be set meanwhile.
                () = sleep(wait.min(slot_duration)) => {}
                () = sleep(pause), if may_retry => {
                    pause = (pause * 2).min(slot_duration / 4).max(Duration::from_millis(1));
                    self.fly(soon, 2, failed, next).await;
                }
                () = self.news.notified() => {
                    // Duties for the next slot that come after this slot's wake are late already.
                    if is_served {
                        self.fly(next..=next, 1, |waiting| waiting == Waiting::Fresh, next).await;
                    }
                }
            }
        }
    }

    /// The work of one slot, at its offset.
    async fn wake(self: &Arc<Self>, slot: Slot) {
        self.queue.lock().forget_before(Slot(slot.0.saturating_sub(SLOTS_KEPT)));
        let next = Slot(slot.0.saturating_add(1));
        let ahead = next..=Slot(slot.0.saturating_add(self.options.look_ahead_slots));
        self.fly(ahead, self.options.slots_per_wake, |_| true, next).await;
    }

    /// Has proofs made, and returns when they are, or when the wake of `next` has come.
    async fn fly(
        self: &Arc<Self>,
        slots: RangeInclusive<Slot>,
        most_slots: u64,
        may_take: fn(Waiting) -> bool,
        next: Slot,
    ) {
        let chunk = self.options.chunk_keys;
        let flights = self.queue.lock().take(slots, most_slots, chunk, may_take);
        let next_wake = Deadline::within(self.until(next, self.offset(next)));
        let departures = flights.into_iter().map(|flight| Departure::new(self.clone(), flight));
        // Collected, so that those that never start are released together with the others.
        let departures: Vec<_> = departures.collect();
        stream::iter(departures)
            .for_each_concurrent(self.options.max_in_flight, async |departure| {
                departure.run(next_wake).await;
            })
            .await;
    }

    async fn proof(
        self: &Arc<Self>,
        message: Message,
        key: &PublicKey,
    ) -> Result<Signature, SignError> {
        let slot_duration = self.clock.slot_duration();
        let rest = self.until(message.slot, slot_duration);
        let deadline = Deadline::within(rest.clamp(slot_duration / 4, slot_duration));
        let give_up_waiting =
            deadline.min(Deadline::within(self.options.look_up_patience)).instant();
        let mut has_waited = false;
        let flight = loop {
            let found = self.queue.lock().look_up(message, *key);
            match found {
                Found::Made(proof) => {
                    let counter =
                        if has_waited { &self.counters.waited } else { &self.counters.hits };
                    counter.fetch_add(1, Ordering::Relaxed);
                    return Ok(proof);
                }
                Found::UnderWay(ended) => {
                    has_waited = true;
                    if timeout_at(give_up_waiting, ended).await.is_err() {
                        break None;
                    }
                }
                Found::Taken(flight) => break Some(Departure::new(self.clone(), flight)),
            }
        };
        self.counters.immediate.fetch_add(1, Ordering::Relaxed);
        let request = message.selection.request(message.slot, self.chain.fork_info(message.slot));
        let result = self.signer.sign(key, &request, deadline).await;
        match flight {
            Some(departure) => drop(departure.settle(vec![result.clone()])),
            None => {
                if let Ok(proof) = &result {
                    self.queue.lock().keep(message, key, *proof);
                }
            }
        }
        result
    }
}

#[cfg(test)]
mod tests;
