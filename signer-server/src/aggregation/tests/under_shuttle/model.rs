//! The service without what reads, proves and signs, and what must be true of it in the end.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use midslot_aggregation::{Checkpoint, Control, Group, GroupEnd, GroupOutcome, Options};
use parking_lot::Mutex;
use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use signer_client::wire::PublicKey;

use super::{
    super::{
        super::{
            point_cache::Points,
            prover::JobCheckpoint,
            snapshot::{self, OnBusy, SignWish, Snapshot, Surroundings},
            store::{Job, Retention},
            tables::Tables,
            view,
        },
        Ending, Event, Format, JobId, JobState, NoJob, SubmitError, group, job as job_of, network,
    },
    TIME,
    jobs::{Jobs, NewJob, Signing},
    worker,
};
use crate::{audit::Client, telemetry::metrics::Metrics};

/// Threads that the dispatcher counts on: no more than a test has.
const THREADS: usize = 2;

/// Checkpoints of a group.
const STEPS: usize = 3;

/// A snapshot of the model, made once, with its lane.
pub(super) struct Sample {
    pub(super) id: JobId,
    lane: &'static str,
    snapshot: Arc<Snapshot>,
}

/// The first byte of the message of a group whose prover panics; of others it is less.
pub(super) const PANICS: u8 = 100;

/// Of the only group that is to be signed.
pub(super) const SIGNED: u8 = 50;

/// Jobs of two lanes and three slots: some with one group, some with more, some that panic.
pub(super) static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let jobs: [(&str, u64, &[u8]); 7] = [
        ("a", 5, &[1]),
        ("a", 6, &[2, 3]),
        ("a", 7, &[PANICS, 4]),
        ("a", 6, &[PANICS + 1]),
        ("b", 6, &[SIGNED, 5]),
        ("b", 6, &[6, PANICS + 2, 7]),
        ("b", 5, &[8]),
    ];
    let (network, tables) = (network(), Tables::default());
    let surroundings =
        Surroundings { network: &network, window: None, tables: &tables, can_sign: true };
    let sample = |(lane, slot, messages): (&'static str, u64, &[u8])| {
        let groups: Vec<_> = messages.iter().map(|message| group(*message, 1)).collect();
        let body = job_of(slot, &groups).to_string();
        let read = snapshot::read(body.as_bytes(), Format::Json, &surroundings).unwrap();
        let (id, mut snapshot) = (read.id, read.snapshot);
        for group in snapshot.groups.iter_mut().filter(|group| group.inputs.message[0] == SIGNED) {
            group.sign = Some(SignWish {
                aggregator_pubkey: PublicKey([1; 48]),
                aggregator_index: 1,
                selection_proof: None,
                resign: false,
            });
        }
        Sample { id, lane, snapshot: Arc::new(snapshot) }
    };
    jobs.into_iter().map(sample).collect()
});

pub(super) fn sample_of(message: u8) -> &'static Sample {
    let has = |sample: &&Sample| {
        sample.snapshot.groups.iter().any(|group| group.inputs.message[0] == message)
    };
    SAMPLES.iter().find(has).expect("each message is of one sample")
}

/// The service without what reads, proves and signs.
#[derive(Clone)]
pub(super) struct World {
    pub(super) jobs: Arc<Jobs>,
    metrics: Arc<Metrics>,
    /// What was counted before.
    tally: [u64; 3],
    points: Arc<Points>,
    /// Most jobs that are kept.
    kept: usize,
    start: Instant,
    /// Milliseconds since the start.
    pub(super) time: Arc<AtomicU64>,
    pub(super) log: Arc<Mutex<Log>>,
}

