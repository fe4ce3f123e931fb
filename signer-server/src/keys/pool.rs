//! Threads for the loading of keys: their own, few, of low priority, bounded by memory.
//!
//! Signing must not wait behind key derivation, so this work shares no thread with requests and
//! gives way to every other thread of the process. The threads end with the load.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::low_priority;

/// Time between two progress lines.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Time that must pass before the next tenth of the work gets a progress line of its own.
const PROGRESS_MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The work on one item panicked. What it said is not kept, because it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// How many threads a load uses and how much memory they may take together.
pub(super) struct Pool {
    threads: usize,
    /// In bytes; `None` is no bound.
    memory_budget: Option<u64>,
}

impl Pool {
    /// A pool of `threads` threads (by default one per available core).
    pub(super) fn new(threads: Option<usize>, memory_budget: Option<u64>) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Self { threads: threads.unwrap_or_else(cores).max(1), memory_budget }
    }

    /// Runs `work` on every item and returns the results in the order of the items.
    ///
    /// `memory` says what an item's work takes, in bytes: no more items run at a time than fit
    /// into the budget, but one always may. `task` names the work in the progress lines.
    pub(super) fn run<T: Send, R: Send>(
        &self,
        task: &'static str,
        items: Vec<T>,
        memory: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(T) -> R + Sync,
    ) -> Vec<Result<R, Panicked>> {
        let total = items.len();
        let threads = self.threads.min(total);
        let queue = Mutex::new(items.into_iter().enumerate());
        let budget = Budget::new(self.memory_budget);
        let (sender, receiver) = mpsc::channel();
        let worker = |sender: mpsc::Sender<_>| {
            loop {
                // A statement of its own, so that the queue is free while the item is worked on.
                let next = queue.lock().next();
                let Some((index, item)) = next else { break };
                let _reservation = budget.reserve(memory(&item));
                let result = catch_unwind(AssertUnwindSafe(|| work(item))).map_err(|_| Panicked);
                if sender.send((index, result)).is_err() {
                    break;
                }
            }
        };
        thread::scope(|scope| {
            let mut started = 0;
            for number in 0..threads {
                let (worker, sender) = (&worker, sender.clone());
                let run = move || {
                    low_priority::enter();
                    worker(sender);
                };
                let name = format!("key-load-{number}");
                match thread::Builder::new().name(name).spawn_scoped(scope, run) {
                    Ok(_) => started += 1,
                    Err(error) => {
                        tracing::warn!(%error, "cannot start a thread for loading keys");
                        break;
                    }
                }
            }
            if started == 0 {
                worker(sender);
            } else {
                drop(sender);
            }
            collect(task, total, &receiver)
        })
    }
}

