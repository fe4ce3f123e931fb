//! The same hand-off on primitives that try interleavings at random: no job is lost, none is done
//! twice, and every thread ends.

use std::time::Instant;

use shuttle::{
    sync::{Arc, Mutex},
    thread,
};

use super::{Bounds, Class, queue};

mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

#[expect(clippy::duplicate_mod, reason = "the same code on other primitives is the point")]
#[path = "handoff.rs"]
mod handoff;

use handoff::Handoff;

/// Interleavings tried by each test.
const INTERLEAVINGS: usize = 2_000;

fn workers(
    handoff: &Arc<Handoff<u32>>,
    done: &Arc<Mutex<Vec<u32>>>,
    count: usize,
) -> Vec<thread::JoinHandle<()>> {
    (0..count)
        .map(|_| {
            let (handoff, done) = (handoff.clone(), done.clone());
            thread::spawn(move || {
                let now = Instant::now();
                while let Some(next) = handoff.next(|| now) {
                    done.lock().unwrap().push(next.job);
                }
            })
        })
        .collect()
}

#[test]
fn every_job_that_was_taken_in_is_done_once_and_every_thread_ends() {
    shuttle::check_random(
        || {
            let handoff = Arc::new(Handoff::new(Bounds([3; 5])));
            let done = Arc::new(Mutex::new(Vec::new()));
            let threads = workers(&handoff, &done, 2);
            let bringers: Vec<_> = (0..3_u32)
                .map(|number| {
                    let handoff = handoff.clone();
                    thread::spawn(move || {
                        let class = Class::ALL[number as usize % 2];
                        if !handoff.with(|queue| queue.reserve(class, 2)) {
                            return Vec::new();
                        }
                        let jobs = vec![number * 10, number * 10 + 1];
                        handoff.push(class, Instant::now(), jobs.clone().into_iter());
                        jobs
                    })
                })
                .collect();
            let mut brought: Vec<u32> =
                bringers.into_iter().flat_map(|bringer| bringer.join().unwrap()).collect();
            handoff.close();
            for thread in threads {
                thread.join().unwrap();
            }
            let mut done = done.lock().unwrap().clone();
            done.sort_unstable();
            brought.sort_unstable();
            assert_eq!(done, brought);
        },
        INTERLEAVINGS,
    );
}

#[test]
fn a_close_beside_full_queues_loses_only_what_was_refused() {
    shuttle::check_random(
        || {
            let handoff = Arc::new(Handoff::new(Bounds([2; 5])));
            let done = Arc::new(Mutex::new(Vec::new()));
            assert!(handoff.with(|queue| queue.reserve(Class::Background, 2)));
            handoff.push(Class::Background, Instant::now(), [1, 2].into_iter());
            let closer = {
                let handoff = handoff.clone();
                thread::spawn(move || handoff.close())
            };
            let late = {
                let handoff = handoff.clone();
                thread::spawn(move || {
                    let promised = handoff.with(|queue| queue.reserve(Class::Block, 1));
                    if promised {
                        handoff.push(Class::Block, Instant::now(), std::iter::once(3));
                    }
                })
            };
            let threads = workers(&handoff, &done, 1);
            for thread in threads.into_iter().chain([closer, late]) {
                thread.join().unwrap();
            }
            let done = done.lock().unwrap().clone();
            assert!(done.contains(&1) && done.contains(&2), "{done:?}");
            assert!(done.len() <= 3);
            // A promise was kept or refused, never left behind.
            assert_eq!(handoff.with(|queue| queue.ahead_of(Class::Background)), 0);
        },
        INTERLEAVINGS,
    );
}
