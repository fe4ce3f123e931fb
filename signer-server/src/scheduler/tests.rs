use std::{
    num::NonZeroUsize,
    sync::{Arc, mpsc},
};

use parking_lot::Mutex;

use super::{Bounds, Class, Lost, Overloaded, Pending, Scheduler};
use crate::telemetry::metrics::{Metrics, MetricsOptions};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn metrics() -> Arc<Metrics> {
    let options = MetricsOptions { version: "0", slashing_protection_enabled: true };
    Arc::new(Metrics::new(options))
}

/// A pool of one thread that is busy until the returned sender is used or dropped.
fn busy_pool(bounds: [usize; 5]) -> (Scheduler, mpsc::Sender<()>, Pending<()>) {
    let scheduler = Scheduler::start(ONE, Bounds(bounds), metrics()).unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let pending = scheduler.admit(Class::Block).unwrap().run(move || {
        started.send(()).unwrap();
        let _ = gate.recv();
    });
    has_started.recv().unwrap();
    (scheduler, release, pending)
}

#[tokio::test]
async fn classes_are_served_in_strict_order_and_each_in_order_of_arrival() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut pending = Vec::new();
    for round in 0..2 {
        for class in Class::ALL.into_iter().rev() {
            let order = order.clone();
            let admission = scheduler.admit(class).unwrap();
            pending.push(admission.run(move || order.lock().push((class, round))));
        }
    }
    assert_eq!(scheduler.depths(), [2; 5]);
    release.send(()).unwrap();
    for job in pending {
        job.finished().await.unwrap();
    }
    let expected: Vec<_> =
        Class::ALL.into_iter().flat_map(|class| [(class, 0), (class, 1)]).collect();
    assert_eq!(*order.lock(), expected);
}

#[tokio::test]
async fn room_is_counted_by_class_from_reservation_until_a_thread_takes_the_job() {
    let (scheduler, release, _first) = busy_pool([1, 1, 1, 2, 1]);
    let reserved = scheduler.admit(Class::SelectionProof).unwrap();
    let queued = scheduler.admit(Class::SelectionProof).unwrap().run(|| ());
    let full = Overloaded { class: Class::SelectionProof };
    assert_eq!(scheduler.admit(Class::SelectionProof).err(), Some(full));
    assert!(scheduler.admit(Class::Background).is_ok(), "another class has its own room");
    drop(reserved);
    let again = scheduler.admit(Class::SelectionProof).unwrap();
    release.send(()).unwrap();
    queued.finished().await.unwrap();
    assert!(scheduler.admit(Class::SelectionProof).is_ok(), "a job that was taken gives its room");
    drop(again);
}

#[tokio::test]
async fn a_job_whose_requester_has_gone_is_not_run() {
    let (scheduler, release, _first) = busy_pool([8; 5]);
    let ran = Arc::new(Mutex::new(false));
    let flag = ran.clone();
    drop(scheduler.admit(Class::Block).unwrap().run(move || *flag.lock() = true));
    let last = scheduler.admit(Class::Background).unwrap().run(|| ());
    release.send(()).unwrap();
    last.finished().await.unwrap();
    assert!(!*ran.lock());
}

#[tokio::test]
async fn a_panic_reaches_only_its_requester_and_the_thread_goes_on() {
    let scheduler = Scheduler::start(ONE, Bounds([8; 5]), metrics()).unwrap();
    let lost = scheduler.admit(Class::Block).unwrap().run(|| panic!("on purpose"));
    assert_eq!(lost.finished().await.map(|done| done.value).err(), Some(Lost));
    let next = scheduler.admit(Class::Block).unwrap().run(|| 7);
    assert_eq!(next.finished().await.unwrap().value, 7);
}

#[tokio::test]
async fn closing_finishes_what_waits_and_admits_nothing_more() {
    let (scheduler, release, first) = busy_pool([8; 5]);
    let waiting = scheduler.admit(Class::Background).unwrap().run(|| 3);
    let late = scheduler.admit(Class::Block).unwrap();
    let scheduler = Arc::new(scheduler);
    let closer = {
        let scheduler = scheduler.clone();
        std::thread::spawn(move || scheduler.close())
    };
    while scheduler.admit(Class::Block).is_ok() {
        std::thread::yield_now();
    }
    let late = late.run(|| ());
    release.send(()).unwrap();
    closer.join().unwrap();
    first.finished().await.unwrap();
    assert_eq!(waiting.finished().await.unwrap().value, 3);
    assert!(late.finished().await.is_err(), "brought after the close");
}
