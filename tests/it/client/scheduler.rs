//! The scheduler against real signers, with short slots in real time.

use std::{sync::Arc, time::Duration};

use midslot_tests::{SignerOptions, requests};
use signer_client::{
    client::{HttpOptions, HttpSigner, Selection},
    selection::{
        BasisPoints, Chain, ScheduledFork, SchedulerOptions, SelectionProofScheduler, SlotClock,
        TokioSlotClock,
    },
    wire::{Epoch, ForkVersion, Slot},
};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, assert_signed, endpoint, fork_info, key, keys};

const SLOT: Duration = Duration::from_millis(400);
const KEYS: u64 = 6;

/// Waits until a condition holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Mainnet, as far as the tests need it.
pub(super) fn chain() -> Chain {
    let fulu = fork_info();
    let forks = vec![
        ScheduledFork::new(Epoch(0), ForkVersion([5, 0, 0, 0])),
        ScheduledFork::new(fulu.fork.epoch, fulu.fork.current_version),
    ];
    Chain::new(fulu.genesis_validators_root, 32, forks).unwrap()
}

/// An epoch that the signer makes proofs ahead for.
pub(super) fn next_epoch() -> Epoch {
    Epoch(requests::current_slot() / 32 + 1)
}

#[tokio::test]
async fn proofs_are_ready_even_when_one_of_two_signers_is_killed() {
    let first = SignerOptions::with_interop_keys(KEYS).start().await.unwrap();
    let second = SignerOptions::with_interop_keys(KEYS).start().await.unwrap();
    let endpoints = vec![endpoint(&first), endpoint(&second)];
    let signer = Arc::new(HttpSigner::new(endpoints, HttpOptions::default()).unwrap());

    let (fulu, chain, epoch) = (fork_info(), chain(), next_epoch());
    let start = Slot(epoch.0 * 32);
    assert_eq!(chain.fork_info(start), fulu);
    let clock = Arc::new(TokioSlotClock::starting_at(start, SLOT).unwrap());
    let options = SchedulerOptions { jitter: BasisPoints(0), ..SchedulerOptions::default() };
    let scheduler = SelectionProofScheduler::start(signer, clock.clone(), chain, options).unwrap();
    let duties = (start.0..start.0 + 32)
        .flat_map(|slot| keys(KEYS).into_iter().map(move |key| (key, Slot(slot))));
    scheduler.set_attester_duties(epoch, duties).unwrap();

    until("proofs are made", || scheduler.stats().made >= 4 * KEYS).await;
    first.kill().await.unwrap();
    let so_far = scheduler.stats().made;
    until("the other signer makes them", || scheduler.stats().made >= so_far + 6 * KEYS).await;

    let now = Slot((clock.since_genesis().as_nanos() / SLOT.as_nanos()).try_into().unwrap());
    let next = Slot(now.0 + 1);
    let mut proofs = Vec::new();
    for index in 0..KEYS {
        proofs.push(scheduler.proof(&key(index), next).await);
    }
    assert_signed(&Selection::Attestation.request(next, fulu), &proofs);
    let stats = scheduler.stats();
    assert_eq!((stats.hits, stats.immediate), (KEYS, 0), "{stats:?}");
    drop(second);
}
