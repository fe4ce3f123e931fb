//! Look-ups beside what is under way.

use super::*;

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
async fn a_look_up_may_have_all_the_patience_there_is() {
    let options =
        SchedulerOptions { look_up_patience: Duration::MAX, ..SchedulerOptions::default() };
    let rig = Rig::new(1, options);
    rig.signer.set_delay(|call| Duration::from_secs(if call.is_batch { 2 } else { 0 }));
    rig.know_all_keys_in(1..2);
    rig.until(0, 85).await;
    rig.scheduler.proof(&rig.keys[0], Slot(first_slot() + 1)).await.unwrap();
    let stats = rig.scheduler.stats();
    assert_eq!((stats.waited, stats.immediate), (1, 0));
}
