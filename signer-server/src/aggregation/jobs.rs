//! The jobs behind one lock: which there are, whose turn it is, and how each passes from state to
//! state.
//!
//! The lock guards dispatcher and store, and is never held while something is read, proved or signed,
//! nor while a snapshot is dropped, which takes milliseconds if it is a large one.
//! Invariants: every job that was taken reaches exactly one final state, which is counted; a thread
//! sleeps only while there is nothing that it could do.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use signer_client::wire::Slot;

use super::{
    answers::{Accepted, LaneStatus, NoJob, SubmitError},
    dispatch::{Cancelled, Dispatcher, Next, Request, Submitted},
    job::{DropReason, Ending, GroupResult, GroupStatus, JobState},
    snapshot::{JobId, OnBusy, Snapshot},
    store::{Found, Job, Retention, Store},
    sync::{Condvar, Mutex, MutexGuard},
    task::{Task, Wish, not_signed},
    view::{JobView, Json},
};
use crate::{
    audit::Client,
    telemetry::metrics::{AggregationDrop, Metrics},
};

/// Most lanes that have something to do at a time. Each holds at most two snapshots.
pub(super) const MAX_LANES: usize = 8;

/// Tells the time.
pub(super) type Now = dyn Fn() -> Instant + Send + Sync;

/// The jobs.
pub(super) struct Jobs {
    state: Mutex<State>,
    /// Something may be there to do.
    work: Condvar,
    metrics: Arc<Metrics>,
    now: Box<Now>,
}

struct State {
    dispatcher: Dispatcher<JobId, Instant>,
    store: Store,
}

/// A job as it is submitted.
pub(super) struct NewJob {
    pub(super) id: JobId,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) lane: String,
    pub(super) client: Client,
    pub(super) arrived: Instant,
    pub(super) deadline: Instant,
    pub(super) on_busy: OnBusy,
}

