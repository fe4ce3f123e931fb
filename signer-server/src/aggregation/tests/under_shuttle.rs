//! The jobs and the threads that prove, on primitives that try interleavings: every job that was
//! taken ends exactly once, whoever waits for one is told, and no thread sleeps while there is work.
//!
//! The code is the real one. The model has its own time, which passes at random, and its own prover,
//! which takes as many checkpoints as it has steps.

mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

#[expect(clippy::duplicate_mod, reason = "the same code on other primitives is the point")]
#[path = "../jobs.rs"]
mod jobs;
#[expect(clippy::duplicate_mod, reason = "the same code on other primitives is the point")]
#[path = "../worker.rs"]
mod worker;

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use midslot_aggregation::{Checkpoint, Control, Counts, Group, GroupEnd, GroupOutcome, Options};
use parking_lot::Mutex;
use shuttle::{
    Runner,
    future::block_on,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use signer_client::wire::PublicKey;

use self::jobs::{Jobs, NewJob, Signing};
use super::{
    super::{
        answers, dispatch, job,
        point_cache::{self, Points},
        prover::{self, JobCheckpoint},
        snapshot::{self, Snapshot, Surroundings},
        store,
        tables::Tables,
        task, view,
    },
    Ending, Event, Format, JobId, JobState, NoJob, SubmitError, group, job as job_of, metrics,
    network,
};
use crate::{audit::Client, telemetry::metrics::Metrics};

use super::super::{
    snapshot::{OnBusy, SignWish},
    store::{Job, Retention},
};

/// Interleavings tried with each scheduler by each test.
const INTERLEAVINGS: usize = 1_000;

/// How many changes of priority the other scheduler makes.
const DEPTH: usize = 4;

/// Checkpoints of a group.
const STEPS: usize = 3;

/// Longest time of an interleaving, in milliseconds of the model.
const TIME: u64 = 8;

/// Writing a result as JSON takes more than the default.
const STACK_BYTES: usize = 256 << 10;

fn check(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK_BYTES;
    Runner::new(RandomScheduler::new(INTERLEAVINGS), config.clone()).run(scenario.clone());
    Runner::new(PctScheduler::new(DEPTH, INTERLEAVINGS), config).run(scenario);
}

/// A snapshot of the model, made once, with its lane.
struct Sample {
    id: JobId,
    lane: &'static str,
    snapshot: Arc<Snapshot>,
}

/// The first byte of the message of a group whose prover panics; of others it is less.
const PANICS: u8 = 100;

/// Of the only group that is to be signed.
const SIGNED: u8 = 50;

/// Jobs of two lanes and three slots: some with one group, some with more, some that panic.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
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

fn sample_of(message: u8) -> &'static Sample {
    let has = |sample: &&Sample| {
        sample.snapshot.groups.iter().any(|group| group.inputs.message[0] == message)
    };
    SAMPLES.iter().find(has).expect("each message is of one sample")
}

/// The service without what reads, proves and signs.
#[derive(Clone)]
struct World {
    jobs: Arc<Jobs>,
    metrics: Arc<Metrics>,
    /// What was counted before.
    tally: [u64; 3],
    points: Arc<Points>,
    /// Most jobs that are kept.
    kept: usize,
    start: Instant,
    /// Milliseconds since the start.
    time: Arc<AtomicU64>,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    /// Lane and job of each group that is being proved.
    proving: Vec<(&'static str, JobId)>,
    /// What must not be. A panic of a prover would only be another failed group.
    wrong: Vec<String>,
    /// Jobs that were taken, those that came again after they were forgotten as often.
    taken: Vec<JobId>,
    refused: usize,
    signers: Vec<thread::JoinHandle<()>>,
}

impl World {
    fn new(kept: usize, metrics: &Arc<Metrics>) -> Self {
        let (start, time) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let (tally, metrics) = (metrics.aggregation_tally(), metrics.clone());
        let clock = time.clone();
        let now = move || start + Duration::from_millis(clock.load(Ordering::Relaxed));
        let retention = Retention { jobs: kept, time: Duration::from_millis(TIME / 2) };
        let jobs = Arc::new(Jobs::new(retention, metrics.clone(), Box::new(now)));
        let points = Arc::new(Points::new());
        Self { jobs, metrics, tally, points, kept, start, time, log: Arc::default() }
    }