#[derive(Default)]
pub(super) struct Log {
    /// Lane and job of each group that is being proved.
    proving: Vec<(&'static str, JobId)>,
    /// What must not be. A panic of a prover would only be another failed group.
    wrong: Vec<String>,
    /// Jobs that were taken, those that came again after they were forgotten as often.
    pub(super) taken: Vec<JobId>,
    refused: usize,
    signers: Vec<thread::JoinHandle<()>>,
}

impl World {
    pub(super) fn new(kept: usize, metrics: &Arc<Metrics>) -> Self {
        let (start, time) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let (tally, metrics) = (metrics.aggregation_tally(), metrics.clone());
        let clock = time.clone();
        let now = move || start + Duration::from_millis(clock.load(Ordering::Relaxed));
        let retention = Retention { jobs: kept, time: Duration::from_millis(TIME / 2) };
        let jobs = Arc::new(Jobs::new(THREADS, retention, metrics.clone(), Box::new(now)));
        let points = Arc::new(Points::new());
        Self { jobs, metrics, tally, points, kept, start, time, log: Arc::default() }
    }

    pub(super) fn submit(&self, sample: &Sample, deadline_ms: u64, on_busy: OnBusy) {
        let submitted = self.jobs.submit(NewJob {
            id: sample.id,
            snapshot: sample.snapshot.clone(),
            lane: sample.lane.to_owned(),
            client: Client::default(),
            arrived: self.start,
            deadline: self.start + Duration::from_millis(deadline_ms),
            on_busy,
        });
        let mut log = self.log.lock();
        match submitted {
            Ok(accepted) if accepted.is_known => {}
            Ok(accepted) => log.taken.push(accepted.id),
            Err(SubmitError::Busy | SubmitError::Stopping) => log.refused += 1,
            Err(error) => log.wrong.push(error.to_string()),
        }
    }

    /// Threads that prove so.
    pub(super) fn workers(
        &self,
        count: usize,
        prove: impl Fn(&Self, &Group, &mut JobCheckpoint<'_>) -> GroupOutcome + Clone + Send + 'static,
    ) -> Vec<thread::JoinHandle<()>> {
        let spawn = |_| {
            let (world, prove) = (self.clone(), prove.clone());
            thread::spawn(move || {
                let World { jobs, metrics, points, .. } = &world;
                let new_prover = || {
                    let (world, prove) = (world.clone(), prove.clone());
                    move |group: &Group,
                          _: Options,
                          _: &Points,
                          checkpoint: &mut JobCheckpoint<'_>| {
                        prove(&world, group, checkpoint)
                    }
                };
                worker::run(jobs, points, metrics, new_prover, |signing| world.sign(signing));
            })
        };
        (0..count).map(spawn).collect()
    }

    /// Signs at some time, or gives up.
    pub(super) fn sign(&self, mut signing: Signing) {
        if signing.client != Client::default() {
            self.log.lock().wrong.push("another client's job is to be signed".to_owned());
        }
        let signer = thread::spawn(move || {
            if thread_rng().gen_bool(0.5) {
                thread::yield_now();
                signing.signed = vec![(signing.wishes[0].group, view::Json::of(&"signed"))];
            }
            thread::yield_now();
            drop(signing);
        });
        self.log.lock().signers.push(signer);
    }

    /// Waits for the end of a job as whoever asks for it does.
    pub(super) fn wait_for(&self, id: JobId) {
        block_on(async {
            while let Ok((mut changes, state)) =
                self.jobs.look(id, |job: &Job| (job.watch(), job.state))
            {
                if state.ending().is_some() {
                    return;
                }
                changes.changed().await.unwrap();
            }
        });
    }

    /// Waits for the threads of a service that was told to stop, and for what they have left.
    pub(super) fn join(&self, threads: Vec<thread::JoinHandle<()>>) {
        for thread in threads {
            thread.join().unwrap();
        }
        let signers = std::mem::take(&mut self.log.lock().signers);
        for signer in signers {
            signer.join().unwrap();
        }
    }

