//! The plan under a simulated clock, with the real proof cache, in which proofs are made at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use signer_client::wire::{Epoch, PublicKey, QuotedU64, Root, Signature, Slot};

use super::{
    super::{
        book::Book,
        chain::Chain,
        directory::{Known, Roster, sync_members},
        plan::due,
    },
    fork, key, known, network, slots,
};
use crate::{
    audit::Client,
    duty::{Network, selection_proof},
    prefetch::answers::SyncDuty,
    selection::{Order, ProofCache, ProofCacheOptions, ProofId},
    telemetry::metrics::{Metrics, MetricsOptions},
};

const LOOK_AHEAD: u64 = 8;
const SLOTS: u64 = 32;

fn roster(count: u64) -> Roster {
    Roster::new(known(count))
}

/// A proof: slot, subcommittee, key.
type Proof = (u64, Option<u64>, PublicKey);

struct Simulation {
    network: Network,
    chain: Chain,
    book: Book,
    now: Arc<AtomicU64>,
    cache: Arc<ProofCache>,
    capacity: usize,
}

impl Simulation {
    /// Stands at the beginning of a slot, with one fork for all time.
    fn new(now: u64) -> Self {
        Self::with_capacity(now, 10_000)
    }

    fn with_capacity(now: u64, capacity: usize) -> Self {
        let network = network(1_600_000_000, 12_000);
        let chain = Chain::of(&network).unwrap();
        let mut book = Book::default();
        book.set_forks(chain.forks(vec![fork(0, 1, 0)], Epoch(1 << 40)).unwrap());
        let metrics = MetricsOptions { version: "test", slashing_protection_enabled: true };
        let now = Arc::new(AtomicU64::new(now));
        let clock = now.clone();
        let options = ProofCacheOptions {
            capacity,
            now: Box::new(move || Some(Slot(clock.load(Ordering::Relaxed)))),
            ..ProofCacheOptions::new(&network, |_| true, Arc::new(Metrics::new(metrics)))
        };
        let cache = ProofCache::new(options);
        Self { network, chain, book, now, cache, capacity }
    }

    fn now(&self) -> Slot {
        Slot(self.now.load(Ordering::Relaxed))
    }

    fn epoch(&self) -> Epoch {
        self.chain.epoch_of(self.now())
    }

    /// Tells the attester duties of an epoch: validator `n` attests in the slot `n + shift` of it.
    fn tell(&mut self, epoch: Epoch, validators: u64, shift: u64) {
        let known = known(validators);
        let duties: Vec<_> = known
            .iter()
            .enumerate()
            .map(|(number, known)| {
                let turn = (number as u64 + shift) % SLOTS;
                (known.key, Slot(epoch.0 * SLOTS + turn))
            })
            .collect();
        self.book.add_attesters(epoch, Root([u8::try_from(shift).unwrap(); 32]), &known, &duties);
    }

    /// Tells this epoch's and the next one's, as a node does that is asked every slot.
    fn tell_both(&mut self, validators: u64, shift: u64) {
        let epoch = self.epoch();
        self.book.begin(epoch);
        self.tell(epoch, validators, shift);
        self.tell(Epoch(epoch.0 + 1), validators, shift);
    }

    /// Puts the keys at places of the sync committee of an epoch.
    fn tell_sync(&mut self, epoch: u64, places: &[(PublicKey, &[u64])]) {
        let (mut asked, mut answer) = (Vec::new(), Vec::new());
        for (index, (pubkey, places)) in (0..).zip(places) {
            asked.push(Known { key: *pubkey, index });
            answer.push(SyncDuty {
                pubkey: *pubkey,
                validator_index: QuotedU64(index),
                validator_sync_committee_indices: places.iter().copied().map(QuotedU64).collect(),
            });
        }
        let members = sync_members(&self.chain, &asked, &answer).unwrap();
        self.book.add_sync(Epoch(epoch), &asked, members);
    }

