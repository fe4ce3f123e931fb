//! The scheduler on a clock that jumps from one timer to the next, with real signatures.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    mock::{MockCall, MockSigner},
    selection::{BasisPoints, ScheduledFork, TokioSlotClock},
    wire::{ForkVersion, Root, SignPayload},
};

const SLOT: Duration = Duration::from_secs(12);
const SLOTS_PER_EPOCH: u64 = 32;
const START: Epoch = Epoch(10);
const OLD: ForkVersion = ForkVersion([6, 0, 0, 0]);
const NEW: ForkVersion = ForkVersion([7, 0, 0, 0]);

/// A scheduler on a mock, started with the first slot of [`START`].
struct Rig {
    signer: Arc<MockSigner>,
    scheduler: SelectionProofScheduler,
    keys: Vec<PublicKey>,
    began: Instant,
}

/// A successful or failed request as the tests see it.
struct Seen {
    /// Slot in which it was sent.
    sent_in: u64,
    /// How far into that slot.
    into_slot: Duration,
    /// Slot of the duty.
    duty: u64,
    keys: Vec<PublicKey>,
    call: MockCall,
}

impl Rig {
    fn new(keys: u8, options: SchedulerOptions) -> Self {
        Self::on(chain(vec![ScheduledFork::new(Epoch(0), OLD)]), keys, options)
    }

    fn on(chain: Chain, keys: u8, options: SchedulerOptions) -> Self {
        let secrets = (1..=keys).map(|index| {
            let mut secret = [0; 32];
            secret[31] = index;
            secret
        });
        let signer = Arc::new(MockSigner::new(secrets).unwrap());
        let clock = TokioSlotClock::starting_at(Slot(START.0 * SLOTS_PER_EPOCH), SLOT).unwrap();
        let scheduler =
            SelectionProofScheduler::start(signer.clone(), Arc::new(clock), chain, options)
                .unwrap();
        let keys = signer.keys();
        Self { signer, scheduler, keys, began: Instant::now() }
    }

    /// Every key attests once in an epoch, the keys spread over its slots.
    fn duties(&self, epoch: Epoch) -> Vec<(PublicKey, Slot)> {
        let spread = |index: usize| (index as u64 * 7 + epoch.0) % SLOTS_PER_EPOCH;
        self.keys
            .iter()
            .enumerate()
            .map(|(index, key)| (*key, Slot(epoch.0 * SLOTS_PER_EPOCH + spread(index))))
            .collect()
    }

    fn know(&self, epoch: Epoch) {
        self.scheduler.set_attester_duties(epoch, self.duties(epoch)).unwrap();
    }

    /// Every key attests in every slot from the first to the last of those after [`first_slot`].
    fn know_all_keys_in(&self, slots: std::ops::Range<u64>) {
        let duties = slots
            .flat_map(|slot| self.keys.iter().map(move |key| (*key, Slot(first_slot() + slot))));
        self.scheduler.set_attester_duties(START, duties).unwrap();
    }

    /// Lets time pass until so far into a slot, counted from [`first_slot`].
    async fn until(&self, slot: u32, percent: u32) {
        tokio::time::sleep_until(self.began + SLOT * slot + SLOT * percent / 100).await;
    }

    fn seen(&self) -> Vec<Seen> {
        self.signer.calls().into_iter().map(|call| self.see(call)).collect()
    }

    fn see(&self, call: MockCall) -> Seen {
        let since = call.at.duration_since(self.began);
        let slots = u32::try_from(since.as_nanos() / SLOT.as_nanos()).unwrap();
        let duty = match &call.request.payload {
            SignPayload::AggregationSlot(object) => object.slot.0,
            SignPayload::SyncCommitteeSelectionProof(object) => object.slot.0,
            other => panic!("a {} was asked for", other.type_name()),
        };
        Seen {
            sent_in: first_slot() + u64::from(slots),
            into_slot: since.saturating_sub(SLOT * slots),
            duty,
            keys: call.keys.clone(),
            call,
        }
    }

