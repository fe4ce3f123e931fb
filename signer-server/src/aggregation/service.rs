//! The aggregation service: takes submissions, hands groups to its threads, keeps the results.
//!
//! Bodies are read on one thread of low priority, groups are proved on others; none of them ever
//! signs or sees a key. One lock guards dispatcher and store, and is never held while something is
//! read, proved or signed.

use std::{
    fmt,
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use signer_client::wire::Slot;
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    dispatch::{Cancelled, Dispatcher, Next, Request, Submitted},
    intake::Intake,
    job::{DropReason, Ending, GroupResult, GroupStatus, GroupToSign, JobState},
    point_cache::Points,
    prover::{BlsProver, Prover},
    snapshot::{
        Deadline, Delivery, Format, JobId, OnBusy, SignWish, Snapshot, SnapshotError, Submission,
        Surroundings, read,
    },
    store::{Event, Found, Job, Retention, Store},
    tables::Tables,
    view::JobView,
    worker,
};
use crate::{
    audit::Client,
    clock,
    duty::{Network, NetworkClock},
    telemetry::metrics::{AggregationDrop, Metrics},
};

/// Most lanes that have something to do at a time. Each holds at most two snapshots.
const MAX_LANES: usize = 8;

/// How far a job's slot may lie before the present one, in slots.
const SLOTS_BEHIND: u64 = 64;
/// And after it.
const SLOTS_AHEAD: u64 = 2;

/// For how many slots the result of a job is kept.
const RETENTION_SLOTS: u32 = 4;

/// How the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationOptions {
    /// Threads that prove.
    pub threads: NonZeroUsize,
    /// Time that a job has, unless it says otherwise.
    pub deadline: Duration,
    /// Most jobs whose results are kept.
    pub max_jobs: usize,
}

/// Signs aggregates that a job asks to be signed: after its groups are proved, outside of the
/// worker, by the ordinary way of a signing request.
pub trait GroupSigner: Send + Sync {
    /// Signs what it is asked for. Each group that has a wish gets one answer, by its place: JSON for
    /// the caller.
    fn sign(&self, work: SigningWork) -> BoxFuture<'static, Vec<(usize, Box<str>)>>;
}

/// The groups of a job, proved, with wishes to sign some of them.
#[derive(Debug)]
pub struct SigningWork {
    /// The job.
    pub job: JobId,
    /// Who submitted it.
    pub client: Client,
    /// The groups and their wishes.
    pub snapshot: Arc<Snapshot>,
    /// Their results. Only an aggregate that is verified may be signed.
    pub results: Vec<Arc<GroupResult>>,
}

/// What became of a submission.
#[derive(Debug)]
pub struct Accepted {
    /// The job.
    pub id: JobId,
    /// Whether the same snapshot was there before.
    pub is_known: bool,
    /// Jobs of its lane before it; `None` if it does not wait.
    pub position: Option<usize>,
    /// As it stands.
    pub view: JobView,
}

/// Why a submission was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is something wrong with it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its lane is busy, and it would rather be refused.
    #[error("the lane is busy: one job runs and one is pending")]
    Busy,
    /// Too many lanes are busy.
    #[error("{MAX_LANES} lanes are busy already")]
    TooManyLanes,
    /// Too many bodies wait to be read.
    #[error("too many submissions wait to be read")]
    Overloaded,
    /// The signer stops.
    #[error("the signer is being stopped")]
    Stopping,
    /// A fault of this program.
    #[error("internal error")]
    Internal,
}

/// A job that is asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoJob {
    /// It is not known.
    #[error("no such job")]
    Unknown,
    /// It is no longer kept.
    #[error("the result is no longer kept; the job ended as {0}")]
    Evicted(Ending),
}

/// A group that is asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGroup {
    /// Its job is not there.
    #[error(transparent)]
    Job(#[from] NoJob),
    /// The job has no such group.
    #[error("group is {group}; the job has {groups}, counted from 0")]
    OutOfRange {
        /// The place that was asked for.
        group: usize,
        /// Number of groups.
        groups: usize,
    },
    /// It has no result yet, or its job did no work.
    #[error("the group is not finished")]
    Unfinished,
}

/// What the service is doing.
#[derive(Debug)]
pub struct Status {
    /// Busy lanes: name, running and pending job.
    pub lanes: Vec<(String, Option<JobId>, Option<JobId>)>,
    /// Jobs that are kept.
    pub jobs: usize,
    /// Tables of public keys.
    pub tables: usize,
    /// Public keys in the cache.
    pub cached_keys: usize,
    /// Signatures in the cache.
    pub cached_signatures: usize,
    /// Threads that prove.
    pub threads: usize,
}

/// The running service. Stop it with [`AggregationService::close`].
pub struct AggregationService {
    shared: Arc<Shared>,
    intake: Intake,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for AggregationService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AggregationService").finish_non_exhaustive()
    }
}