    /// One round at 80 % of the slot: makes what is due and not there. Gives what was made.
    fn round(&mut self) -> BTreeSet<Proof> {
        let (chain, now) = (self.chain.clone(), self.now());
        let mut made = BTreeSet::new();
        for foreseen in due(&chain, &self.book, now, LOOK_AHEAD, self.capacity) {
            let duty = selection_proof(
                &self.network,
                &foreseen.fork_info,
                None,
                foreseen.slot,
                foreseen.subcommittee_index,
            )
            .unwrap();
            let order = Arc::new(Order { client: Client::default(), duty });
            let wanted: Vec<_> = foreseen
                .keys
                .iter()
                .map(|key| (ProofId::of(*key, &order.duty).unwrap(), order.clone()))
                .collect();
            let queued = self.cache.order(&wanted).unwrap().queued;
            let deadline = Instant::now() + Duration::from_hours(1);
            let taken = self.cache.take(usize::MAX, deadline);
            assert_eq!(taken.len(), queued);
            for taken in taken {
                let subcommittee = foreseen.subcommittee_index.map(|index| index.0);
                made.insert((foreseen.slot.0, subcommittee, *taken.maker.id().key()));
                taken.maker.make(|| Ok::<_, ()>(Signature([1; 96]))).unwrap();
            }
        }
        made
    }

    fn pass(&mut self, slots: u64) {
        self.now.fetch_add(slots, Ordering::Relaxed);
    }
}

fn slots_of(proofs: &BTreeSet<Proof>) -> BTreeSet<u64> {
    proofs.iter().map(|(slot, ..)| *slot).collect()
}

#[test]
fn the_start_makes_the_window_and_then_each_slot_one_slots_worth() {
    let mut simulation = Simulation::new(100 * SLOTS);
    simulation.tell_both(96, 0);
    let first = simulation.round();
    assert_eq!(first.len(), 3 * 8, "three of 96 attest in each of 8 slots");
    assert_eq!(slots_of(&first), (3_201..=3_208).collect());
    let mut all = first;
    for _ in 0..3 * SLOTS {
        assert_eq!(simulation.round(), BTreeSet::new(), "nothing is made twice");
        simulation.pass(1);
        simulation.tell_both(96, 0);
        let made = simulation.round();
        assert_eq!(made.len(), 3);
        assert_eq!(slots_of(&made), [simulation.now().0 + LOOK_AHEAD].into());
        all.extend(made);
    }
    // Every validator once in each of the three epochs that came to be due as a whole.
    for number in 0..96 {
        let slots: Vec<_> = all
            .iter()
            .filter(|(.., of)| *of == key(number))
            .map(|(slot, ..)| slot / SLOTS)
            .collect();
        for epoch in 101..=102 {
            assert_eq!(slots.iter().filter(|own| **own == epoch).count(), 1, "{number}: {slots:?}");
        }
    }
}

#[test]
fn a_missed_round_is_made_up_by_the_next_one() {
    let mut simulation = Simulation::new(3_200);
    simulation.tell_both(64, 0);
    simulation.round();
    simulation.pass(4);
    simulation.tell_both(64, 0);
    let made = simulation.round();
    assert_eq!(slots_of(&made), (3_209..=3_212).collect(), "three rounds were missed");
    assert_eq!(made.len(), 4 * 2);
}

#[test]
fn a_reorganisation_adds_what_is_new_and_repeats_nothing() {
    let mut simulation = Simulation::new(3_200);
    simulation.tell_both(SLOTS, 0);
    let before = simulation.round();
    simulation.tell_both(SLOTS, 1);
    let after = simulation.round();
    assert_eq!(before.intersection(&after).count(), 0);
    assert_eq!(slots_of(&after), (3_201..=3_208).collect());
    assert_eq!(after.len(), 8);
    simulation.tell_both(SLOTS, 0);
    assert_eq!(simulation.round(), BTreeSet::new(), "back again: all are there still");
}

