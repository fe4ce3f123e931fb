//! Signers that are away, slow or started again, and keys that come and go.

use super::*;

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
