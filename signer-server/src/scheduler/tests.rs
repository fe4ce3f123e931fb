use std::{
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Admission, Bounds, Class, Lost, Overloaded, Pending, Scheduler};
use crate::telemetry::metrics::{Metrics, MetricsOptions};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn start(bounds: [usize; 5]) -> Scheduler {
    let options = MetricsOptions { version: "0", slashing_protection_enabled: true };
    Scheduler::start(ONE, Bounds(bounds), Arc::new(Metrics::new(options))).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn admit(scheduler: &Scheduler, class: Class) -> Result<Admission, Overloaded> {
    scheduler.admit(class, 1, soon())
}

/// A pool of one thread that is busy until the returned sender is used or dropped.
fn busy_pool(bounds: [usize; 5]) -> (Scheduler, mpsc::Sender<()>, Pending<()>) {
    let scheduler = start(bounds);
    let (release, gate) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let pending = admit(&scheduler, Class::Block).unwrap().run(move || {
        started.send(()).unwrap();
        let _ = gate.recv();
    });
    has_started.recv().unwrap();
    (scheduler, release, pending)
}

#[tokio::test]
async fn classes_are_served_in_strict_order_and_each_by_deadline() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut pending = Vec::new();
    for later in [true, false] {
        for class in Class::ALL.into_iter().rev() {
            let order = order.clone();
            let deadline = soon() + Duration::from_secs(u64::from(later));
            let admission = scheduler.admit(class, 1, deadline).unwrap();
            pending.push(admission.run(move || order.lock().push((class, later))));
        }
    }
    assert_eq!(scheduler.depths(), [2; 5]);
    release.send(()).unwrap();
    for job in pending {
        job.finished().await.unwrap();
    }
    let expected: Vec<_> =
        Class::ALL.into_iter().flat_map(|class| [(class, false), (class, true)]).collect();
    assert_eq!(*order.lock(), expected);
}

#[tokio::test]
async fn room_is_counted_by_class_from_reservation_until_a_thread_takes_the_job() {
    let (scheduler, release, _first) = busy_pool([1, 1, 1, 2, 1]);
    let reserved = admit(&scheduler, Class::SelectionProof).unwrap();
    let queued = admit(&scheduler, Class::SelectionProof).unwrap().run(|| ());
    let full = Overloaded::Full { class: Class::SelectionProof };
    assert_eq!(admit(&scheduler, Class::SelectionProof).err(), Some(full));
    assert!(admit(&scheduler, Class::Background).is_ok(), "another class has its own room");
    drop(reserved);
    let again = admit(&scheduler, Class::SelectionProof).unwrap();
    release.send(()).unwrap();
    queued.finished().await.unwrap();
    assert!(admit(&scheduler, Class::SelectionProof).is_ok(), "a taken job gives its room");
    drop(again);
}

#[tokio::test]
async fn a_job_whose_requester_has_gone_is_not_run() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let ran = Arc::new(Mutex::new(false));
    let flag = ran.clone();
    drop(admit(&scheduler, Class::Block).unwrap().run(move || *flag.lock() = true));
    let last = admit(&scheduler, Class::Background).unwrap().run(|| ());
    release.send(()).unwrap();
    last.finished().await.unwrap();
    assert!(!*ran.lock());
}

#[tokio::test]
async fn a_job_past_its_deadline_is_not_run_and_its_requester_is_told() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let deadline = Instant::now() + Duration::from_millis(20);
    let late = scheduler.admit(Class::Block, 1, deadline).unwrap().run(|| ());
    std::thread::sleep(Duration::from_millis(30));
    release.send(()).unwrap();
    assert_eq!(late.finished().await.map(|done| done.value), Err(Lost::Expired));
}

#[tokio::test]
async fn a_detached_job_runs_though_nobody_waits_and_is_dropped_when_it_is_late() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let (ran, runs) = mpsc::channel();
    let late = ran.clone();
    let deadline = Instant::now() + Duration::from_millis(20);
    let admission = scheduler.admit(Class::SelectionProof, 1, deadline).unwrap();
    admission.run_detached(move || late.send("late").unwrap());
    admit(&scheduler, Class::Background).unwrap().run_detached(move || ran.send("ran").unwrap());
    std::thread::sleep(Duration::from_millis(30));
    release.send(()).unwrap();
    // Ends when both senders are gone.
    assert_eq!(runs.into_iter().collect::<Vec<_>>(), ["ran"]);
}

#[tokio::test]
async fn a_deadline_that_the_waiting_jobs_leave_no_time_for_is_refused_at_once() {
    let (scheduler, release, _first) = busy_pool([100_000; 5]);
    let bulk = scheduler.admit(Class::SelectionProof, 10_000, soon()).unwrap();
    // 10,000 jobs of half a millisecond are five seconds for one thread.
    let deadline = Instant::now() + Duration::from_secs(2);
    let late = Overloaded::TooLate { class: Class::SelectionProof };
    assert_eq!(scheduler.admit(Class::SelectionProof, 1, deadline).err(), Some(late));
    let late = Overloaded::TooLate { class: Class::Background };
    assert_eq!(scheduler.admit(Class::Background, 1, deadline).err(), Some(late));
    assert!(scheduler.admit(Class::Attestation, 1, deadline).is_ok(), "served before the bulk");
    drop(bulk);
    assert!(scheduler.admit(Class::SelectionProof, 1, deadline).is_ok(), "recovers at once");
    release.send(()).unwrap();
}

