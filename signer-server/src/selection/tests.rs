//! The cache without keys and threads: signatures are a byte that tells key and slot apart.

mod bodies;
mod model;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use signer_client::wire::{
    Epoch, ForkInfo, ForkVersion, ForkVersions, PublicKey, Root, Signature, Slot,
};

use super::*;
use crate::{
    audit::Client,
    duty::{Duty, Network, selection_proof},
    telemetry::metrics::{Category, Metrics, MetricsOptions},
};

fn network() -> Network {
    Network::by_name_or_file("mainnet").unwrap()
}

fn fork_info() -> ForkInfo {
    let fork = ForkVersions {
        previous_version: ForkVersion([5, 0, 0, 0]),
        current_version: ForkVersion([6, 0, 0, 0]),
        epoch: Epoch(411_392),
    };
    ForkInfo { fork, genesis_validators_root: Root([0x4b; 32]) }
}

fn duty(slot: u64) -> Duty {
    selection_proof(&network(), &fork_info(), None, Slot(slot), None).unwrap()
}

fn key(number: u8) -> PublicKey {
    PublicKey([number; 48])
}

fn id(slot: u64, key_number: u8) -> ProofId {
    ProofId::of(key(key_number), &duty(slot)).unwrap()
}

fn signature(slot: u64, key_number: u8) -> Signature {
    let mut bytes = [key_number; 96];
    bytes[..8].copy_from_slice(&slot.to_be_bytes());
    Signature(bytes)
}

fn order(slot: u64) -> Arc<Order> {
    Arc::new(Order { client: Client::default(), duty: duty(slot) })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn much_later() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

/// A cache whose clock and keys are moved by hand.
struct Bench {
    cache: Arc<ProofCache>,
    now: Arc<AtomicU64>,
    unloaded: Arc<Mutex<Vec<PublicKey>>>,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        let now = Arc::new(AtomicU64::new(100));
        let unloaded = Arc::new(Mutex::new(Vec::new()));
        let options = MetricsOptions { version: "0", slashing_protection_enabled: true };
        let metrics = Arc::new(Metrics::new(options));
        let (clock, gone) = (now.clone(), unloaded.clone());
        let cache = ProofCache::new(ProofCacheOptions {
            capacity,
            max_slots_ahead: 64,
            now: Box::new(move || Some(Slot(clock.load(Ordering::Relaxed)))),
            is_loaded: Box::new(move |key| !gone.lock().contains(key)),
            metrics: metrics.clone(),
        });
        Self { cache, now, unloaded, metrics }
    }

    fn find(&self, slot: u64, key_number: u8) -> Found {
        self.cache.find(id(slot, key_number), soon(), ProofOrigin::Request)
    }

    /// Makes a proof that is missing.
    fn make(&self, slot: u64, key_number: u8) {
        let Found::Missing(maker) = self.find(slot, key_number) else { panic!("not missing") };
        let made = maker.make(|| Ok::<_, ()>(signature(slot, key_number)));
        assert_eq!(made, Ok(Some(signature(slot, key_number))));
    }

    fn ready(&self, slot: u64, key_number: u8) -> Option<Signature> {
        match self.find(slot, key_number) {
            Found::Ready(signature, _) => Some(signature),
            Found::Making { .. } | Found::Missing(_) => None,
        }
    }

    /// Takes the key out of the registry, then tells the cache.
    fn remove(&self, key_number: u8) {
        self.unloaded.lock().push(key(key_number));
        self.cache.forget(&[key(key_number)]);
    }

    fn count(&self, series: &str) -> u64 {
        let page = self.metrics.render(&[Category::Signing]);
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
    }
}

#[test]
fn what_could_be_slashed_and_what_names_no_slot_is_never_kept() {
    use crate::duty::{DutyType, Position, Protection};
    let proof = duty(101);
    assert!(ProofId::of(key(1), &proof).is_some());
    for duty_type in DutyType::ALL {
        let other = Duty { duty_type: *duty_type, ..proof.clone() };
        let is_proof =
            matches!(duty_type, DutyType::AggregationSlot | DutyType::SyncCommitteeSelectionProof);
        assert_eq!(ProofId::of(key(1), &other).is_some(), is_proof, "{duty_type:?}");
    }
    let protection = Protection::Block { slot: Slot(101), genesis_validators_root: Root::ZERO };
    assert_eq!(ProofId::of(key(1), &Duty { protection, ..proof.clone() }), None);
    let position = Some(Position::Epoch(Epoch(3)));
    assert_eq!(ProofId::of(key(1), &Duty { position, ..proof }), None);
}

#[test]
fn a_proof_that_was_made_is_found_until_its_slot_has_passed() {
    let bench = Bench::new(10);
    bench.make(101, 1);
    bench.make(102, 1);
    assert_eq!(bench.ready(101, 1), Some(signature(101, 1)));
    assert_eq!(bench.ready(101, 2), None, "another key");
    bench.now.store(101, Ordering::Relaxed);
    assert_eq!(bench.ready(101, 1), Some(signature(101, 1)), "it is needed now");
    bench.now.store(102, Ordering::Relaxed);
    assert_eq!(bench.ready(101, 1), None);
    assert_eq!(bench.cache.sizes(), (1, 0, 0));
    assert_eq!(bench.ready(102, 1), Some(signature(102, 1)));
}

