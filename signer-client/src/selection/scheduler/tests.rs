//! The scheduler on a clock that jumps from one timer to the next, with real signatures.

mod faults;
mod look_ups;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

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
