//! What the threads of the service share: the jobs, whose turn it is, and how a job passes from
//! state to state.
//!
//! One lock guards dispatcher and store, and is never held while something is read, proved or signed.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::{
    answers::{Accepted, NoJob, SubmitError},
    dispatch::{Dispatcher, Next, Request, Submitted},
    job::{DropReason, Ending, GroupResult, GroupStatus, JobState},
    point_cache::Points,
    service::AggregationOptions,
    signing::{AwaitsSignatures, GroupSigner, SigningWork},
    snapshot::{
        Deadline, Delivery, Format, JobId, MAX_DEADLINE_MS, OnBusy, Snapshot, Submission,
        Surroundings, read,
    },
    store::{Found, Job, Store},
    tables::Tables,
};
use crate::{
    audit::Client,
    clock,
    duty::{Network, NetworkClock},
    telemetry::metrics::{AggregationDrop, Metrics},
};

/// Most lanes that have something to do at a time. Each holds at most two snapshots.
pub(super) const MAX_LANES: usize = 8;

/// How far a job's slot may lie before the present one, in slots.
const SLOTS_BEHIND: u64 = 64;
/// And after it.
const SLOTS_AHEAD: u64 = 2;

/// What its threads share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Something may be there to do.
    pub(super) work: Condvar,
    pub(super) points: Points,
    pub(super) tables: Tables,
    pub(super) network: Network,
    pub(super) clock: Option<NetworkClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) options: AggregationOptions,
    pub(super) signer: Option<Arc<dyn GroupSigner>>,
    pub(super) runtime: Handle,
}

pub(super) struct State {
    pub(super) dispatcher: Dispatcher<JobId, Instant>,
    pub(super) store: Store,
}

/// A group to be proved.
pub(super) struct Task {
    pub(super) job: JobId,
    pub(super) group: usize,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) deadline: Instant,
    pub(super) is_cancelled: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn read(&self, body: &[u8], format: Format) -> Result<Submission, SubmitError> {
        let surroundings = Surroundings {
            network: &self.network,
            window: self.window(),
            tables: &self.tables,
            can_sign: self.signer.is_some(),
        };
        Ok(read(body, format, &surroundings)?)
    }

    fn window(&self) -> Option<RangeInclusive<u64>> {
        let now = self.clock?.slot_at(now_unix_ms())?.0;
        Some(now.saturating_sub(SLOTS_BEHIND)..=now.saturating_add(SLOTS_AHEAD))
    }

    pub(super) fn submit(
        &self,
        submission: Submission,
        client: Client,
        arrived: Instant,
    ) -> Result<Accepted, SubmitError> {
        let Submission { id, snapshot, delivery } = submission;
        let Delivery { deadline, lane, on_busy } = delivery;
        let now = Instant::now();
        let deadline = match deadline {
            // Bodies wait for each other to be read, and nobody knows that but the clock.
            None => arrived + self.options.deadline,
            Some(Deadline::After(after)) => arrived + after,
            Some(Deadline::AtUnixMs(at)) => {
                now + Duration::from_millis(at.saturating_sub(now_unix_ms()))
                    .min(Duration::from_millis(MAX_DEADLINE_MS))
            }
        };
        let mut state = self.state.lock();
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
        state.store.insert(Job::new(id, Arc::new(snapshot), lane, client, arrived, deadline));
        let position = if let Submitted::Pending { position, displaced } = submitted {
            if let Some(displaced) = displaced {
                let ending = Ending::Dropped(DropReason::Superseded { by: id });
                self.end(&mut state, displaced, ending);
            }
            self.work.notify_one();
            Some(position)
        } else {
            self.end(&mut state, id, Ending::Dropped(DropReason::Stale));
            None
        };
        let view = state.store.get(id).map(Job::view).ok_or(SubmitError::Internal)?;
        Ok(Accepted { id, is_known: false, position, view })
    }

    pub(super) fn look<R>(&self, id: JobId, with: impl FnOnce(&Job) -> R) -> Result<R, NoJob> {
        match self.state.lock().store.find(id, Instant::now()) {
            Found::Here(job) => Ok(with(job)),
            Found::Evicted(ending) => Err(NoJob::Evicted(ending)),
            Found::Unknown => Err(NoJob::Unknown),
        }
    }

    /// Waits for a group to prove; `None` when there will be none any more.
    pub(super) fn next_task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            match state.dispatcher.next(now) {
                Some(Next::Expired { job }) => {
                    self.end(&mut state, job, Ending::ExpiredBeforeStart);
                }
                Some(Next::Group { job: id, group }) => {
                    // Other threads may take further groups of it, or another lane's.
                    self.work.notify_one();
                    let Some(job) = state.store.get_mut(id) else { continue };
                    if job.started.is_none() {
                        job.started = Some(now);
                        job.enter(JobState::Running);
                        self.metrics.aggregation_started(now - job.submitted);
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
                None => self.work.wait(&mut state),
            }
        }
    }

    /// A group is proved, in whatever way.
    pub(super) fn finish_group(self: &Arc<Self>, task: &Task, result: GroupResult) {
        let mut state = self.state.lock();
        if let Some(job) = state.store.get_mut(task.job) {
            job.finish_group(Arc::new(result));
        }
        if !state.dispatcher.group_finished(task.job) {
            return;
        }
        let to_sign = self.finish_job(&mut state, task);
        self.work.notify_one();
        // Whoever waits for signatures takes the lock when it is dropped, which a runtime that has
        // ended does at once.
        drop(state);
        let Some((signer, work, ending)) = to_sign else { return };
        let waiting = AwaitsSignatures::new(self.clone(), task.job, ending, &work);
        self.runtime.spawn(async move {
            let answers = signer.sign(work).await;
            waiting.answered(&answers);
        });
    }

    /// Ends a job, or tells what is to be signed before it ends, and how it does.
    fn finish_job(
        &self,
        state: &mut State,
        task: &Task,
    ) -> Option<(Arc<dyn GroupSigner>, SigningWork, Ending)> {
        let job = state.store.get_mut(task.job)?;
        let statuses = || job.results.iter().flatten().map(|result| result.status);
        let was_cancelled = task.is_cancelled.load(Ordering::Relaxed)
            && statuses().any(|status| status == GroupStatus::Cancelled);
        let ending = Ending::of(statuses(), was_cancelled);
        let groups = job.groups_to_sign(&task.snapshot);
        let Some(signer) = self.signer.clone().filter(|_| !groups.is_empty() && !was_cancelled)
        else {
            self.end(state, task.job, ending);
            return None;
        };
        job.enter(JobState::Signing);
        // Signing may take long, and its lane is free: jobs that are signed must not pile up with
        // all that was submitted.
        job.snapshot = None;
        Some((signer, SigningWork { client: job.client.clone(), groups }, ending))
    }

    /// Ends a job and counts how.
    pub(super) fn end(&self, state: &mut State, id: JobId, ending: Ending) {
        let now = Instant::now();
        let Some(job) = state.store.end(id, ending, now) else { return };
        self.metrics.aggregation_ended(
            ending,
            job.started.map(|started| now.saturating_duration_since(started)),
            signed_seconds(now, job.deadline),
        );
        tracing::debug!(job = %id, %ending, "an aggregation job ended");
    }
}

/// Seconds from one time to another; negative when it lies before.
fn signed_seconds(from: Instant, to: Instant) -> f64 {
    if to >= from { (to - from).as_secs_f64() } else { -(from - to).as_secs_f64() }
}

fn now_unix_ms() -> u64 {
    clock::now_unix_micros().max(0).cast_unsigned() / 1000
}