#[test]
fn while_a_new_dependent_root_is_told_in_parts_old_duties_of_others_do_not_count() {
    let mut simulation = Simulation::new(3_200);
    simulation.tell_both(SLOTS, 0);
    let (epoch, first) = (Epoch(100), &known(1)[..]);
    simulation.book.add_attesters(epoch, Root([9; 32]), first, &[(key(0), Slot(3_205))]);
    assert_eq!(simulation.book.unasked_attesters(epoch, &roster(SLOTS), 100).len(), 31);
    assert_eq!(simulation.round(), [(3_205, None, key(0))].into());
    // To be asked again with the same root changes nothing.
    simulation.book.add_attesters(epoch, Root([9; 32]), first, &[(key(0), Slot(3_205))]);
    assert_eq!(simulation.book.attesters_at(epoch, Slot(3_205)), [key(0)]);
}

#[test]
fn slots_after_a_fork_get_its_version_before_it_has_begun() {
    // Five slots before epoch 101, which begins at slot 3232.
    let mut simulation = Simulation::new(3_227);
    let schedule = vec![fork(0, 1, 0), fork(1, 2, 101)];
    let forks = simulation.chain.forks(schedule, Epoch(101)).unwrap();
    simulation.book.set_forks(forks);
    simulation.tell_both(SLOTS, 0);
    let due = due(&simulation.chain, &simulation.book, simulation.now(), LOOK_AHEAD, 100);
    let versions: Vec<_> = due
        .iter()
        .map(|foreseen| {
            let epoch = simulation.chain.epoch_of(foreseen.slot);
            (foreseen.slot.0, foreseen.fork_info.fork.version_at(epoch).0[0])
        })
        .collect();
    let expected: Vec<_> =
        slots(3_228..3_236).map(|slot| (slot.0, if slot.0 < 3_232 { 1 } else { 2 })).collect();
    assert_eq!(versions, expected);
    // The proofs of both sides are made once, also when the fork has begun.
    let made = simulation.round();
    assert_eq!(made.len(), 8);
    simulation.pass(6);
    simulation.tell_both(SLOTS, 0);
    assert_eq!(slots_of(&simulation.round()), (3_236..=3_241).collect());
}

#[test]
fn sync_proofs_are_due_in_every_slot_for_the_committee_of_the_slot_after_it() {
    // The committee changes with epoch 101, which begins at slot 3232.
    let mut simulation = Simulation::new(3_227);
    // Subcommittees have 128 places.
    simulation.tell_sync(100, &[(key(1), &[0, 127, 128]), (key(2), &[511])]);
    simulation.tell_sync(101, &[(key(3), &[300])]);
    let made = simulation.round();
    let mut expected = BTreeSet::new();
    for slot in 3_228..=3_230 {
        expected.extend([(slot, Some(0), key(1)), (slot, Some(1), key(1))]);
        expected.insert((slot, Some(3), key(2)));
    }
    // What is said at slot 3231 stands in the block of slot 3232, so the new committee says it.
    expected.extend((3_231..=3_235).map(|slot| (slot, Some(2), key(3))));
    assert_eq!(made, expected);
}

#[test]
fn sync_proof_at_a_fork_has_the_old_version_and_the_new_committee() {
    let mut simulation = Simulation::new(3_230);
    let schedule = vec![fork(0, 1, 0), fork(1, 2, 101)];
    let forks = simulation.chain.forks(schedule, Epoch(101)).unwrap();
    simulation.book.set_forks(forks);
    simulation.tell_sync(101, &[(key(3), &[300])]);
    let due = due(&simulation.chain, &simulation.book, Slot(3_230), 1, 100);
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].slot, &*due[0].keys), (Slot(3_231), &[key(3)][..]));
    assert_eq!(due[0].fork_info.fork.version_at(Epoch(100)).0[0], 1);
}