    /// Asks for a proof and demands that it was in memory.
    async fn assert_ready(&self, key: &PublicKey, slot: u64) {
        let before = self.scheduler.stats().hits;
        self.scheduler.proof(key, Slot(slot)).await.unwrap();
        assert_eq!(
            self.scheduler.stats().hits,
            before + 1,
            "the proof of slot {slot} was not ready"
        );
    }
}

const fn first_slot() -> u64 {
    START.0 * SLOTS_PER_EPOCH
}

fn chain(forks: Vec<ScheduledFork>) -> Chain {
    Chain::new(Root([9; 32]), SLOTS_PER_EPOCH, forks).unwrap()
}

fn connection_lost() -> SignError {
    SignError::Transport(Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)))
}

#[tokio::test(start_paused = true)]
async fn a_day_in_steady_state_is_one_slots_worth_for_each_slot() {
    const EPOCHS: u64 = 225;
    let rig = Rig::new(64, SchedulerOptions::default());
    rig.know(START);
    for epoch in 0..EPOCHS {
        rig.know(Epoch(START.0 + epoch + 1));
        rig.until(u32::try_from((epoch + 1) * SLOTS_PER_EPOCH).unwrap(), 0).await;
    }
    let seen = rig.seen();
    let mut asked = BTreeSet::new();
    for request in &seen {
        assert!(
            request.into_slot >= SLOT * 80 / 100
                && request.into_slot <= SLOT * 83 / 100 + Duration::from_millis(2)
        );
        assert!(request.duty > request.sent_in && request.duty <= request.sent_in + 8);
        if request.sent_in >= first_slot() + 8 {
            assert_eq!(request.duty, request.sent_in + 8, "only what is new in the window");
            assert_eq!(request.keys.len(), 2, "one slot's worth");
        }
        for key in &request.keys {
            assert!(asked.insert((*key, request.duty)), "a proof was made twice");
        }
    }
    let slots_served: BTreeSet<_> = seen.iter().map(|request| request.sent_in).collect();
    assert_eq!(slots_served.len() as u64, EPOCHS * SLOTS_PER_EPOCH, "a wake in every slot");
    let stats = rig.scheduler.stats();
    assert_eq!((stats.made, stats.failed), (asked.len() as u64, 0));
    assert!(stats.kept <= 12 * 2, "{} proofs are kept", stats.kept);
    assert!(stats.pending <= 64 * 2, "{} proofs are pending", stats.pending);
}

#[tokio::test(start_paused = true)]
async fn a_start_spreads_over_slots_nearest_first() {
    let rig = Rig::new(4, SchedulerOptions::default());
    rig.know_all_keys_in(0..32);
    rig.until(10, 0).await;
    let mut by_wake: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for request in rig.seen() {
        assert_eq!(request.keys.len(), 4);
        by_wake
            .entry(request.sent_in - first_slot())
            .or_default()
            .push(request.duty - first_slot());
    }
    let wakes: Vec<Vec<u64>> = by_wake.into_values().collect();
    let expected: Vec<Vec<u64>> = vec![
        vec![1, 2],
        vec![3, 4],
        vec![5, 6],
        vec![7, 8],
        vec![9, 10],
        vec![11, 12],
        vec![13, 14],
        vec![15],
        vec![16],
        vec![17],
    ];
    assert_eq!(wakes, expected);
}

