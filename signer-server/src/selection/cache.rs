//! What is ready, what is being made, and what waits for a quiet moment.
//!
//! Invariants: a proof is in at most one of the three; at most `capacity` are ready and at most
//! `capacity` are in the backlog; a ready proof's slot has not passed and its key is loaded.
//!
//! The lock guards ordered maps and is held for microseconds: whoever has many proofs to look at
//! lets go of it in between.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use signer_client::wire::{PublicKey, Signature, Slot};

use super::{Progress, ProofCacheOptions, ProofId, ProofMaker, ProofOrigin};
use crate::{audit::Client, duty::Duty};

/// How much earlier than its job's deadline a proof must be needed for a second job to be worth its
/// cost. Deadlines of the same slot differ by milliseconds.
const WORTH_HURRYING: Duration = Duration::from_secs(1);

/// Proofs that are looked at before the lock is free for others again.
const UNDER_ONE_LOCK: usize = 256;

/// How a request found its proof, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofLookup {
    /// It was ready.
    Hit,
    /// It had to be made.
    Miss,
    /// It was being made.
    Wait,
}

/// What a request that needs a proof finds.
pub enum Found {
    /// The proof, and how long ago it was made.
    Ready(Signature, Duration),
    /// Another job makes it.
    Making {
        /// To wait for it.
        progress: Progress,
        /// That job is queued behind much that is less urgent: queue one more job that makes it.
        hurry: Option<Arc<ProofMaker>>,
    },
    /// Nobody makes it: the caller queues a job that does. If it was in the backlog, it is no more.
    Missing(Arc<ProofMaker>),
}

impl Found {
    /// The label for it.
    pub fn lookup(&self) -> ProofLookup {
        match self {
            Self::Ready(..) => ProofLookup::Hit,
            Self::Making { .. } => ProofLookup::Wait,
            Self::Missing(_) => ProofLookup::Miss,
        }
    }
}

/// Who asked ahead for the proofs of a slot, and what they sign.
#[derive(Debug)]
pub struct Order {
    /// For the audit.
    pub client: Client,
    /// The same for all keys.
    pub duty: Duty,
}

/// A proof from the backlog, to be made now.
pub struct Taken {
    /// Who asked.
    pub order: Arc<Order>,
    /// Makes it.
    pub maker: Arc<ProofMaker>,
}

/// How many proofs of a pre-request will be made, and how many are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Will be made.
    pub accepted: usize,
    /// Of those, are in the backlog only since now.
    pub queued: usize,
    /// Are ready.
    pub cached: usize,
}

/// The backlog has no room for so many proofs. Nothing was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} selection proofs wait to be made, and there is room for {capacity}")]
pub struct BacklogFull {
    /// Those that wait.
    pub waiting: usize,
    /// Most that may wait.
    pub capacity: usize,
}

/// Every proof that is known or on its way.
pub struct ProofCache {
    options: ProofCacheOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: BTreeMap<ProofId, Ready>,
    /// As many as may wait for the signing threads at most.
    making: HashMap<ProofId, Making>,
    backlog: BTreeMap<ProofId, Arc<Order>>,
}

struct Ready {
    signature: Signature,
    made_at: Instant,
}

/// What an entry takes at most, in bytes: nodes of a B-tree have 11 places, of which at least 5 are
/// taken, and some words of their own.
const fn at_most_bytes(entry: usize) -> usize {
    entry * 11 / 5 + 32
}

// As [`ProofCacheOptions::capacity`] and the option's help promise.
const _: () = assert!(at_most_bytes(size_of::<ProofId>() + size_of::<Ready>()) <= 512);
const _: () = assert!(at_most_bytes(size_of::<ProofId>() + size_of::<Arc<Order>>()) <= 256);

struct Making {
    maker: Weak<ProofMaker>,
    progress: Progress,
    /// Of the most urgent job that makes it.
    deadline: Instant,
}