    /// What must be true when all is over.
    pub(super) fn check(&self) -> BTreeSet<&'static str> {
        let log = self.log.lock();
        assert!(log.wrong.is_empty(), "{:?}", log.wrong);
        let lanes = self.jobs.lanes();
        assert!(lanes.is_empty(), "{lanes:?}");
        assert!(self.jobs.len() <= self.kept, "{} of {} are kept", self.jobs.len(), self.kept);
        let mut endings = BTreeSet::new();
        let mut dropped = log.refused;
        for id in &log.taken {
            match self.jobs.look(*id, check_events) {
                Ok(ending) | Err(NoJob::Evicted(ending)) => {
                    endings.insert(name(ending));
                    dropped += usize::from(matches!(ending, Ending::Dropped(_)));
                }
                Err(NoJob::Unknown) => panic!("{id} is gone"),
            }
        }
        let now = self.metrics.aggregation_tally();
        let [taken, ended, drops] = std::array::from_fn(|which| now[which] - self.tally[which]);
        assert_eq!((taken, ended), (log.taken.len() as u64, taken), "{endings:?}");
        let distinct: BTreeSet<_> = log.taken.iter().collect();
        if distinct.len() == log.taken.len() {
            // Of a job that was run twice only the last ending is known.
            assert_eq!(drops, dropped as u64, "{endings:?}");
        }
        endings
    }
}

/// Ending and reason.
pub(super) fn name(ending: Ending) -> &'static str {
    match (ending.status(), ending.reason()) {
        ("done", "deadline") => "done by deadline",
        ("done", "internal") => "done by failure",
        ("expired", "before_start") => "expired before start",
        ("dropped", reason) => reason,
        (status, _) => status,
    }
}

/// The story of a job that is over: one end, at the end.
pub(super) fn check_events(job: &Job) -> Ending {
    let events: Vec<_> = job.events_from(0).into_iter().map(|(_, event, _)| event).collect();
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::State(state) => Some(*state),
            Event::Group(_) => None,
        })
        .collect();
    let mut groups: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Group(group) => Some(*group),
            Event::State(_) => None,
        })
        .collect();
    groups.sort_unstable();
    let Some(Event::State(JobState::Final(ending))) = events.last() else { panic!("{events:?}") };
    let finals = states.iter().filter(|state| state.ending().is_some()).count();
    assert_eq!(finals, 1, "{events:?}");
    let before = &states[..states.len() - 1];
    if job.started.is_none() {
        assert_eq!((before, groups.len()), (&[JobState::Queued][..], 0), "{events:?}");
        assert!(job.signed.is_empty());
        return *ending;
    }
    assert_eq!(before[..2], [JobState::Queued, JobState::Running], "{events:?}");
    assert_eq!(groups, (0..job.results.len()).collect::<Vec<_>>(), "each group once: {events:?}");
    let is_wished = sample_of(SIGNED).id == job.id;
    assert_eq!(job.signed.len(), usize::from(is_wished), "{events:?}");
    if before.len() > 2 {
        assert_eq!(
            (before, is_wished),
            (&[JobState::Queued, JobState::Running, JobState::Signing][..], true)
        );
    }
    *ending
}

/// Takes the steps of a group, and notes which jobs are proved at the same time.
pub(super) fn take_steps(
    world: &World,
    group: &Group,
    checkpoint: &mut JobCheckpoint<'_>,
) -> GroupOutcome {
    let message = group.message[0];
    let sample = sample_of(message);
    world.begin(sample);
    // Each looks at the time, where another thread may come in.
    let stop = (0..STEPS).find_map(|_| match checkpoint.check() {
        Control::Continue => None,
        Control::Stop(reason) => Some(reason),
    });
    world.end(sample);
    if message >= PANICS && stop.is_none() {
        // As a panic, but without the report of a failed interleaving.
        std::panic::resume_unwind(Box::new("to order"));
    }
    GroupOutcome::without_entries(stop.map_or(GroupEnd::Complete, GroupEnd::Stopped))
}

impl World {
    pub(super) fn begin(&self, sample: &Sample) {
        let mut log = self.log.lock();
        log.proving.push((sample.lane, sample.id));
        if log.proving.iter().any(|(lane, id)| *lane == sample.lane && *id != sample.id) {
            let wrong = format!("two jobs of one lane are running: {:?}", log.proving);
            log.wrong.push(wrong);
        }
    }

    pub(super) fn end(&self, sample: &Sample) {
        let proving = &mut self.log.lock().proving;
        let place = proving.iter().position(|(_, id)| *id == sample.id).expect("it was begun");
        proving.swap_remove(place);
    }
}