/// What its threads share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something may be there to do.
    work: Condvar,
    pub(super) points: Points,
    tables: Tables,
    network: Network,
    clock: Option<NetworkClock>,
    pub(super) metrics: Arc<Metrics>,
    options: AggregationOptions,
    signer: Option<Arc<dyn GroupSigner>>,
    runtime: Handle,
}

struct State {
    dispatcher: Dispatcher<JobId, Instant>,
    store: Store,
}

/// A group to be proved.
pub(super) struct Task {
    pub(super) job: JobId,
    pub(super) group: usize,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) deadline: Instant,
    pub(super) is_cancelled: Arc<std::sync::atomic::AtomicBool>,
}

impl AggregationService {
    /// Starts the threads. Called inside a runtime.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn start(
        network: Network,
        metrics: Arc<Metrics>,
        options: AggregationOptions,
        signer: Option<Arc<dyn GroupSigner>>,
    ) -> std::io::Result<Self> {
        Self::start_with(network, metrics, options, signer, BlsProver::default)
    }

    /// As [`Self::start`], with a prover for each thread.
    pub(super) fn start_with<P: Prover + 'static>(
        network: Network,
        metrics: Arc<Metrics>,
        options: AggregationOptions,
        signer: Option<Arc<dyn GroupSigner>>,
        prover: impl Fn() -> P + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let slot = Duration::from_millis(network.slot_duration_ms);
        let retention = Retention { jobs: options.max_jobs, time: slot * RETENTION_SLOTS };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                dispatcher: Dispatcher::new(MAX_LANES),
                store: Store::new(retention),
            }),
            work: Condvar::new(),
            points: Points::new(),
            tables: Tables::default(),
            clock: NetworkClock::of(&network),
            network,
            metrics,
            options,
            signer,
            runtime: Handle::current(),
        });
        let intake = Intake::start()?;
        let service = Self { shared: shared.clone(), intake, threads: Mutex::default() };
        for number in 0..options.threads.get() {
            let shared = shared.clone();
            let prover = prover.clone();
            let thread = thread::Builder::new()
                .name(format!("aggregation-{number}"))
                .spawn(move || worker::run(&shared, prover));
            match thread {
                Ok(thread) => service.threads.lock().push(thread),
                Err(error) => {
                    service.close();
                    return Err(error);
                }
            }
        }
        Ok(service)
    }

    /// Reads a body and takes the job. The body is dropped as soon as it is read.
    ///
    /// # Errors
    /// When the job is not taken.
    pub async fn submit(
        &self,
        body: impl AsRef<[u8]> + Send + 'static,
        format: Format,
        client: Client,
    ) -> Result<Accepted, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let shared = self.shared.clone();
        let reading = move || {
            let submission = shared.read(body.as_ref(), format);
            drop(body);
            let accepted = submission.and_then(|submission| shared.submit(submission, client));
            // Nobody is left to tell when the client went away; the job stands.
            let _ = answer.send(accepted);
        };
        self.intake.run(Box::new(reading)).map_err(|_| SubmitError::Overloaded)?;
        answered.await.unwrap_or(Err(SubmitError::Internal))
    }

    /// A job as it stands. With a time to wait: as it stands after its next change, or then.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn job(&self, id: JobId, wait: Duration) -> Result<JobView, NoJob> {
        let (mut changes, view) = self.shared.look(id, |job| (job.watch(), job.view()))?;
        if wait.is_zero() || view.reason.is_some() {
            return Ok(view);
        }
        // A change before the next look counts, one before the first does not.
        let _ = tokio::time::timeout(wait, changes.changed()).await;
        self.shared.look(id, Job::view)
    }

    /// A job once it is over, or as it stands after that time.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn ended_job(&self, id: JobId, wait: Duration) -> Result<JobView, NoJob> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let (mut changes, view) = self.shared.look(id, |job| (job.watch(), job.view()))?;
            if view.reason.is_some() {
                return Ok(view);
            }
            if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                return self.shared.look(id, Job::view);
            }
        }
    }

    /// The events of a job from that number on, waiting for the first of them. Empty when there will
    /// be none any more.
    ///
    /// # Errors
    /// When the job is not there.
    pub async fn events(
        &self,
        id: JobId,
        first: usize,
    ) -> Result<Vec<(usize, Event, Option<Arc<str>>)>, NoJob> {
        loop {
            let (mut changes, events, is_over) = self.shared.look(id, |job| {
                (job.watch(), job.events_from(first), job.state.ending().is_some())
            })?;
            if is_over || !events.is_empty() || changes.changed().await.is_err() {
                return Ok(events);
            }
        }
    }

    /// Cancels a job. True if it is over by now.
    ///
    /// # Errors
    /// When it is not there.
    pub fn cancel(&self, id: JobId) -> Result<(bool, JobView), NoJob> {
        self.shared.look(id, |_| ())?;
        let mut state = self.shared.state.lock();
        let was_over = state.store.get(id).is_none_or(|job| job.state.ending().is_some());
        match state.dispatcher.cancel(id) {
            Cancelled::BeforeStart => self.shared.end(&mut state, id, Ending::Cancelled),
            Cancelled::Running => {
                if let Some(job) = state.store.get(id) {
                    job.is_cancelled.store(true, Ordering::Relaxed);
                }
            }
            Cancelled::Unknown => {}
        }
        let view = state.store.get(id).map(Job::view).ok_or(NoJob::Unknown)?;
        Ok((was_over, view))
    }

    /// A finished group of a job, to be signed. The job itself need not be over.
    ///
    /// # Errors
    /// When there is no such group, or it is not finished.
    pub fn group_to_sign(
        &self,
        id: JobId,
        group: usize,
        wish: SignWish,
    ) -> Result<GroupToSign, NoGroup> {
        self.shared.look(id, |job| {
            let groups = job.results.len();
            let result = job.results.get(group).ok_or(NoGroup::OutOfRange { group, groups })?;
            let result = result.as_ref().ok_or(NoGroup::Unfinished)?;
            Ok(GroupToSign {
                fork_info: job.fork_info,
                fork: job.fork,
                slot: Slot(job.slot),
                subject: result.subject,
                aggregate: result.aggregate.clone(),
                wish,
            })
        })?
    }

    /// The registered tables of public keys.
    pub fn tables(&self) -> &Tables {
        &self.shared.tables
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        let (cached_keys, cached_signatures) = self.shared.points.len();
        let mut state = self.shared.state.lock();
        state.store.evict(Instant::now());
        let lanes = state.dispatcher.lanes();
        Status {
            lanes: lanes
                .map(|(name, running, pending)| (name.to_owned(), running, pending))
                .collect(),
            jobs: state.store.len(),
            tables: self.shared.tables.len(),
            cached_keys,
            cached_signatures,
            threads: self.shared.options.threads.get(),
        }
    }

    /// Takes no more jobs, drops what is pending and cancels what runs: whoever waits for a job gets
    /// its end. Does not wait.
    pub fn begin_stop(&self) {
        let mut state = self.shared.state.lock();
        for job in state.dispatcher.close() {
            self.shared.end(&mut state, job, Ending::Dropped(DropReason::Shutdown));
        }
        let running: Vec<_> =
            state.dispatcher.lanes().filter_map(|(_, running, _)| running).collect();
        for job in running {
            if let Some(job) = state.store.get(job) {
                job.is_cancelled.store(true, Ordering::Relaxed);
            }
        }
        drop(state);
        self.shared.work.notify_all();
    }

    /// Stops and waits for the threads, which takes a few milliseconds.
    pub fn close(&self) {
        self.begin_stop();
        self.intake.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an aggregation thread ended by a panic");
            }
        }
    }
}

