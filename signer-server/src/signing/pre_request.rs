//! Proofs that a client asks for ahead of their slot.
//!
//! With `wait` they are made like those of ordinary requests, all slots side by side, and handed out
//! slot by slot. Without it they go to the backlog of the proof cache, from which one task feeds the
//! signing threads a few at a time, the nearest slots first, as jobs of the lowest class with a
//! deadline so far away that nothing waits behind them. So a pre-request takes neither time nor room
//! from anything else, and a request that needs a proof of the backlog takes it out and makes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{
    Stream, StreamExt as _,
    future::{join_all, ready},
    stream::{self, FuturesUnordered},
};
use signer_client::wire::{PublicKey, QuotedU64, Slot};
use tokio::{
    sync::mpsc,
    task::{block_in_place, yield_now},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{
    Arrival, BatchItem, LONG_BODY_BYTES, SignError, SigningService, Timings,
    batch::Part,
    proofs::{BegunProofs, PRE_REQUESTED},
    spans,
};
use crate::{
    audit::{Client, Outcome},
    keys::LoadedKey,
    scheduler::{Class, Lost, Overloaded},
    selection::{
        Accepted, BacklogFull, Order, PreRequest, PreRequestError, PreRequestLimits, ProofId,
        ProofOrigin, SlotProofs, Taken, Window,
    },
};

/// Jobs of the backlog that wait for the signing threads at a time: enough to keep many threads
/// busy, and few enough that registrations and exits hardly see them.
const JOBS_AT_A_TIME: usize = 64;

/// Deadline of those jobs: so far that the scheduler never lifts them over other classes.
const NO_HURRY: Duration = Duration::from_hours(24);

/// How long the backlog rests when the queue of its class is full.
const REST: Duration = Duration::from_millis(250);

/// Why a pre-request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum PreRequestRefused {
    /// The body is wrong.
    #[error(transparent)]
    Bad(#[from] PreRequestError),
    /// There is no room for so many signatures, or no time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// There is no room for so many proofs that nobody waits for.
    #[error(transparent)]
    BacklogFull(#[from] BacklogFull),
}

/// What a pre-request came to.
pub enum PreRequested {
    /// The proofs will be made.
    Accepted(Accepted),
    /// The proofs are being made.
    Proofs(BegunSlots),
}

/// The proofs of several slots on their way. Dropping it withdraws what is not made.
pub struct BegunSlots {
    service: Arc<SigningService>,
    slots: Vec<BegunSlot>,
}

struct BegunSlot {
    slot: Slot,
    subcommittee_index: Option<QuotedU64>,
    proofs: BegunProofs,
}

/// The proofs of one slot.
#[derive(Debug)]
pub struct SlotAnswer {
    /// The slot.
    pub slot: Slot,
    /// The subcommittee; `None` for attestations.
    pub subcommittee_index: Option<QuotedU64>,
    /// One for each key, in the order of the request.
    pub proofs: Vec<BatchItem>,
}

/// What was asked for of a key that is not loaded: the identifier, the key, and the rest.
type Unknown = (String, PublicKey, Arc<Order>);

/// The task that works off the backlog: at most one at a time.
#[derive(Default)]
pub(super) struct Background {
    tasks: TaskTracker,
    stopping: CancellationToken,
    is_running: AtomicBool,
}

impl Background {
    pub(super) fn new(tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self { tasks, stopping, is_running: AtomicBool::new(false) }
    }
}

impl BegunSlots {
    /// One future for each slot, in the order of the request, with where its time went.
    pub fn each(self) -> Vec<impl Future<Output = (SlotAnswer, Timings)> + Send + 'static> {
        let Self { service, slots } = self;
        let finish = |BegunSlot { slot, subcommittee_index, proofs }| {
            let service = Arc::clone(&service);
            async move {
                let (proofs, timings) = service.finish_proofs(proofs).await;
                (SlotAnswer { slot, subcommittee_index, proofs }, timings)
            }
            .in_current_span()
        };
        slots.into_iter().map(finish).collect()
    }

    /// The slots in the form of `form`, as soon as each is finished. They are finished whether or
    /// not anybody takes them: a client that reads slowly must not keep the audit's room, for which
    /// others wait. Dropping the stream withdraws what is not made.
    pub fn as_finished<T: Send + 'static>(
        self,
        mut form: impl FnMut(SlotAnswer) -> T + Send + 'static,
    ) -> impl Stream<Item = T> + Send + 'static {
        let tasks = self.service.background.tasks.clone();
        let (sender, receiver) = mpsc::unbounded_channel();
        let slots: FuturesUnordered<_> = self.each().into_iter().collect();
        tasks.spawn(async move {
            let finished = sender.clone();
            let finish = slots.for_each(move |(slot, _)| {
                // Fails only when nobody takes them any more, and then this ends.
                let _ = finished.send(form(slot));
                ready(())
            });
            tokio::select! {
                () = sender.closed() => {}
                () = finish => {}
            }
        });
        stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
    }
}