    fn submit(&self, sample: &Sample, deadline_ms: u64, on_busy: OnBusy) {
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
    fn workers(
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
    fn sign(&self, mut signing: Signing) {
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
    fn wait_for(&self, id: JobId) {
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
    fn join(&self, threads: Vec<thread::JoinHandle<()>>) {
        for thread in threads {
            thread.join().unwrap();
        }
        let signers = std::mem::take(&mut self.log.lock().signers);
        for signer in signers {
            signer.join().unwrap();
        }
    }

    /// What must be true when all is over.
    fn check(&self) -> BTreeSet<&'static str> {
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
fn name(ending: Ending) -> &'static str {
    match (ending.status(), ending.reason()) {
        ("done", "deadline") => "done by deadline",
        ("done", "internal") => "done by failure",
        ("expired", "before_start") => "expired before start",
        ("dropped", reason) => reason,
        (status, _) => status,
    }
}

/// The story of a job that is over: one end, at the end.
fn check_events(job: &Job) -> Ending {
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
fn take_steps(world: &World, group: &Group, checkpoint: &mut JobCheckpoint<'_>) -> GroupOutcome {
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
    outcome(stop.map_or(GroupEnd::Complete, GroupEnd::Stopped))
}

impl World {
    fn begin(&self, sample: &Sample) {
        let mut log = self.log.lock();
        log.proving.push((sample.lane, sample.id));
        if log.proving.iter().any(|(lane, id)| *lane == sample.lane && *id != sample.id) {
            let wrong = format!("two jobs of one lane are running: {:?}", log.proving);
            log.wrong.push(wrong);
        }
    }

    fn end(&self, sample: &Sample) {
        let proving = &mut self.log.lock().proving;
        let place = proving.iter().position(|(_, id)| *id == sample.id).expect("it was begun");
        proving.swap_remove(place);
    }
}

fn outcome(end: GroupEnd) -> GroupOutcome {
    GroupOutcome {
        end,
        aggregate: None,
        used: Vec::new(),
        covered: Vec::new(),
        rejected: Vec::new(),
        unprocessed: Vec::new(),
        counts: Counts::default(),
    }
}

/// Submissions, some of them twice, while time passes, somebody cancels and the service stops at
/// any time or when all is done.
fn everything_at_once(metrics: &Arc<Metrics>, stops_early: bool) -> BTreeSet<&'static str> {
    let mut rng = thread_rng();
    let world = World::new(rng.gen_range(1..8), metrics);
    let threads = world.workers(2, take_steps);
    let mut others = Vec::new();
    for _ in 0..2 {
        let world = world.clone();
        others.push(thread::spawn(move || {
            for _ in 0..4 {
                let mut rng = thread_rng();
                let sample = &SAMPLES[rng.gen_range(0..SAMPLES.len())];
                let on_busy = if rng.gen_ratio(1, 5) { OnBusy::Reject } else { OnBusy::Replace };
                world.submit(sample, rng.gen_range(1..3 * TIME), on_busy);
            }
        }));
    }
    let canceller = world.clone();
    others.push(thread::spawn(move || {
        for _ in 0..2 {
            let sample = &SAMPLES[thread_rng().gen_range(0..SAMPLES.len())];
            // It may not be there.
            let _ = canceller.jobs.cancel(sample.id);
        }
    }));
    let time = world.time.clone();
    others.push(thread::spawn(move || {
        for _ in 0..TIME {
            time.fetch_add(1, Ordering::Relaxed);
        }
    }));
    if stops_early {
        world.jobs.begin_stop();
    }
    for other in others {
        other.join().unwrap();
    }
    let taken = world.log.lock().taken.clone();
    for id in taken {
        world.wait_for(id);
    }
    // Once: a thread that sleeps must not need to be told again.
    if !stops_early {
        world.jobs.begin_stop();
    }
    world.join(threads);
    world.check()
}

#[test]
fn every_job_that_was_taken_ends_exactly_once() {
    let seen: Arc<Mutex<BTreeSet<_>>> = Arc::default();
    for stops_early in [false, true] {
        let (told, metrics) = (seen.clone(), metrics());
        check(move || {
            let endings = everything_at_once(&metrics, stops_early);
            told.lock().extend(endings);
        });
    }
    let expected = [
        "cancelled",
        "done",
        "done by deadline",
        "done by failure",
        "expired",
        "expired before start",
        "failed",
        "shutdown",
        "stale",
        "superseded",
    ];
    assert_eq!(seen.lock().iter().copied().collect::<Vec<_>>(), expected);
}

/// Ends a group only when so many are proved at the same time.
#[derive(Clone)]
struct Together {
    groups: usize,
    shared: Arc<(shuttle::sync::Mutex<usize>, shuttle::sync::Condvar)>,
}

impl Together {
    fn of(groups: usize) -> Self {
        Self { groups, shared: Arc::default() }
    }

    fn prove(&self) -> GroupOutcome {
        let (count, changed) = &*self.shared;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        while *count < self.groups {
            count = changed.wait(count).unwrap();
        }
        outcome(GroupEnd::Complete)
    }
}

/// If a thread slept through a group, the others would wait for it forever: that is found as a
/// deadlock.
#[test]
fn no_thread_sleeps_while_there_is_a_group_to_prove() {
    let metrics = metrics();
    check(move || {
        let world = World::new(8, &metrics);
        let together = Together::of(3);
        let threads = world.workers(3, move |_, _, _| together.prove());
        // Two groups of one lane and one of another.
        let (first, second) = (&SAMPLES[1], &SAMPLES[6]);
        world.submit(first, 100, OnBusy::Replace);
        let other = world.clone();
        let other = thread::spawn(move || other.submit(second, 100, OnBusy::Replace));
        world.wait_for(first.id);
        other.join().unwrap();
        world.wait_for(second.id);
        world.jobs.begin_stop();
        world.join(threads);
        assert_eq!(world.check(), BTreeSet::from(["done"]));
    });
}

/// A pending job whose groups only end together, behind one that runs.
#[test]
fn what_is_pending_is_given_to_every_free_thread_as_soon_as_its_lane_is_free() {
    let metrics = metrics();
    check(move || {
        let world = World::new(8, &metrics);
        let together = Together::of(2);
        let (first, pending) = (&SAMPLES[0], &SAMPLES[1]);
        let threads = world.workers(2, move |_, group, _| match sample_of(group.message[0]).id {
            id if id == first.id => outcome(GroupEnd::Complete),
            _ => together.prove(),
        });
        world.submit(first, 100, OnBusy::Replace);
        world.submit(pending, 100, OnBusy::Replace);
        world.wait_for(pending.id);
        world.jobs.begin_stop();
        world.join(threads);
        let endings = world.check();
        assert!(endings.contains("done"), "{endings:?}");
    });
}