#[tokio::test(start_paused = true)]
async fn a_start_late_in_a_slot_serves_the_next_one_at_once() {
    let rig = Rig::new(2, SchedulerOptions::default());
    rig.until(0, 95).await;
    assert!(rig.seen().is_empty());
    rig.know_all_keys_in(0..32);
    rig.until(1, 0).await;
    let seen = rig.seen();
    let duties: Vec<u64> = seen.iter().map(|request| request.duty - first_slot()).collect();
    assert_eq!(duties, [1], "only what the next wake is too late for");
    rig.assert_ready(&rig.keys[0], first_slot() + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_missed_batch_is_recovered_before_its_duty() {
    let rig = Rig::new(4, SchedulerOptions::default());
    rig.know_all_keys_in(0..32);
    rig.until(12, 0).await;
    // The signer is away for two wakes in the steady state.
    rig.signer.set_fault(|_| Some(connection_lost()));
    rig.until(14, 0).await;
    rig.signer.clear_fault();
    let failures = rig.scheduler.stats().failed;
    assert!(failures >= 8, "{failures}");
    rig.signer.take_calls();
    rig.until(14, 95).await;
    let duties: Vec<u64> = rig.seen().iter().map(|request| request.duty - first_slot()).collect();
    assert_eq!(duties, [20, 21], "what was missed, two slots' worth");
    rig.until(15, 95).await;
    for duty in 15..=23 {
        for key in &rig.keys {
            rig.assert_ready(key, first_slot() + duty).await;
        }
    }
    assert_eq!(rig.scheduler.stats().failed, failures);
}

#[tokio::test(start_paused = true)]
async fn what_is_needed_soon_is_retried_without_waiting_for_the_next_wake() {
    let rig = Rig::new(4, SchedulerOptions::default());
    rig.signer.set_fault(|_| Some(connection_lost()));
    rig.know_all_keys_in(0..32);
    rig.until(1, 30).await;
    let attempts = rig.seen().iter().filter(|request| request.duty == first_slot() + 1).count();
    assert!((4..=10).contains(&attempts), "{attempts} attempts, with growing pauses");
    rig.signer.clear_fault();
    rig.until(1, 60).await;
    for key in &rig.keys {
        rig.assert_ready(key, first_slot() + 1).await;
    }
    let early: Vec<_> =
        rig.seen().into_iter().filter(|request| request.duty == first_slot() + 3).collect();
    assert!(early.is_empty(), "what is not needed soon waits for its wake");
}

#[tokio::test(start_paused = true)]
async fn a_reorg_repeats_nothing_that_was_made() {
    let rig = Rig::new(8, SchedulerOptions::default());
    let at = |key: usize, slot: u64| (rig.keys[key], Slot(first_slot() + slot));
    let first: Vec<_> = (0..8).map(|key| at(key, 1 + key as u64)).collect();
    rig.scheduler.set_attester_duties(START, first.clone()).unwrap();
    rig.until(1, 0).await;
    assert_eq!(rig.scheduler.stats().made, 2, "slots 1 and 2");

    // Keys 1 and 2 keep their slots, all others get another one; two of them the same one.
    let second: Vec<_> = (0..8)
        .map(|key| if (1..=2).contains(&key) { first[key] } else { at(key, 20 + key as u64 / 2) })
        .collect();
    rig.scheduler.set_attester_duties(START, second.clone()).unwrap();
    rig.until(19, 0).await;
    let mut asked = BTreeSet::new();
    for request in rig.seen() {
        for key in &request.keys {
            assert!(asked.insert((*key, Slot(request.duty))), "a proof was made twice");
        }
    }
    let wanted: BTreeSet<_> = first[..2].iter().chain(&second).copied().collect();
    assert_eq!(asked, wanted, "of the first duties only those that were made or stayed");

    // And back to the first ones, of which the slots have passed: nothing more is asked.
    let calls = rig.signer.calls().len();
    rig.scheduler.set_attester_duties(START, first).unwrap();
    rig.scheduler.set_attester_duties(START, second).unwrap();
    rig.until(26, 0).await;
    assert_eq!(rig.signer.calls().len(), calls);
    rig.assert_ready(&rig.keys[7], first_slot() + 23).await;
}

#[tokio::test(start_paused = true)]
async fn each_slot_of_a_window_over_a_fork_has_its_own_fork() {
    let forks = vec![
        ScheduledFork::new(Epoch(0), OLD),
        ScheduledFork { offset: Some(BasisPoints(9000)), ..ScheduledFork::new(Epoch(11), NEW) },
    ];
    let options = SchedulerOptions { offset: BasisPoints(5000), ..SchedulerOptions::default() };
    let rig = Rig::on(chain(forks), 32, options);
    rig.know(START);
    rig.know(Epoch(11));
    rig.until(48, 0).await;
    let mut seen_on_both_sides = (0, 0);
    for request in rig.seen() {
        let fork = request.call.request.fork_info.unwrap().fork;
        let is_new = request.duty >= 11 * SLOTS_PER_EPOCH;
        let version = fork.version_at(Epoch(request.duty / SLOTS_PER_EPOCH));
        assert_eq!(version, if is_new { NEW } else { OLD }, "slot {}", request.duty);
        let sent_after = request.sent_in >= 11 * SLOTS_PER_EPOCH;
        let offset = if sent_after { 90 } else { 50 };
        assert!(request.into_slot >= SLOT * offset / 100, "the offset is that of the present fork");
        assert!(request.into_slot <= SLOT * (offset + 3) / 100 + Duration::from_millis(2));
        if is_new && !sent_after {
            seen_on_both_sides.0 += 1;
        } else if is_new {
            seen_on_both_sides.1 += 1;
        }
    }
    assert_eq!(seen_on_both_sides.0, 8, "eight slots of the new fork were made in the old one");
    assert!(seen_on_both_sides.1 > 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_signer_in_the_middle_of_a_batch_loses_only_what_was_under_way() {
    let options =
        SchedulerOptions { chunk_keys: 3, max_in_flight: 1, ..SchedulerOptions::default() };
    let rig = Rig::new(12, options);
    rig.signer.set_delay(|_| Duration::from_millis(100));
    let answered = Arc::new(AtomicU64::new(0));
    let counter = answered.clone();
    // The second and the third request break off, then the signer is back.
    rig.signer.set_fault(move |_| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        (1..=2).contains(&number).then(connection_lost)
    });
    rig.know_all_keys_in(1..2);
    rig.until(1, 30).await;
    for key in &rig.keys {
        rig.assert_ready(key, first_slot() + 1).await;
    }
    let mut requests: BTreeMap<PublicKey, usize> = BTreeMap::new();
    for key in rig.seen().iter().flat_map(|request| request.keys.clone()) {
        *requests.entry(key).or_default() += 1;
    }
    let counts: Vec<usize> = rig.keys.iter().map(|key| requests[key]).collect();
    assert_eq!(counts, [1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1]);
    assert!(answered.load(Ordering::Relaxed) <= 6);
}

#[tokio::test(start_paused = true)]
async fn a_slow_signer_delays_no_wake_and_is_not_flooded() {
    let rig = Rig::new(4, SchedulerOptions::default());
    rig.know_all_keys_in(0..32);
    // Slower than from one wake to the next.
    rig.signer.set_delay(|_| Duration::from_secs(15));
    rig.until(6, 0).await;
    let seen = rig.seen();
    assert_eq!(rig.scheduler.stats().made, 0);
    let wakes: BTreeSet<_> = seen.iter().map(|request| request.sent_in - first_slot()).collect();
    assert_eq!(wakes, (0..6).collect());
    let mut under_way: BTreeMap<u64, usize> = BTreeMap::new();
    for request in &seen {
        *under_way.entry(request.sent_in).or_default() += 1;
    }
    assert!(under_way.values().all(|count| *count <= 4), "{under_way:?}");
    rig.signer.set_delay(|_| Duration::from_secs(4));
    rig.until(12, 0).await;
    for duty in 13..=16 {
        rig.assert_ready(&rig.keys[0], first_slot() + duty).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_up_does_not_wait_for_a_slow_batch() {
    let rig = Rig::new(2, SchedulerOptions::default());
    rig.signer.set_delay(|call| Duration::from_secs(if call.is_batch { 8 } else { 0 }));
    rig.know_all_keys_in(1..2);
    rig.until(0, 90).await;
    let asked = Instant::now();
    let proof = rig.scheduler.proof(&rig.keys[0], Slot(first_slot() + 1)).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::from_millis(250));
    assert_eq!(rig.scheduler.stats().immediate, 1);
    rig.until(1, 60).await;
    assert_eq!(rig.scheduler.proof(&rig.keys[0], Slot(first_slot() + 1)).await.unwrap(), proof);
    rig.assert_ready(&rig.keys[1], first_slot() + 1).await;
}

#[tokio::test(start_paused = true)]
async fn look_ups_at_the_same_time_share_one_request() {
    let rig = Rig::new(1, SchedulerOptions::default());
    rig.signer.set_delay(|_| Duration::from_millis(100));
    let (key, slot) = (rig.keys[0], Slot(first_slot()));
    let look_ups = (0..10).map(|_| rig.scheduler.proof(&key, slot));
    let proofs = futures_util::future::try_join_all(look_ups).await.unwrap();
    assert_eq!(rig.signer.calls().len(), 1);
    assert!(proofs.windows(2).all(|pair| pair[0] == pair[1]));
    let stats = rig.scheduler.stats();
    assert_eq!((stats.immediate, stats.waited, stats.hits), (1, 9, 0));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_is_given_up_leaves_nothing_stuck() {
    let rig = Rig::new(1, SchedulerOptions::default());
    rig.signer.set_delay(|_| Duration::from_millis(500));
    let (key, slot) = (rig.keys[0], Slot(first_slot()));
    let given_up = tokio::time::timeout(Duration::from_millis(50), rig.scheduler.proof(&key, slot));
    given_up.await.unwrap_err();
    let asked = Instant::now();
    rig.scheduler.proof(&key, slot).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::from_millis(500), "its own request, without waiting");
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_says_why() {
    let rig = Rig::new(1, SchedulerOptions::default());
    let error = rig.scheduler.proof(&PublicKey([1; 48]), Slot(first_slot())).await.unwrap_err();
    assert!(matches!(error, SignError::UnknownKey));
    rig.signer.set_delay(|_| Duration::from_mins(5));
    let error = rig.scheduler.proof(&rig.keys[0], Slot(first_slot())).await.unwrap_err();
    assert!(matches!(error, SignError::DeadlinePassed));
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_is_forgotten_queued_under_way_or_made() {
    let rig = Rig::new(3, SchedulerOptions::default());
    rig.know_all_keys_in(1..4);
    let [queued, flying, made] = rig.keys[..] else { panic!("three keys") };
    rig.scheduler.remove_key(&queued);
    rig.signer.set_delay(|_| Duration::from_secs(1));
    rig.until(0, 84).await;
    assert_eq!(rig.seen().len(), 2, "slots 1 and 2 are under way");
    rig.scheduler.remove_key(&flying);
    rig.until(1, 0).await;
    rig.assert_ready(&made, first_slot() + 1).await;
    rig.scheduler.remove_key(&made);
    assert_eq!(rig.scheduler.stats().kept, 0);
    assert_eq!(rig.scheduler.stats().pending, 0);
    rig.until(5, 0).await;
    let seen = rig.seen();
    assert_eq!(seen.len(), 2, "nothing more was asked");
    assert!(seen.iter().all(|request| !request.keys.contains(&queued)));
    for key in [queued, flying, made] {
        rig.signer.remove_key(&key);
        let error = rig.scheduler.proof(&key, Slot(first_slot() + 5)).await.unwrap_err();
        assert!(matches!(error, SignError::UnknownKey));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_signer_lacks_holds_up_nobody_and_is_tried_again() {
    let rig = Rig::new(2, SchedulerOptions::default());
    rig.know_all_keys_in(0..32);
    rig.signer.remove_key(&rig.keys[0]);
    rig.until(12, 0).await;
    rig.signer.take_calls();
    rig.until(13, 0).await;
    let seen = rig.seen();
    let full: Vec<u64> = seen
        .iter()
        .filter(|request| request.keys.contains(&rig.keys[1]))
        .map(|request| request.duty - first_slot())
        .collect();
    assert_eq!(full, [20], "the other key's proofs are made in their turn");
    for index in [1, 2] {
        let mut secret = [0; 32];
        secret[31] = index;
        rig.signer.add_key(&secret).unwrap();
    }
    rig.until(14, 0).await;
    for duty in 14..=21 {
        rig.assert_ready(&rig.keys[0], first_slot() + duty).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sync_committee_proofs_are_made_for_each_subcommittee() {
    let rig = Rig::new(2, SchedulerOptions::default());
    rig.scheduler.set_sync_duties(START, [(rig.keys[0], 0), (rig.keys[0], 3), (rig.keys[1], 3)]);
    rig.until(9, 0).await;
    let slot = Slot(first_slot() + 9);
    let before = rig.scheduler.stats().hits;
    let zero = rig.scheduler.sync_proof(&rig.keys[0], slot, 0).await.unwrap();
    let three = rig.scheduler.sync_proof(&rig.keys[0], slot, 3).await.unwrap();
    rig.scheduler.sync_proof(&rig.keys[1], slot, 3).await.unwrap();
    assert_ne!(zero, three);
    assert_eq!(rig.scheduler.stats().hits, before + 3);
    // Attestation duties are another matter.
    rig.scheduler.set_attester_duties(START, []).unwrap();
    rig.until(12, 0).await;
    rig.scheduler.sync_proof(&rig.keys[1], Slot(first_slot() + 12), 3).await.unwrap();
    assert_eq!(rig.scheduler.stats().hits, before + 4);
}

#[tokio::test(start_paused = true)]
async fn chunks_and_requests_at_once_are_bounded() {
    let options =
        SchedulerOptions { chunk_keys: 5, max_in_flight: 2, ..SchedulerOptions::default() };
    let rig = Rig::new(23, options);
    rig.signer.set_delay(|_| Duration::from_millis(100));
    rig.know_all_keys_in(1..2);
    rig.until(1, 0).await;
    let seen = rig.seen();
    let sizes: Vec<usize> = seen.iter().map(|request| request.keys.len()).collect();
    assert_eq!(sizes, [5, 5, 5, 5, 3]);
    let began: Vec<_> =
        seen.iter().map(|request| request.into_slot.saturating_sub(seen[0].into_slot)).collect();
    let tenths: Vec<u128> = began.iter().map(|time| (time.as_millis() + 50) / 100).collect();
    assert_eq!(tenths, [0, 0, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn duties_outside_their_epoch_change_nothing() {
    let rig = Rig::new(2, SchedulerOptions::default());
    let slot = Slot(first_slot() + SLOTS_PER_EPOCH);
    let duties = [(rig.keys[0], Slot(first_slot() + 1)), (rig.keys[1], slot)];
    let error = rig.scheduler.set_attester_duties(START, duties).unwrap_err();
    assert_eq!(error, DutyOutsideEpoch { epoch: START, slot });
    assert_eq!(rig.scheduler.stats().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn impossible_options_are_refused() {
    let start = |options| {
        let signer = Arc::new(MockSigner::new([]).unwrap());
        let clock = Arc::new(TokioSlotClock::starting_at(Slot(0), SLOT).unwrap());
        let chain = chain(vec![ScheduledFork::new(Epoch(0), OLD)]);
        SelectionProofScheduler::start(signer, clock, chain, options).map(drop).unwrap_err()
    };
    let default = SchedulerOptions::default;
    assert_eq!(
        start(SchedulerOptions { max_in_flight: 0, ..default() }),
        OptionsError::Zero("max_in_flight")
    );
    let late = SchedulerOptions { offset: BasisPoints(9800), ..default() };
    assert_eq!(start(late), OptionsError::OutsideSlot);
}