impl Jobs {
    /// For so many threads that ask for tasks.
    pub(super) fn new(
        threads: usize,
        retention: Retention,
        metrics: Arc<Metrics>,
        now: Box<Now>,
    ) -> Self {
        let dispatcher = Dispatcher::new(MAX_LANES, threads);
        let state = State { dispatcher, store: Store::new(retention) };
        Self { state: Mutex::new(state), work: Condvar::new(), metrics, now }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which jobs are started and stopped.
    pub(super) fn now(&self) -> &Now {
        &*self.now
    }

    /// Takes a job, unless the same one is there.
    pub(super) fn submit(&self, new: NewJob) -> Result<Accepted, SubmitError> {
        let NewJob { id, snapshot, lane, client, arrived, deadline, on_busy } = new;
        // Dropped after the lock.
        let mut let_go = Vec::new();
        let mut state = self.lock();
        let now = (self.now)();
        if let Found::Here(job) = state.store.find(id, now) {
            return Ok(Accepted { id, is_known: true, position: None, view: job.view() });
        }
        let request = Request {
            job: id,
            slot: snapshot.slot.0,
            deadline,
            groups: snapshot.groups.len(),
            is_refusable: on_busy == OnBusy::Reject,
        };
        let submitted = state.dispatcher.submit(&lane, request);
        match submitted {
            Submitted::Busy => {
                self.metrics.aggregation_dropped(AggregationDrop::Rejected);
                return Err(SubmitError::Busy);
            }
            Submitted::TooManyLanes => {
                self.metrics.aggregation_dropped(AggregationDrop::Rejected);
                return Err(SubmitError::TooManyLanes);
            }
            Submitted::Closed => {
                self.metrics.aggregation_dropped(AggregationDrop::Shutdown);
                return Err(SubmitError::Stopping);
            }
            Submitted::Pending { .. } | Submitted::Dropped => {}
        }
        self.metrics.aggregation_job_accepted();
        state.store.insert(Job::new(id, snapshot, lane, client, arrived, deadline));
        let position = if let Submitted::Pending { position, displaced } = submitted {
            if let Some(displaced) = displaced {
                let ending = Ending::Dropped(DropReason::Superseded { by: id });
                let_go.extend(self.end(&mut state, displaced, ending));
            }
            self.work.notify_one();
            Some(position)
        } else {
            let_go.extend(self.end(&mut state, id, Ending::Dropped(DropReason::Stale)));
            None
        };
        let view = state.store.get(id).map(Job::view).ok_or(SubmitError::Internal)?;
        Ok(Accepted { id, is_known: false, position, view })
    }

    pub(super) fn look<R>(&self, id: JobId, with: impl FnOnce(&Job) -> R) -> Result<R, NoJob> {
        self.find(&mut self.lock(), id).map(with)
    }

    fn find<'a>(&self, state: &'a mut State, id: JobId) -> Result<&'a Job, NoJob> {
        match state.store.find(id, (self.now)()) {
            Found::Here(job) => Ok(job),
            Found::Evicted(ending) => Err(NoJob::Evicted(ending)),
            Found::Unknown => Err(NoJob::Unknown),
        }
    }

    /// Cancels a job. True if it was over before.
    pub(super) fn cancel(&self, id: JobId) -> Result<(bool, JobView), NoJob> {
        // Dropped after the lock.
        let mut let_go = Vec::new();
        let mut state = self.lock();
        let was_over = self.find(&mut state, id)?.state.ending().is_some();
        match state.dispatcher.cancel(id) {
            Cancelled::BeforeStart => {
                let_go.extend(self.end(&mut state, id, Ending::Cancelled));
            }
            Cancelled::Running => {
                if let Some(job) = state.store.get(id) {
                    job.is_cancelled.store(true, Ordering::Relaxed);
                }
            }
            Cancelled::Unknown => {}
        }
        let view = self.find(&mut state, id)?.view();
        Ok((was_over, view))
    }

    /// Waits for a group to prove; `None` when there will be none any more.
    pub(super) fn next_task(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            let now = (self.now)();
            match state.dispatcher.next(now) {
                Some(Next::Expired { job }) => {
                    let let_go = self.end(&mut state, job, Ending::ExpiredBeforeStart);
                    drop(state);
                    drop(let_go);
                    state = self.lock();
                }
                Some(Next::Group { job: id, group }) => {
                    // Other threads may take further groups of it, or another lane's.
                    self.work.notify_one();
                    let Some(job) = state.store.get_mut(id) else { continue };
                    if job.started.is_none() {
                        job.started = Some(now);
                        job.enter(JobState::Running);
                        self.metrics
                            .aggregation_started(now.saturating_duration_since(job.submitted));
                    }
                    let Some(snapshot) = job.snapshot.clone() else { continue };
                    return Some(Task {
                        job: id,
                        group,
                        snapshot,
                        deadline: job.deadline,
                        is_cancelled: job.is_cancelled.clone(),
                    });
                }
                None if state.dispatcher.is_finished() => {
                    self.work.notify_all();
                    return None;
                }
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// A group is proved, in whatever way. If it was the last of a job that wants something signed,
    /// the job ends when that is done.
    pub(super) fn finish_group(
        self: &Arc<Self>,
        task: &Task,
        result: GroupResult,
    ) -> Option<Signing> {
        let mut state = self.lock();
        if let Some(job) = state.store.get_mut(task.job) {
            job.finish_group(Arc::new(result));
        }
        if !state.dispatcher.group_finished(task.job) {
            return None;
        }
        // Nobody is woken: this thread looks for the next group, which its lane may have, itself.
        self.finish_job(&mut state, task)
    }

    fn finish_job(self: &Arc<Self>, state: &mut State, task: &Task) -> Option<Signing> {
        let job = state.store.get_mut(task.job)?;
        let statuses = || job.results.iter().flatten().map(|result| result.status);
        let was_cancelled = task.is_cancelled.load(Ordering::Relaxed)
            && statuses().any(|status| status == GroupStatus::Cancelled);
        let ending = Ending::of(statuses(), was_cancelled);
        let wishes = job.wishes(&task.snapshot);
        if was_cancelled {
            let why = "the job was cancelled before anything was signed";
            job.signed = wishes.iter().map(|wish| (wish.group, not_signed(why))).collect();
        } else if !wishes.is_empty() {
            job.enter(JobState::Signing);
            // Signing may take long, and its lane is free: jobs that are signed must not pile up with
            // all that was submitted.
            job.snapshot = None;
            let (jobs, client) = (self.clone(), job.client.clone());
            let (started, signed) = ((self.now)(), Vec::new());
            return Some(Signing { jobs, job: task.job, client, wishes, started, signed, ending });
        }
        // The task has it, too.
        drop(self.end(state, task.job, ending));
        None
    }

    fn finish_signing(
        &self,
        id: JobId,
        signed: Vec<(usize, Json)>,
        took: Duration,
        ending: Ending,
    ) {
        self.metrics.aggregation_signed(took);
        let mut state = self.lock();
        if let Some(job) = state.store.get_mut(id) {
            job.signed = signed;
            job.signing_took = Some(took);
        }
        // It had no snapshot any more.
        drop(self.end(&mut state, id, ending));
    }

    /// Ends a job and counts how. Gives back its snapshot, to be dropped without the lock.
    #[must_use]
    fn end(&self, state: &mut State, id: JobId, ending: Ending) -> Option<Arc<Snapshot>> {
        let now = (self.now)();
        let (job, snapshot) = state.store.end(id, ending, now)?;
        self.metrics.aggregation_ended(
            ending,
            job.started.map(|started| now.saturating_duration_since(started)),
            signed_seconds(now, job.deadline),
        );
        tracing::debug!(job = %id, %ending, "an aggregation job ended");
        snapshot
    }

    /// Takes no more jobs, drops what is not started and cancels what runs. Does not wait.
    pub(super) fn begin_stop(&self) {
        // Dropped after the lock.
        let mut let_go = Vec::new();
        let mut state = self.lock();
        for job in state.dispatcher.close() {
            let_go.extend(self.end(&mut state, job, Ending::Dropped(DropReason::Shutdown)));
        }
        let running: Vec<_> =
            state.dispatcher.lanes().filter_map(|(_, running, _)| running).collect();
        for job in running {
            if let Some(job) = state.store.get(job) {
                job.is_cancelled.store(true, Ordering::Relaxed);
            }
        }
        drop(state);
        self.work.notify_all();
    }

    /// The busy lanes.
    pub(super) fn lanes(&self) -> Vec<LaneStatus> {
        let state = self.lock();
        let with_slot = |job: Option<JobId>| {
            let job = state.store.get(job?)?;
            Some((job.id, Slot(job.slot)))
        };
        let lanes = state.dispatcher.lanes().map(|(name, running, pending)| LaneStatus {
            name: name.to_owned(),
            running: with_slot(running),
            pending: with_slot(pending),
        });
        lanes.collect()
    }

    /// How many jobs are kept.
    pub(super) fn len(&self) -> usize {
        let mut state = self.lock();
        state.store.evict((self.now)());
        state.store.len()
    }
}

/// A job that is proved, until what is to be signed of it is signed. When this is dropped the job
/// ends, and a wish that has no answer by then gets one that says so: whatever happens to the signer,
/// nobody waits for the job forever.
pub(super) struct Signing {
    jobs: Arc<Jobs>,
    pub(super) job: JobId,
    pub(super) client: Client,
    pub(super) wishes: Vec<Wish>,
    started: Instant,
    /// The answers that there are, by the place of the group.
    pub(super) signed: Vec<(usize, Json)>,
    ending: Ending,
}

impl Drop for Signing {
    fn drop(&mut self) {
        let mut signed = std::mem::take(&mut self.signed);
        for wish in &self.wishes {
            if signed.iter().all(|(group, _)| *group != wish.group) {
                signed.push((wish.group, not_signed("signing was given up")));
            }
        }
        signed.sort_by_key(|(group, _)| *group);
        let took = (self.jobs.now)().saturating_duration_since(self.started);
        self.jobs.finish_signing(self.job, signed, took, self.ending);
    }
}

/// Seconds from one time to another; negative when it lies before.
fn signed_seconds(from: Instant, to: Instant) -> f64 {
    if to >= from { (to - from).as_secs_f64() } else { -(from - to).as_secs_f64() }
}