#[test]
fn slots_that_have_passed_or_lie_far_ahead_are_made_and_not_kept() {
    let bench = Bench::new(10);
    for slot in [0, 99, 165, u64::MAX] {
        bench.make(slot, 1);
        assert_eq!(bench.ready(slot, 1), None, "{slot}");
    }
    assert_eq!(bench.cache.sizes(), (0, 0, 0));
    for slot in [100, 164] {
        bench.make(slot, 1);
        assert_eq!(bench.ready(slot, 1), Some(signature(slot, 1)), "{slot}");
    }
}

#[test]
fn without_a_clock_nothing_is_kept() {
    let bench = Bench::new(10);
    let cache = ProofCache::new(ProofCacheOptions {
        now: Box::new(|| None),
        ..ProofCacheOptions::new(&network(), |_| true, bench.metrics)
    });
    let Found::Missing(maker) = cache.find(id(101, 1), soon(), ProofOrigin::Request) else {
        panic!("not missing")
    };
    maker.make(|| Ok::<_, ()>(signature(101, 1))).unwrap();
    assert_eq!(cache.sizes(), (0, 0, 0));
}

#[test]
fn a_full_cache_keeps_the_nearest_slots() {
    let bench = Bench::new(3);
    for slot in [104, 101, 103, 102, 105] {
        bench.make(slot, 1);
        assert!(bench.cache.sizes().0 <= 3);
    }
    let kept: Vec<_> = (101..=105).filter(|slot| bench.ready(*slot, 1).is_some()).collect();
    assert_eq!(kept, [101, 102, 103]);
    assert_eq!(bench.count("midslot_proofs_evicted_total"), 2);
}

#[tokio::test]
async fn one_makes_the_proof_and_the_others_wait_for_it() {
    let bench = Bench::new(10);
    let Found::Missing(maker) = bench.find(101, 1) else { panic!("not missing") };
    let waiting: Vec<_> = (0..5)
        .map(|_| match bench.find(101, 1) {
            Found::Making { progress, hurry: None } => progress,
            _ => panic!("not being made in time"),
        })
        .collect();
    maker.make(|| Ok::<_, ()>(signature(101, 1))).unwrap();
    for progress in waiting {
        assert_eq!(progress.finished().await, Some(signature(101, 1)));
    }
    assert_eq!(bench.cache.sizes(), (1, 0, 0));
}

#[tokio::test]
async fn those_who_wait_learn_that_the_proof_will_not_come_and_one_of_them_makes_it() {
    let bench = Bench::new(10);
    for fails in [false, true] {
        let Found::Missing(maker) = bench.find(101, 1) else { panic!("not missing") };
        let Found::Making { progress, .. } = bench.find(101, 1) else { panic!("not being made") };
        if fails {
            assert_eq!(maker.make(|| Err("broken")), Err("broken"));
        }
        drop(maker);
        assert_eq!(progress.finished().await, None);
    }
    bench.make(101, 1);
}

#[tokio::test]
async fn a_job_of_the_background_is_hurried_once_and_makes_one_proof() {
    let bench = Bench::new(10);
    bench.cache.order(&[(id(101, 1), order(101))]).unwrap();
    let taken = bench.cache.take(9, much_later());
    assert_eq!(taken.len(), 1);
    let Found::Making { progress, hurry: Some(hurried) } = bench.find(101, 1) else {
        panic!("it is not hurried")
    };
    assert!(matches!(bench.find(101, 1), Found::Making { hurry: None, .. }), "once is enough");
    bench.cache.not_hurried(hurried.id(), soon());
    assert!(matches!(bench.find(101, 1), Found::Making { hurry: Some(_), .. }), "found no room");
    assert_eq!(hurried.make(|| Ok::<_, ()>(signature(101, 1))), Ok(Some(signature(101, 1))));
    let again = taken[0].maker.make(|| -> Result<_, ()> { panic!("made twice") });
    assert_eq!(again, Ok(None));
    assert_eq!(progress.finished().await, Some(signature(101, 1)));
    assert_eq!(bench.count("midslot_proofs_made_total{origin=\"background\"}"), 1);
}

#[test]
fn a_hurried_job_whose_time_is_over_counts_no_more() {
    let bench = Bench::new(10);
    bench.cache.order(&[(id(101, 1), order(101))]).unwrap();
    let _waiting = bench.cache.take(9, much_later());
    // Its client had no time left, so its job will not be done.
    let found = bench.cache.find(id(101, 1), Instant::now(), ProofOrigin::Request);
    assert!(matches!(found, Found::Making { hurry: Some(_), .. }));
    assert!(matches!(bench.find(101, 1), Found::Making { hurry: Some(_), .. }), "left to wait");
    assert!(matches!(bench.find(101, 1), Found::Making { hurry: None, .. }), "once is enough");
}

