//! The aggregation service: takes submissions, hands groups to its threads, keeps the results.
//!
//! Bodies are read on one thread of low priority, groups are proved on others; none of them ever
//! signs or sees a key.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use signer_client::wire::Slot;
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    answers::{Accepted, LaneStatus, NoGroup, NoJob, Status, SubmitError},
    dispatch::{Cancelled, Dispatcher},
    intake::{Intake, NotTaken},
    job::{DropReason, Ending, GroupToSign},
    point_cache::Points,
    prover::{BlsProver, Prover},
    shared::{MAX_LANES, Shared, State},
    signing::GroupSigner,
    snapshot::{Format, JobId, SignWish},
    store::{Event, Job, Retention, Store},
    tables::Tables,
    view::{JobView, Json},
    worker,
};
use crate::{
    audit::Client,
    duty::{Network, NetworkClock},
    telemetry::metrics::Metrics,
};

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
        let arrived = Instant::now();
        let reading = move || {
            let submission = shared.read(body.as_ref(), format);
            drop(body);
            let accepted =
                submission.and_then(|submission| shared.submit(submission, client, arrived));
            // Nobody is left to tell when the client went away; the job stands.
            let _ = answer.send(accepted);
        };
        let taken = match self.intake.run(Box::new(reading)) {
            Ok(()) => answered.await.unwrap_or(Err(SubmitError::Internal)),
            Err(NotTaken::Full) => Err(SubmitError::Overloaded),
            Err(NotTaken::Closed) => Err(SubmitError::Stopping),
        };
        if let Err(error) = &taken {
            self.shared.metrics.aggregation_refused(error.as_refusal());
            tracing::debug!(%error, "an aggregation job was not taken");
        }
        taken
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
        let (mut changes, mut is_over) =
            self.shared.look(id, |job| (job.watch(), job.state.ending().is_some()))?;
        while !is_over && tokio::time::timeout_at(until, changes.changed()).await.is_ok() {
            is_over = self.shared.look(id, |job| job.state.ending().is_some())?;
        }
        self.shared.look(id, Job::view)
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
    ) -> Result<Vec<(usize, Event, Option<Json>)>, NoJob> {
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
            Ok(job.group_to_sign(result, wish))
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
        let with_slot = |job: Option<JobId>| {
            let job = state.store.get(job?)?;
            Some((job.id, Slot(job.slot)))
        };
        let lanes = state.dispatcher.lanes().map(|(name, running, pending)| LaneStatus {
            name: name.to_owned(),
            running: with_slot(running),
            pending: with_slot(pending),
        });
        Status {
            lanes: lanes.collect(),
            jobs: state.store.len(),
            tables: self.shared.tables.len(),
            cached_keys,
            cached_signatures,
            threads: self.shared.options.threads.get(),
            counts: self.shared.metrics.aggregation_counts(),
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