impl SigningService {
    /// Answers one pre-request. Each proof leaves an audit row when it is made, each unknown key one
    /// at once; a pre-request that is refused for its body leaves one.
    ///
    /// # Errors
    /// When nothing was signed or accepted.
    pub async fn pre_request(
        self: &Arc<Self>,
        client: Client,
        body: &[u8],
        max_keys: usize,
        limit: Option<Duration>,
    ) -> Result<PreRequested, PreRequestRefused> {
        let arrival = Arrival::now(limit);
        let window = self
            .proofs
            .current_slot()
            .map(|now| Window { now, max_slots_ahead: self.proofs.max_slots_ahead() });
        let limits = PreRequestLimits { max_keys, max_proofs: self.proofs.capacity(), window };
        let read = || PreRequest::read(body, &self.network, limits);
        let is_long = body.len() > LONG_BODY_BYTES;
        let read = if is_long { block_in_place(read) } else { read() };
        let done = match read {
            Ok(PreRequest { wait: true, slots }) => {
                let begun = self.begin_slots(&client, slots, arrival).instrument(spans::request());
                return Ok(PreRequested::Proofs(begun.await?));
            }
            Ok(PreRequest { wait: false, slots }) => self
                .accept(&client, slots, window, arrival, is_long)
                .await
                .map(PreRequested::Accepted)
                .map_err(|full| (Outcome::Shed, PreRequestRefused::from(full))),
            Err(error) => Err((Outcome::Malformed, error.into())),
        };
        done.map_err(|(outcome, error)| {
            self.timer(arrival).finish(outcome);
            self.audit.begin(client, "").finish(outcome, Some(error.to_string()));
            error
        })
    }

    /// Queues jobs for all slots, or for none.
    async fn begin_slots(
        self: &Arc<Self>,
        client: &Client,
        slots: Vec<SlotProofs>,
        arrival: Arrival,
    ) -> Result<BegunSlots, Overloaded> {
        let count = slots.iter().map(|slot| slot.keys.len()).sum();
        spans::count_keys(count);
        // Not that of the proofs' own class: a pre-request may take all of it, and behind that proofs
        // would wait which are needed now.
        let mut room = self.audit.wait_for_room(Class::Background, count).await;
        let mut begun: Vec<BegunSlot> = Vec::with_capacity(slots.len());
        for SlotProofs { slot, subcommittee_index, duty, keys } in slots {
            // A slot may have thousands of keys: other requests come in between.
            yield_now().await;
            let deadline = arrival.at + self.lifetime(&duty, arrival.limit);
            let times = (arrival.at, deadline);
            let proofs =
                self.begin_proofs(client, &duty, keys, times, &mut room, ProofOrigin::Ahead);
            match proofs.await {
                Ok(proofs) => begun.push(BegunSlot { slot, subcommittee_index, proofs }),
                Err(overloaded) => {
                    for BegunSlot { proofs, .. } in begun {
                        proofs.shed(overloaded).await;
                    }
                    return Err(overloaded);
                }
            }
        }
        // Only now that there is room for all of them is any made.
        let start = |slot: BegunSlot| BegunSlot { proofs: slot.proofs.start(), ..slot };
        let slots = begun.into_iter().map(start).collect();
        Ok(BegunSlots { service: Arc::clone(self), slots })
    }

    /// Takes proofs into the backlog. Those of slots that have passed are left out: nobody could use
    /// them.
    async fn accept(
        self: &Arc<Self>,
        client: &Client,
        slots: Vec<SlotProofs>,
        window: Option<Window>,
        arrival: Arrival,
        is_long: bool,
    ) -> Result<Accepted, BacklogFull> {
        // Tens of thousands of proofs take tens of milliseconds.
        let take_in = || self.take_in(client, slots, window);
        let (accepted, unknown) = if is_long { block_in_place(take_in) } else { take_in() }?;
        self.work_off_backlog();
        if !unknown.is_empty() {
            let mut room = self.audit.wait_for_room(Class::Background, unknown.len()).await;
            for (identifier, key, order) in unknown {
                let part = self.part(client, &order.duty, (identifier, key), arrival.at, &mut room);
                drop(Self::close(part.ticket, part.timer, Err(SignError::UnknownKey)).await);
            }
        }
        Ok(accepted)
    }