#[tokio::test]
async fn one_job_that_lost_its_core_does_not_refuse_the_next_thousand() {
    let scheduler = start([100_000; 5]);
    let slow = admit(&scheduler, Class::Block).unwrap();
    slow.run(|| std::thread::sleep(Duration::from_millis(200))).finished().await.unwrap();
    // 2,000 jobs of half a millisecond are one second; of 13 ms they would be 26.
    let deadline = Instant::now() + Duration::from_secs(3);
    assert!(scheduler.admit(Class::SelectionProof, 2_000, deadline).is_ok());
}

#[tokio::test]
async fn a_batch_answers_in_order_and_a_block_overtakes_its_rest() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let order = Arc::new(Mutex::new(Vec::new()));
    let works: Vec<_> = (0..5)
        .map(|number| {
            let order = order.clone();
            move || {
                order.lock().push(number);
                number
            }
        })
        .collect();
    let batch = scheduler.admit(Class::SelectionProof, 5, soon()).unwrap().run_each(works);
    let block = {
        let order = order.clone();
        admit(&scheduler, Class::Block).unwrap().run(move || order.lock().push(99))
    };
    release.send(()).unwrap();
    block.finished().await.unwrap();
    let values: Vec<_> =
        batch.finished().await.into_iter().map(|outcome| outcome.unwrap().value).collect();
    assert_eq!(values, [0, 1, 2, 3, 4]);
    assert_eq!(order.lock()[0], 99);
}

#[tokio::test]
async fn a_panic_reaches_only_its_requester_and_the_thread_goes_on() {
    let scheduler = start([8; 5]);
    let lost = admit(&scheduler, Class::Block).unwrap().run(|| panic!("on purpose"));
    assert_eq!(lost.finished().await.map(|done| done.value).err(), Some(Lost::Unfinished));
    let next = admit(&scheduler, Class::Block).unwrap().run(|| 7);
    assert_eq!(next.finished().await.unwrap().value, 7);
}

#[tokio::test]
async fn closing_finishes_what_waits_and_admits_nothing_more() {
    let (scheduler, release, first) = busy_pool([8; 5]);
    let waiting = admit(&scheduler, Class::Background).unwrap().run(|| 3);
    let late = admit(&scheduler, Class::Block).unwrap();
    let scheduler = Arc::new(scheduler);
    let closer = {
        let scheduler = scheduler.clone();
        std::thread::spawn(move || scheduler.close())
    };
    while admit(&scheduler, Class::Block).is_ok() {
        std::thread::yield_now();
    }
    let late = late.run(|| ());
    release.send(()).unwrap();
    closer.join().unwrap();
    first.finished().await.unwrap();
    assert_eq!(waiting.finished().await.unwrap().value, 3);
    assert!(late.finished().await.is_err(), "brought after the close");
}

#[tokio::test]
async fn closing_with_every_queue_full_does_all_of_it_in_order() {
    const BOUND: usize = 40;
    let (scheduler, release, _first) = busy_pool([BOUND; 5]);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut pending = Vec::new();
    for class in Class::ALL.into_iter().rev() {
        for _ in 0..BOUND {
            let order = order.clone();
            pending.push(admit(&scheduler, class).unwrap().run(move || order.lock().push(class)));
        }
        assert!(admit(&scheduler, class).is_err(), "{class:?} is full");
    }
    assert_eq!(scheduler.depths(), [BOUND; 5]);
    let closer = std::thread::spawn(move || {
        scheduler.close();
        scheduler.depths()
    });
    release.send(()).unwrap();
    for job in pending {
        job.finished().await.unwrap();
    }
    assert_eq!(closer.join().unwrap(), [0; 5]);
    let expected: Vec<_> = Class::ALL.into_iter().flat_map(|class| [class; BOUND]).collect();
    assert_eq!(*order.lock(), expected);
}

/// A job of the property below.
#[derive(Clone, Debug)]
struct Brought {
    class: Class,
    seconds: u64,
    /// Its requester goes away before a thread is free.
    is_dropped: bool,
}

fn brought() -> impl Strategy<Value = Brought> {
    let class = (0..Class::ALL.len()).prop_map(|index| Class::ALL[index]);
    (class, 30..40_u64, any::<bool>()).prop_map(|(class, seconds, is_dropped)| Brought {
        class,
        seconds,
        is_dropped,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Deadlines are far, so that nothing is promoted: the order is class, deadline, arrival.
    #[test]
    fn every_job_runs_once_in_order_unless_its_requester_has_gone(
        jobs in prop::collection::vec(brought(), 0..60),
    ) {
        let (scheduler, release, _first) = busy_pool([64; 5]);
        let ran = Arc::new(Mutex::new(Vec::new()));
        let now = Instant::now();
        let mut kept = Vec::new();
        for (number, job) in jobs.iter().enumerate() {
            let deadline = now + Duration::from_secs(job.seconds);
            let log = ran.clone();
            let admission = scheduler.admit(job.class, 1, deadline).unwrap();
            let pending = admission.run(move || log.lock().push(number));
            if !job.is_dropped {
                kept.push(pending);
            }
        }
        release.send(()).unwrap();
        scheduler.close();
        let mut expected: Vec<usize> =
            (0..jobs.len()).filter(|number| !jobs[*number].is_dropped).collect();
        expected.sort_by_key(|number| (jobs[*number].class, jobs[*number].seconds));
        prop_assert_eq!(&*ran.lock(), &expected);
        prop_assert_eq!(kept.len(), expected.len());
        prop_assert_eq!(scheduler.depths(), [0; 5]);
    }
}