impl ProofCache {
    /// An empty cache.
    pub fn new(options: ProofCacheOptions) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default() })
    }

    /// The present slot, if the network's genesis time is known.
    pub fn current_slot(&self) -> Option<Slot> {
        (self.options.now)()
    }

    /// How many slots after the present one are kept.
    pub fn max_slots_ahead(&self) -> u64 {
        self.options.max_slots_ahead
    }

    /// Most proofs that are kept, and most that one pre-request may ask for.
    pub fn capacity(&self) -> usize {
        self.options.capacity
    }

    /// Whether the slot is over. Never without a clock.
    pub(super) fn has_passed(&self, slot: Slot) -> bool {
        self.current_slot().is_some_and(|now| slot < now)
    }

    fn may_keep(&self, slot: Slot) -> bool {
        self.current_slot()
            .is_some_and(|now| now <= slot && slot.0 - now.0 <= self.options.max_slots_ahead)
    }

    /// Finds the proof that a request needs before `deadline`, or has the caller make it.
    pub fn find(self: &Arc<Self>, id: ProofId, deadline: Instant, origin: ProofOrigin) -> Found {
        let mut state = self.state.lock();
        self.drop_passed(&mut state);
        if let Some(Ready { signature, made_at }) = state.ready.get(&id) {
            return Found::Ready(*signature, made_at.elapsed());
        }
        if let Some(making) = state.making.get_mut(&id) {
            let is_earlier =
                deadline.checked_add(WORTH_HURRYING).is_some_and(|then| then < making.deadline);
            // The most urgent job may be over undone; the one it was to pass still waits.
            let is_urgent = is_earlier || making.deadline < Instant::now();
            let hurry = is_urgent.then(|| making.maker.upgrade()).flatten();
            if hurry.is_some() {
                making.deadline = deadline;
            }
            return Found::Making { progress: making.progress.clone(), hurry };
        }
        if state.backlog.remove(&id).is_some() {
            self.show(&state);
        }
        Found::Missing(self.begin(&mut state, id, deadline, origin))
    }

    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        id: ProofId,
        deadline: Instant,
        origin: ProofOrigin,
    ) -> Arc<ProofMaker> {
        let maker = ProofMaker::new(Arc::clone(self), id, origin);
        let progress = maker.progress();
        state.making.insert(id, Making { maker: Arc::downgrade(&maker), progress, deadline });
        maker
    }

    /// The job that was to hurry a proof has found no room: the next request may try again.
    pub fn not_hurried(&self, id: &ProofId, deadline: Instant) {
        if let Some(making) = self.state.lock().making.get_mut(id) {
            making.deadline = making.deadline.max(deadline + 2 * WORTH_HURRYING);
        }
    }

    /// Takes in proofs to be made in the background: all of them or none.
    ///
    /// # Errors
    /// When the backlog has no room for those that are not there yet.
    pub fn order(&self, wanted: &[(ProofId, Arc<Order>)]) -> Result<Accepted, BacklogFull> {
        let (mut accepted, mut added) = (Accepted::default(), Vec::new());
        for part in wanted.chunks(UNDER_ONE_LOCK) {
            let mut state = self.state.lock();
            self.drop_passed(&mut state);
            for (id, order) in part {
                if state.ready.contains_key(id) {
                    accepted.cached += 1;
                    continue;
                }
                accepted.accepted += 1;
                if state.making.contains_key(id) || state.backlog.contains_key(id) {
                    continue;
                }
                let (waiting, capacity) = (state.backlog.len(), self.options.capacity);
                if waiting >= capacity {
                    drop(state);
                    self.withdraw(&added);
                    return Err(BacklogFull {
                        waiting: waiting - added.len().min(waiting),
                        capacity,
                    });
                }
                state.backlog.insert(*id, Arc::clone(order));
                added.push(*id);
            }
            self.show(&state);
        }
        accepted.queued = added.len();
        Ok(accepted)
    }

    /// Takes proofs back out of the backlog.
    fn withdraw(&self, ids: &[ProofId]) {
        for part in ids.chunks(UNDER_ONE_LOCK) {
            let mut state = self.state.lock();
            for id in part {
                state.backlog.remove(id);
            }
            self.show(&state);
        }
    }

    /// Takes at most `count` proofs out of the backlog, the nearest slots first, to be made by jobs
    /// with that deadline. Empty when there are none.
    pub fn take(self: &Arc<Self>, count: usize, deadline: Instant) -> Vec<Taken> {
        let mut state = self.state.lock();
        self.drop_passed(&mut state);
        let mut taken = Vec::new();
        while taken.len() < count {
            let Some((id, order)) = state.backlog.pop_first() else { break };
            let maker = self.begin(&mut state, id, deadline, ProofOrigin::Background);
            taken.push(Taken { order, maker });
        }
        self.show(&state);
        taken
    }

    /// Puts proofs back that were taken and found no room.
    pub fn put_back(&self, taken: Vec<Taken>) {
        for Taken { order, maker } in taken {
            let id = *maker.id();
            // Ends its being made first: a proof is in one place.
            drop(maker);
            let mut state = self.state.lock();
            let is_elsewhere = state.ready.contains_key(&id) || state.making.contains_key(&id);
            if is_elsewhere || self.has_passed(id.slot()) {
                continue;
            }
            state.backlog.insert(id, order);
            // Others may have taken the room meanwhile.
            if state.backlog.len() > self.options.capacity {
                state.backlog.pop_last();
                self.options.metrics.proof_evicted();
            }
        }
        self.show(&self.state.lock());
    }

    /// Drops everything of keys that can't sign any more. Call it after they have left the
    /// registry.
    pub fn forget(&self, keys: &[PublicKey]) {
        if keys.is_empty() {
            return;
        }
        let keys: HashSet<_> = keys.iter().collect();
        // What is being made now is not kept: its key is not loaded when it ends.
        self.remove_keys(&keys, |state| &mut state.ready);
        self.remove_keys(&keys, |state| &mut state.backlog);
        self.show(&self.state.lock());
    }

    /// Walks over one of the maps, some proofs at a time, and removes those of `keys`.
    fn remove_keys<V>(
        &self,
        keys: &HashSet<&PublicKey>,
        map: impl Fn(&mut State) -> &mut BTreeMap<ProofId, V>,
    ) {
        let mut from = Bound::Unbounded;
        loop {
            let mut state = self.state.lock();
            let map = map(&mut state);
            let part: Vec<_> = map
                .range((from, Bound::Unbounded))
                .map(|(id, _)| *id)
                .take(UNDER_ONE_LOCK)
                .collect();
            for id in part.iter().filter(|id| keys.contains(id.key())) {
                map.remove(id);
            }
            match part.last() {
                Some(last) => from = Bound::Excluded(*last),
                None => return,
            }
        }
    }

    /// Keeps a proof that was made.
    pub(super) fn finish(&self, id: &ProofId, signature: Signature, origin: ProofOrigin) {
        let metrics = &self.options.metrics;
        metrics.proof_made(origin);
        let mut state = self.state.lock();
        self.drop_passed(&mut state);
        state.making.remove(id);
        if origin == ProofOrigin::Background && self.has_passed(id.slot()) {
            metrics.proofs_late(1);
        }
        // Asked under the lock: a key that is removed later is forgotten later.
        if self.may_keep(id.slot()) && (self.options.is_loaded)(id.key()) {
            state.ready.insert(*id, Ready { signature, made_at: Instant::now() });
            if state.ready.len() > self.options.capacity {
                // The one that is needed last.
                state.ready.pop_last();
                metrics.proof_evicted();
            }
        }
        self.show(&state);
    }

    /// A proof will not be made by those who were to make it.
    pub(super) fn give_up(&self, id: &ProofId, origin: ProofOrigin) {
        self.state.lock().making.remove(id);
        if origin == ProofOrigin::Background && self.has_passed(id.slot()) {
            self.options.metrics.proofs_late(1);
        }
    }

    /// Drops what belongs to slots that are over.
    fn drop_passed(&self, state: &mut State) {
        let Some(now) = self.current_slot() else { return };
        let is_passed = |first: Option<&ProofId>| first.is_some_and(|id| id.slot() < now);
        let mut has_changed = false;
        while is_passed(state.ready.first_key_value().map(|(id, _)| id)) {
            state.ready.pop_first();
            has_changed = true;
        }
        let mut late = 0;
        while is_passed(state.backlog.first_key_value().map(|(id, _)| id)) {
            state.backlog.pop_first();
            late += 1;
        }
        if late > 0 {
            self.options.metrics.proofs_late(late);
        }
        if has_changed || late > 0 {
            self.show(state);
        }
    }

    fn show(&self, state: &State) {
        self.options.metrics.proofs_held(state.ready.len(), state.backlog.len());
    }

    /// Numbers of proofs: ready, being made, in the backlog.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.ready.len(), state.making.len(), state.backlog.len())
    }
}