#[test]
fn before_altair_there_are_no_sync_proofs() {
    let mut simulation = Simulation::new(3_227);
    let forks = simulation.chain.forks(vec![fork(0, 0, 0)], Epoch(101)).unwrap();
    simulation.book.set_forks(forks);
    simulation.tell_sync(100, &[(key(1), &[0])]);
    assert_eq!(simulation.round(), BTreeSet::new());
}

#[test]
fn a_cache_that_is_too_small_keeps_the_nearest_slots_and_nothing_is_made_twice() {
    let mut simulation = Simulation::with_capacity(3_200, 5);
    simulation.tell_both(64, 0);
    let made = simulation.round();
    assert_eq!(made.len(), 5);
    assert_eq!(slots_of(&made), (3_201..=3_203).collect());
    assert_eq!(simulation.round(), BTreeSet::new());
}

#[test]
fn keys_that_leave_take_their_duties_with_them() {
    let mut simulation = Simulation::new(3_200);
    simulation.tell_both(SLOTS, 0);
    simulation.tell_sync(100, &[(key(5), &[0])]);
    simulation.book.keep(|of| *of != key(5));
    assert!(simulation.round().iter().all(|(.., of)| *of != key(5)));
    let unasked = simulation.book.unasked_attesters(Epoch(100), &roster(SLOTS), 100);
    assert_eq!(unasked.iter().map(|known| known.key).collect::<Vec<_>>(), [key(5)]);
}

#[test]
fn the_book_holds_two_epochs_and_a_bounded_number_of_duties() {
    let mut simulation = Simulation::new(3_200);
    for epoch in 0..200 {
        simulation.tell(Epoch(epoch), 10, 0);
    }
    simulation.book.begin(Epoch(100));
    for epoch in (0..200).filter(|epoch| ![100, 101].contains(epoch)) {
        assert_eq!(simulation.book.unasked_attesters(Epoch(epoch), &roster(10), 99).len(), 10);
    }
    // However often a node tells another slot for the same validator, one counts.
    for slot in slots(3_200..3_232) {
        simulation.book.add_attesters(Epoch(100), Root([0; 32]), &known(1), &[(key(0), slot)]);
    }
    let told = slots(3_200..3_232)
        .filter(|slot| simulation.book.attesters_at(Epoch(100), *slot).contains(&key(0)));
    assert_eq!(told.count(), 1);
}

#[test]
fn nothing_is_due_without_forks_and_at_the_end_of_time() {
    let chain = Chain::of(&network(1_600_000_000, 12_000)).unwrap();
    assert!(due(&chain, &Book::default(), Slot(0), 8, 100).is_empty());
    let mut simulation = Simulation::new(u64::MAX - 1);
    let last = Epoch(u64::MAX / SLOTS);
    simulation.book.add_attesters(last, Root([0; 32]), &known(1), &[(key(0), Slot(u64::MAX))]);
    assert_eq!(slots_of(&simulation.round()), [u64::MAX].into());
}

#[test]
fn who_was_asked_for_is_not_asked_for_again_whatever_node_knows_them() {
    let mut book = Book::default();
    let (epoch, root, mut all) = (Epoch(7), Root([0; 32]), roster(10));
    let mut indices = Vec::new();
    loop {
        let asked = book.unasked_attesters(epoch, &all, 4);
        if asked.is_empty() {
            break;
        }
        indices.extend(asked.iter().map(|known| known.index));
        book.add_attesters(epoch, root, &asked, &[]);
    }
    assert_eq!(indices, (500..510).collect::<Vec<_>>());
    // Another node knows others; a key in the middle has left and come back.
    book.keep(|of| *of != key(4));
    all = roster(12);
    let missing: Vec<_> =
        book.unasked_attesters(epoch, &all, 9).iter().map(|known| known.index).collect();
    assert_eq!(missing, [504, 510, 511]);
    book.add_attesters(epoch, Root([1; 32]), &all.known[11..], &[]);
    assert_eq!(book.unasked_attesters(epoch, &all, 99).len(), 11, "another root, other duties");
}