    /// Puts the proofs of known keys into the backlog, and gives back the unknown ones.
    fn take_in(
        &self,
        client: &Client,
        slots: Vec<SlotProofs>,
        window: Option<Window>,
    ) -> Result<(Accepted, Vec<Unknown>), BacklogFull> {
        let (mut wanted, mut unknown) = (Vec::new(), Vec::new());
        for SlotProofs { slot, duty, keys, .. } in slots {
            if window.is_none_or(|window| window.is_after(slot)) {
                continue;
            }
            let order = Arc::new(Order { client: client.clone(), duty });
            for (identifier, key) in keys {
                match ProofId::of(key, &order.duty).filter(|_| self.registry.get(&key).is_some()) {
                    Some(id) => wanted.push((id, Arc::clone(&order))),
                    None => unknown.push((identifier, key, Arc::clone(&order))),
                }
            }
        }
        Ok((self.proofs.order(&wanted)?, unknown))
    }

    /// Sees to it that the backlog is being worked off.
    pub(super) fn work_off_backlog(self: &Arc<Self>) {
        if self.background.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let service = Arc::clone(self);
        self.background.tasks.spawn(async move {
            loop {
                let running = Running(&service.background.is_running);
                service.feed_signing_threads().await;
                drop(running);
                // What came after the last look, and found the task still running.
                let is_done = service.background.stopping.is_cancelled()
                    || service.proofs.sizes().2 == 0
                    || service.background.is_running.swap(true, Ordering::AcqRel);
                if is_done {
                    return;
                }
            }
        });
    }

    /// Makes what is in the backlog, until it is empty or the signer stops.
    async fn feed_signing_threads(&self) {
        // More than that would never find room.
        let jobs_at_a_time = JOBS_AT_A_TIME.min(self.scheduler.bound(Class::Background));
        loop {
            let stopping = self.background.stopping.cancelled();
            // Before anything is taken, so that what waits for the audit stays in the backlog.
            let room = self.audit.wait_for_room(Class::Background, jobs_at_a_time);
            let mut room = tokio::select! {
                biased;
                () = stopping => return,
                room = room => room,
            };
            let arrived = Instant::now();
            let deadline = arrived + NO_HURRY;
            let taken = self.proofs.take(jobs_at_a_time, deadline);
            if taken.is_empty() {
                return;
            }
            // A key that has left since: what is dropped here is looked for afresh by who waits.
            let held: Vec<(Taken, Arc<LoadedKey>)> = taken
                .into_iter()
                .filter_map(|taken| {
                    let key = self.registry.get(taken.maker.id().key())?;
                    Some((taken, key))
                })
                .collect();
            if held.is_empty() {
                continue;
            }
            let Ok(admission) = self.scheduler.admit(Class::Background, held.len(), deadline)
            else {
                self.proofs.put_back(held.into_iter().map(|(taken, _)| taken).collect());
                drop(room);
                tokio::select! {
                    () = self.background.stopping.cancelled() => return,
                    () = sleep(REST) => continue,
                }
            };
            let (mut works, mut parts) = (Vec::new(), Vec::new());
            for (Taken { order, maker }, key) in held {
                let public_key = key.public_key();
                let named = (public_key.to_string(), public_key);
                let mut part = self.part(&order.client, &order.duty, named, arrived, &mut room);
                let progress = maker.progress();
                match self.clear(&public_key, &order.duty, &mut part.ticket).await {
                    Ok(cleared) => {
                        works.push(self.proof_job(key, maker, cleared));
                        parts.push((part, progress));
                    }
                    Err(error) => {
                        drop(Self::close(part.ticket, part.timer, Err(error.into())).await);
                    }
                }
            }
            let outcomes = admission.run_each(works).finished().await;
            let rows = parts.into_iter().zip(outcomes).map(|((part, progress), outcome)| async {
                let Part { mut ticket, timer, .. } = part;
                ticket.note(PRE_REQUESTED);
                let result = match Self::made(outcome, &mut ticket) {
                    Ok(Some(signature)) => Ok(super::Signed { signature, is_repeat: false }),
                    // A request that could not wait has made it, or its slot is over.
                    Ok(None) => progress
                        .finished()
                        .await
                        .map(|signature| super::Signed { signature, is_repeat: false })
                        .ok_or(SignError::Lost(Lost::Expired)),
                    Err(error) => Err(error),
                };
                drop(Self::close(ticket, timer, result).await);
            });
            join_all(rows).await;
        }
    }
}

/// Says that the task has ended, also when it panicked.
struct Running<'a>(&'a AtomicBool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
