//! The jobs and the threads that prove, on primitives that try interleavings: every job that was
//! taken ends exactly once, whoever waits for one is told, and no thread sleeps while there is work.
//!
//! The code is the real one. The model has its own time, which passes at random, and its own prover,
//! which takes as many checkpoints as it has steps.

mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

mod model;

#[expect(clippy::duplicate_mod, reason = "the same code on other primitives is the point")]
#[path = "../jobs.rs"]
mod jobs;
#[expect(clippy::duplicate_mod, reason = "the same code on other primitives is the point")]
#[path = "../worker.rs"]
mod worker;

use std::{collections::BTreeSet, sync::Arc};

use midslot_aggregation::{GroupEnd, GroupOutcome};
use parking_lot::Mutex;
use shuttle::{
    Runner,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    sync::atomic::Ordering,
    thread,
};

use self::model::{SAMPLES, World, sample_of, take_steps};
use super::{
    super::{
        answers, dispatch, job, point_cache, prover,
        snapshot::{self, OnBusy},
        store, task, view,
    },
    metrics,
};
use crate::telemetry::metrics::Metrics;

/// Interleavings tried with each scheduler by each test.
const INTERLEAVINGS: usize = 1_000;

/// How many changes of priority the other scheduler makes.
const DEPTH: usize = 4;

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
        GroupOutcome::without_entries(GroupEnd::Complete)
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
            id if id == first.id => GroupOutcome::without_entries(GroupEnd::Complete),
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