impl Drop for AggregationService {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

impl Shared {
    fn read(&self, body: &[u8], format: Format) -> Result<Submission, SubmitError> {
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

    fn submit(&self, submission: Submission, client: Client) -> Result<Accepted, SubmitError> {
        let Submission { id, snapshot, delivery } = submission;
        let Delivery { deadline, lane, on_busy } = delivery;
        let now = Instant::now();
        let deadline = match deadline {
            None => now + self.options.deadline,
            Some(Deadline::After(after)) => now + after,
            Some(Deadline::AtUnixMs(at)) => {
                now + Duration::from_millis(at.saturating_sub(now_unix_ms()))
                    .min(Duration::from_millis(super::snapshot::MAX_DEADLINE_MS))
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
        state.store.insert(Job::new(id, Arc::new(snapshot), lane, client, now, deadline));
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

    fn look<R>(&self, id: JobId, with: impl FnOnce(&Job) -> R) -> Result<R, NoJob> {
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
        if state.dispatcher.group_finished(task.job) {
            self.finish_job(&mut state, task);
            self.work.notify_one();
        }
    }

    fn finish_job(self: &Arc<Self>, state: &mut State, task: &Task) {
        let Some(job) = state.store.get_mut(task.job) else { return };
        let results: Vec<_> = job.results.iter().flatten().cloned().collect();
        let was_cancelled = task.is_cancelled.load(Ordering::Relaxed)
            && results.iter().any(|result| result.status == GroupStatus::Cancelled);
        let ending = Ending::of(results.iter().map(|result| result.status), was_cancelled);
        let wishes = task.snapshot.groups.iter().any(|group| group.sign.is_some());
        let Some(signer) = self.signer.clone().filter(|_| wishes && !was_cancelled) else {
            return self.end(state, task.job, ending);
        };
        job.enter(JobState::Signing);
        let work = SigningWork {
            job: task.job,
            client: job.client.clone(),
            snapshot: task.snapshot.clone(),
            results,
        };
        let (shared, id) = (self.clone(), task.job);
        self.runtime.spawn(async move {
            let answers = signer.sign(work).await;
            let mut state = shared.state.lock();
            if let Some(job) = state.store.get_mut(id) {
                job.signed = answers;
            }
            shared.end(&mut state, id, ending);
        });
    }

    /// Ends a job and counts how.
    fn end(&self, state: &mut State, id: JobId, ending: Ending) {
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
