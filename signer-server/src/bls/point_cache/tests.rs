use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::place::{SIGNATURES_BEFORE_TABLE, WINDOWS_AT_ONCE};
use super::*;
use crate::{
    bls::point_table::WINDOWS,
    keys::interop_secret_key,
    telemetry::metrics::{Category, MetricsOptions},
};

impl PointCache {
    fn point(&self, root: &Root) -> MessagePoint {
        self.point_with(root, MessagePoint::of_root)
    }

    fn point_with(&self, root: &Root, hash: impl FnOnce(&Root) -> MessagePoint) -> MessagePoint {
        self.point_at(&self.place(root), root, hash).clone()
    }

    fn has_table(&self, root: &Root) -> bool {
        self.place(root).table().is_some()
    }
}

fn root(number: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Root(bytes)
}

/// How many roots the cache holds.
fn size(cache: &PointCache) -> usize {
    let generations = cache.generations.lock();
    generations.young.len() + generations.old.len()
}

/// Hits, misses and waits on the page of metrics.
fn lookups(metrics: &Metrics) -> [u64; 3] {
    let page = metrics.render(&[Category::Signing]);
    ["hit", "miss", "wait"].map(|result| {
        let series = format!("midslot_hash_to_curve_total{{result=\"{result}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series}in\n{page}")).parse().unwrap()
    })
}

fn metrics() -> Arc<Metrics> {
    let options = MetricsOptions { version: "1", slashing_protection_enabled: true };
    Arc::new(Metrics::new(options))
}

/// Counts the lookups that end up hashing, of points that need no hashing.
struct Hasher {
    point: MessagePoint,
    count: AtomicUsize,
}

impl Hasher {
    fn new() -> Self {
        Self { point: MessagePoint::of_root(&root(0)), count: AtomicUsize::new(0) }
    }

    fn hash(&self, _: &Root) -> MessagePoint {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.point.clone()
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[test]
fn gives_the_point_of_the_root() {
    let cache = PointCache::new(2);
    for number in [1, 2, 1, 3, 4, 5, 1] {
        assert_eq!(cache.point(&root(number)), MessagePoint::of_root(&root(number)));
    }
}

#[test]
fn ten_simultaneous_jobs_of_one_root_hash_once() {
    const JOBS: usize = 10;
    let metrics = metrics();
    let cache = PointCache::new(4).with_metrics(Arc::clone(&metrics));
    let hasher = Hasher::new();
    let slow_hash = |root: &Root| {
        // Hashes only when every job has come: the cache and each of them hold the root's place.
        while Arc::strong_count(&cache.generations.lock().young[root]) < JOBS + 1 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(50));
        hasher.hash(root)
    };
    thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| assert_eq!(cache.point_with(&root(7), slow_hash), hasher.point));
        }
    });
    assert_eq!(hasher.count(), 1);
    let [hits, misses, waits] = lookups(&metrics);
    assert_eq!((hits + waits, misses), (9, 1));
    assert!(waits > 0, "no job waited for another");
    cache.point(&root(7));
    assert_eq!(lookups(&metrics), [hits + 1, 1, waits]);
}

#[test]
fn hashing_holds_no_lock() {
    let cache = PointCache::new(4);
    let hasher = Hasher::new();
    // A lookup inside another one's hashing would wait for ever for a lock that it holds.
    cache.point_with(&root(1), |outer| {
        cache.point_with(&root(2), |inner| hasher.hash(inner));
        hasher.hash(outer)
    });
    assert_eq!(hasher.count(), 2);
}

#[test]
fn a_root_in_constant_use_survives_a_flood_of_others() {
    const CAPACITY: usize = 8;
    let cache = PointCache::new(CAPACITY);
    let hot = Hasher::new();
    let flood = Hasher::new();
    for number in 1..=10_000 {
        // One use for every seven others: fewer than the capacity between two uses.
        if number % 7 == 1 {
            cache.point_with(&root(0), |root| hot.hash(root));
        }
        cache.point_with(&root(number), |root| flood.hash(root));
        assert!(size(&cache) <= 2 * CAPACITY);
    }
    assert_eq!((hot.count(), flood.count()), (1, 10_000));
    cache.point_with(&root(1), |root| flood.hash(root));
    assert_eq!(flood.count(), 10_001, "a root of long ago is forgotten");
}

#[test]
fn a_capacity_of_zero_still_bounds() {
    let cache = PointCache::new(0);
    let hasher = Hasher::new();
    for number in 0..10 {
        cache.point_with(&root(number), |root| hasher.hash(root));
        assert!(size(&cache) <= 2);
    }
}

