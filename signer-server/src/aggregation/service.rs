//! The aggregation service: takes submissions, hands groups to its threads, keeps the results.
//!
//! Bodies are read on one thread of low priority, groups are proved on others; none of them ever
//! signs or sees a key.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answers::{Accepted, NoGroup, NoJob, Status, SubmitError},
    intake::{Intake, NotTaken},
    job::GroupToSign,
    jobs::Jobs,
    point_cache::Points,
    prover::{BlsProver, Prover},
    shared::Shared,
    signing::GroupSigner,
    snapshot::{Format, JobId, SignWish},
    store::{Event, Job, Retention},
    tables::Tables,
    view::{JobView, Json},
    worker,
};
use crate::{
    audit::Client,
    duty::{Network, NetworkClock},
    low_priority,
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

/// How work that no request waits for ends with the signer.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// Follows it: threads that prove, and what is being signed of jobs. Whoever stops the signer
    /// says [`AggregationService::begin_stop`] and waits for these before it takes the signer away.
    pub tasks: TaskTracker,
    /// What is not signed when this is cancelled stays unsigned.
    pub cut: CancellationToken,
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
        background: Background,
    ) -> std::io::Result<Self> {
        Self::start_with(network, metrics, options, signer, background, BlsProver::default)
    }

    /// As [`Self::start`], with a prover for each thread.
    pub(super) fn start_with<P: Prover + 'static>(
        network: Network,
        metrics: Arc<Metrics>,
        options: AggregationOptions,
        signer: Option<Arc<dyn GroupSigner>>,
        background: Background,
        prover: impl Fn() -> P + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let slot = Duration::from_millis(network.slot_duration_ms);
        let retention = Retention { jobs: options.max_jobs, time: slot * RETENTION_SLOTS };
        let shared = Arc::new(Shared {
            jobs: Arc::new(Jobs::new(
                options.threads.get(),
                retention,
                metrics.clone(),
                Box::new(Instant::now),
            )),
            points: Points::new(),
            tables: Tables::default(),
            clock: NetworkClock::of(&network),
            network,
            metrics,
            options,
            signer,
            runtime: Handle::current(),
            background,
        });
        let intake = Intake::start()?;
        let service = Self { shared: shared.clone(), intake, threads: Mutex::default() };
        for number in 0..options.threads.get() {
            let shared = shared.clone();
            let prover = prover.clone();
            let followed = shared.background.tasks.token();
            let thread =
                thread::Builder::new().name(format!("aggregation-{number}")).spawn(move || {
                    // Until its end, however it comes.
                    let _followed = followed;
                    low_priority::enter();
                    let Shared { jobs, points, metrics, .. } = &*shared;
                    worker::run(jobs, points, metrics, prover, |signing| {
                        shared.start_signing(signing);
                    });
                });
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
        let (mut changes, view) = self.shared.jobs.look(id, |job| (job.watch(), job.view()))?;
        if wait.is_zero() || view.reason.is_some() {
            return Ok(view);
        }
        // A change before the next look counts, one before the first does not.
        let _ = tokio::time::timeout(wait, changes.changed()).await;
        self.shared.jobs.look(id, Job::view)
    }

    /// A job once it is over, or as it stands after that time.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn ended_job(&self, id: JobId, wait: Duration) -> Result<JobView, NoJob> {
        let until = tokio::time::Instant::now() + wait;
        let (mut changes, mut is_over) =
            self.shared.jobs.look(id, |job| (job.watch(), job.state.ending().is_some()))?;
        while !is_over && let Ok(Ok(())) = tokio::time::timeout_at(until, changes.changed()).await {
            is_over = self.shared.jobs.look(id, |job| job.state.ending().is_some())?;
        }
        self.shared.jobs.look(id, Job::view)
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
            let (mut changes, events, is_over) = self.shared.jobs.look(id, |job| {
                (job.watch(), job.events_from(first), job.state.ending().is_some())
            })?;
            if is_over || !events.is_empty() || changes.changed().await.is_err() {
                return Ok(events);
            }
        }
    }

    /// Cancels a job. True if it was over before.
    ///
    /// # Errors
    /// When it is not there.
    pub fn cancel(&self, id: JobId) -> Result<(bool, JobView), NoJob> {
        self.shared.jobs.cancel(id)
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
        self.shared.jobs.look(id, |job| {
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
        Status {
            lanes: self.shared.jobs.lanes(),
            jobs: self.shared.jobs.len(),
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
        self.shared.jobs.begin_stop();
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