/// Takes the results as they come, and says now and then how far the work is.
fn collect<R>(
    task: &'static str,
    total: usize,
    receiver: &mpsc::Receiver<(usize, Result<R, Panicked>)>,
) -> Vec<Result<R, Panicked>> {
    let mut results: Vec<Option<Result<R, Panicked>>> = Vec::new();
    results.resize_with(total, || None);
    let mut done = 0;
    let mut progress = Progress::new(total, Instant::now());
    loop {
        match receiver.recv_timeout(PROGRESS_INTERVAL) {
            Ok((index, result)) => {
                results[index] = Some(result);
                done += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if progress.is_due(done, Instant::now()) {
            tracing::info!(done, total, "{task}");
        }
    }
    results.into_iter().map(|result| result.unwrap_or(Err(Panicked))).collect()
}

/// When to write a progress line: every five seconds, and at each tenth of the work, but for
/// short work not at all.
struct Progress {
    total: usize,
    last_line: Instant,
    last_tenth: usize,
}

impl Progress {
    fn new(total: usize, now: Instant) -> Self {
        Self { total, last_line: now, last_tenth: 0 }
    }

    fn is_due(&mut self, done: usize, now: Instant) -> bool {
        let tenth = done * 10 / self.total.max(1);
        let waited = now.saturating_duration_since(self.last_line);
        let due = waited >= PROGRESS_INTERVAL
            || (tenth > self.last_tenth && waited >= PROGRESS_MIN_INTERVAL);
        if due {
            self.last_line = now;
            self.last_tenth = tenth;
        }
        due
    }
}

/// Memory that the running work has reserved.
struct Budget {
    total: Option<u64>,
    reserved: Mutex<u64>,
    released: Condvar,
}

impl Budget {
    fn new(total: Option<u64>) -> Self {
        Self { total, reserved: Mutex::new(0), released: Condvar::new() }
    }

    /// Waits until the bytes fit beside what is reserved, or until nothing is.
    fn reserve(&self, bytes: u64) -> Reservation<'_> {
        let mut reserved = self.reserved.lock();
        if let Some(total) = self.total {
            while bytes > 0 && *reserved > 0 && reserved.saturating_add(bytes) > total {
                self.released.wait(&mut reserved);
            }
        }
        *reserved = reserved.saturating_add(bytes);
        Reservation { budget: self, bytes }
    }
}

/// Gives its bytes back when dropped, also when the work panicked.
struct Reservation<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut reserved = self.budget.reserved.lock();
        *reserved = reserved.saturating_sub(self.bytes);
        drop(reserved);
        self.budget.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let pool = Pool::new(Some(4), None);
        let results = pool.run(
            "test",
            (0..100).collect(),
            |_| 0,
            |number: u32| {
                thread::sleep(Duration::from_micros(u64::from(100 - number)));
                number * 2
            },
        );
        let expected: Vec<_> = (0..100).map(|number| Ok(number * 2)).collect();
        assert_eq!(results, expected);
        assert!(pool.run("test", Vec::<u32>::new(), |_| 0, |number| number).is_empty());
    }

    #[test]
    fn a_panic_costs_only_its_own_item() {
        let pool = Pool::new(Some(1), Some(10));
        let results = pool.run(
            "test",
            vec![1, 2, 3],
            |_| 10,
            |number: u32| {
                assert!(number != 2, "two is refused");
                number
            },
        );
        assert_eq!(results, [Ok(1), Err(Panicked), Ok(3)]);
    }

    #[test]
    fn work_runs_side_by_side_within_the_memory_budget() {
        let pool = Pool::new(Some(8), Some(100));
        let (in_use, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let items: Vec<u64> = (0..64).map(|number| [30, 60, 10, 0][number % 4]).collect();
        let results = pool.run(
            "test",
            items,
            |bytes| *bytes,
            |bytes| {
                let now = in_use.fetch_add(bytes, Ordering::SeqCst) + bytes;
                most.fetch_max(now, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
                in_use.fetch_sub(bytes, Ordering::SeqCst);
            },
        );
        assert!(results.iter().all(Result::is_ok));
        let most = most.into_inner();
        assert!((61..=100).contains(&most), "{most} bytes were in use at a time");
    }

    #[test]
    fn work_larger_than_the_budget_runs_alone() {
        let pool = Pool::new(Some(4), Some(5));
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = pool.run(
            "test",
            vec![7_u64; 6],
            |bytes| *bytes,
            |_| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
                running.fetch_sub(1, Ordering::SeqCst);
            },
        );
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(most.into_inner(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_are_named_and_give_way_but_their_starter_does_not() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let results = Pool::new(Some(1), None).run(
            "test",
            vec![()],
            |()| 0,
            |()| (own(), thread::current().name().map(str::to_owned)),
        );
        assert_eq!(results, [Ok(((before + 10).min(19), Some("key-load-0".to_owned())))]);
        assert_eq!(own(), before);
    }

    #[test]
    fn progress_lines_come_by_time_and_by_tenths() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut progress = Progress::new(100, start);
        assert!(!progress.is_due(50, at(500)), "too early");
        assert!(progress.is_due(50, at(1000)), "a new tenth");
        assert!(!progress.is_due(59, at(3000)), "the same tenth");
        assert!(progress.is_due(59, at(6000)), "five seconds");
        assert!(!Progress::new(0, start).is_due(0, at(100)));
    }
}