#[test]
fn the_backlog_is_taken_nearest_slot_first_and_a_request_takes_its_proof_out() {
    let bench = Bench::new(10);
    let wanted: Vec<_> = [105, 103, 104, 101].map(|slot| (id(slot, 1), order(slot))).into();
    let accepted = bench.cache.order(&wanted).unwrap();
    assert_eq!(accepted, Accepted { accepted: 4, queued: 4, cached: 0 });
    bench.make(104, 1);
    assert_eq!(bench.cache.sizes(), (1, 0, 3), "made by the request, not by the background");
    let accepted = bench.cache.order(&wanted).unwrap();
    assert_eq!(accepted, Accepted { accepted: 3, queued: 0, cached: 1 });
    assert_eq!(bench.cache.sizes(), (1, 0, 3), "nothing twice");
    let first = bench.cache.take(2, much_later());
    let slots: Vec<_> = first.iter().map(|taken| taken.maker.id().slot().0).collect();
    assert_eq!(slots, [101, 103]);
    bench.cache.put_back(first);
    assert_eq!(bench.cache.sizes(), (1, 0, 3));
    let all = bench.cache.take(9, much_later());
    assert_eq!(all.len(), 3);
    assert_eq!(bench.cache.sizes(), (1, 3, 0));
}

#[test]
fn a_backlog_without_room_for_all_takes_none() {
    let bench = Bench::new(3);
    let wanted: Vec<_> = (101..=105).map(|slot| (id(slot, 1), order(slot))).collect();
    bench.cache.order(&wanted[..2]).unwrap();
    let full = bench.cache.order(&wanted).unwrap_err();
    assert_eq!(full, BacklogFull { waiting: 2, capacity: 3 });
    assert_eq!(bench.cache.sizes(), (0, 0, 2));
    bench.cache.order(&wanted[..3]).unwrap();
    assert_eq!(bench.cache.sizes(), (0, 0, 3));
}

#[test]
fn what_the_background_did_not_come_to_in_time_is_late_and_not_made() {
    let bench = Bench::new(10);
    bench.cache.order(&[(id(101, 1), order(101)), (id(102, 1), order(102))]).unwrap();
    let taken = bench.cache.take(1, much_later());
    bench.now.store(103, Ordering::Relaxed);
    let made = taken[0].maker.make(|| -> Result<_, ()> { panic!("nobody needs it") });
    assert_eq!(made, Ok(None));
    drop(taken);
    assert!(bench.cache.take(9, much_later()).is_empty());
    assert_eq!(bench.cache.sizes(), (0, 0, 0));
    assert_eq!(bench.count("midslot_proofs_late_total"), 2);
}

#[test]
fn many_proofs_are_taken_in_withdrawn_and_forgotten_piece_by_piece() {
    let bench = Bench::new(700);
    let all: Vec<_> = (0..4_u8)
        .flat_map(|number| {
            (101..=164).flat_map(move |slot| {
                (0..3_u64).map(move |index| {
                    let index = Some(signer_client::wire::QuotedU64(index));
                    let duty = selection_proof(&network(), &fork_info(), None, Slot(slot), index);
                    ProofId::of(key(number), &duty.unwrap()).unwrap()
                })
            })
        })
        .map(|id| (id, order(101)))
        .collect();
    assert_eq!(all.len(), 768);
    let first = &all[..100];
    bench.cache.order(first).unwrap();
    let full = bench.cache.order(&all).unwrap_err();
    assert_eq!(full, BacklogFull { waiting: 100, capacity: 700 });
    assert_eq!(bench.cache.sizes(), (0, 0, 100), "what was there before is still there");
    bench.cache.order(&all[..700]).unwrap();
    bench.remove(2);
    assert_eq!(bench.cache.sizes(), (0, 0, 700 - 192));
    let slots = bench.cache.take(1_000, much_later());
    assert!(slots.iter().all(|taken| *taken.maker.id().key() != key(2)));
    assert!(slots.is_sorted_by_key(|taken| taken.maker.id().slot()));
}

#[test]
fn a_removed_key_leaves_nothing_behind() {
    let bench = Bench::new(10);
    bench.make(101, 1);
    bench.make(101, 2);
    bench.cache.order(&[(id(102, 1), order(102)), (id(102, 2), order(102))]).unwrap();
    let Found::Missing(being_made) = bench.find(103, 1) else { panic!("not missing") };
    bench.remove(1);
    assert_eq!(bench.cache.sizes(), (1, 1, 1));
    being_made.make(|| Ok::<_, ()>(signature(103, 1))).unwrap();
    // Begun by a request that had found the key before it was removed.
    bench.make(104, 1);
    assert_eq!(bench.cache.sizes(), (1, 0, 1));
    assert_eq!(bench.ready(101, 2), Some(signature(101, 2)));
}