#[test]
fn a_panic_while_hashing_harms_nobody_else() {
    let cache = PointCache::new(4);
    let hasher = Hasher::new();
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let unlucky = scope.spawn(|| {
            let lookup = || {
                cache.point_with(&root(1), |_| {
                    started.wait();
                    thread::sleep(Duration::from_millis(30));
                    resume_unwind(Box::new("hashing failed"))
                })
            };
            catch_unwind(AssertUnwindSafe(lookup)).is_err()
        });
        started.wait();
        // Asks while the other one hashes, or just after it failed.
        assert_eq!(cache.point_with(&root(1), |root| hasher.hash(root)), hasher.point);
        assert!(unlucky.join().unwrap());
    });
    cache.point_with(&root(1), |root| hasher.hash(root));
    assert_eq!(hasher.count(), 1);
}

/// `SplitMix64`: numbers that look random and can be had again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % bound
    }
}

/// Eight threads ask for random roots, and one hashing in eight panics. Answers how often each root
/// was hashed.
fn stress(capacity: usize, points: &[MessagePoint], seed: u64) -> Vec<usize> {
    let cache = PointCache::new(capacity);
    let hashed: Vec<AtomicUsize> = points.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (cache, hashed) = (&cache, &hashed);
            scope.spawn(move || {
                let mut numbers = Numbers(seed << 8 | thread);
                for _ in 0..2_000 {
                    let number = numbers.below(points.len() as u64);
                    let index = usize::try_from(number).unwrap();
                    let fails = numbers.below(8) == 0;
                    let lookup = || {
                        cache.point_with(&root(number), |_| {
                            thread::yield_now();
                            if fails {
                                resume_unwind(Box::new("hashing failed"));
                            }
                            hashed[index].fetch_add(1, Ordering::Relaxed);
                            points[index].clone()
                        })
                    };
                    if let Ok(point) = catch_unwind(AssertUnwindSafe(lookup)) {
                        assert_eq!(point, points[index]);
                    } else {
                        assert!(fails, "another thread's panic came through");
                    }
                    assert!(size(cache) <= 2 * capacity);
                }
            });
        }
    });
    hashed.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn random_lookups_from_many_threads() {
    let points: Vec<_> = (0..24).map(|number| MessagePoint::of_root(&root(number))).collect();
    for seed in 0..4 {
        let with_room_for_all = stress(24, &points, seed);
        assert!(with_room_for_all.iter().all(|&count| count == 1), "{with_room_for_all:?}");
        let with_little_room = stress(3, &points, seed);
        assert!(with_little_room.iter().sum::<usize>() > 24, "{with_little_room:?}");
    }
}

/// Signatures until a root that one thread signs has its table.
const SIGNATURES_UNTIL_TABLE: u64 =
    SIGNATURES_BEFORE_TABLE as u64 + WINDOWS.div_ceil(WINDOWS_AT_ONCE) as u64;

fn key(number: u64) -> SecretKey {
    SecretKey::from_bytes(&interop_secret_key(number)).unwrap()
}

#[test]
fn a_root_that_many_keys_sign_gets_a_table_and_the_same_signatures() {
    let cache = PointCache::new(4);
    let root = root(1);
    for number in 0..SIGNATURES_UNTIL_TABLE + 20 {
        assert_eq!(cache.has_table(&root), number >= SIGNATURES_UNTIL_TABLE);
        let key = key(number);
        assert_eq!(cache.sign(&key, &root), key.sign(&root));
    }
}

#[test]
fn threads_that_sign_one_root_make_one_table_together() {
    let cache = PointCache::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for number in 0..50 {
                    let key = key(thread * 100 + number);
                    assert_eq!(cache.sign(&key, &root(1)), key.sign(&root(1)));
                }
            });
        }
    });
    assert!(cache.has_table(&root(1)));
    assert_eq!(cache.tables.lock().len(), 1);
}

#[test]
fn tables_are_few_and_the_oldest_goes_first() {
    let cache = PointCache::new(100);
    let key = key(1);
    let count = MAX_TABLES as u64 + 3;
    for number in 0..count {
        for _ in 0..SIGNATURES_UNTIL_TABLE {
            cache.sign(&key, &root(number));
        }
    }
    let with_table: Vec<_> = (0..count).map(|number| cache.has_table(&root(number))).collect();
    assert_eq!(with_table, (0..count).map(|number| number >= 3).collect::<Vec<_>>());
    // A root that lost its table signs on, and earns another one.
    for _ in 0..SIGNATURES_UNTIL_TABLE {
        assert_eq!(cache.sign(&key, &root(0)), key.sign(&root(0)));
    }
    assert!(cache.has_table(&root(0)) && !cache.has_table(&root(3)));
}

#[test]
fn a_forgotten_root_takes_its_table_with_it() {
    let cache = PointCache::new(1);
    for _ in 0..SIGNATURES_UNTIL_TABLE {
        cache.sign(&key(1), &root(1));
    }
    let table = cache.place(&root(1)).table().map(|table| Arc::downgrade(&table)).unwrap();
    cache.point(&root(2));
    cache.point(&root(3));
    assert!(table.upgrade().is_none());
}
