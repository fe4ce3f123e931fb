//! From waiting requests to batches and their answers.

use super::*;

#[tokio::test]
async fn what_waits_becomes_one_batch_and_blocks_go_first() {
    let rig = rig(100, 0);
    let mut tasks = vec![rig.occupy().await];
    for key in 1..=20 {
        tasks.push(rig.attest(key, 1).await);
    }
    tasks.push(rig.propose(1).await);
    rig.permits.add_permits(3);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
    assert_eq!(rig.clearances(), ["attestations 1", "blocks 1", "attestations 20"]);
}

#[tokio::test]
async fn batches_are_capped() {
    let rig = rig(1_000, 0);
    let mut tasks = vec![rig.occupy().await];
    for number in 0..300_u32 {
        let lane = rig.lane.clone();
        let mut request = rig.request(1, VoteEpochs { source: Epoch(1), target: Epoch(2) }, 1);
        request.key.0[..4].copy_from_slice(&number.to_le_bytes());
        tasks.push(tokio::spawn(async move { lane.clear_attestation(request).await }));
    }
    tokio::task::yield_now().await;
    rig.permits.add_permits(3);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
    assert_eq!(rig.clearances(), ["attestations 1", "attestations 256", "attestations 44"]);
}

#[tokio::test]
async fn identical_requests_share_a_record_and_a_different_one_waits() {
    let rig = rig(100, 0);
    let first = rig.occupy().await;
    let same = [rig.attest(1, 7).await, rig.attest(1, 7).await, rig.attest(1, 7).await];
    let different = rig.attest(1, 8).await;
    rig.permits.add_permits(3);
    assert_eq!(first.await.unwrap(), Ok(Decision::New));
    let mut answers = vec![];
    for task in same {
        answers.push(task.await.unwrap().unwrap());
    }
    assert_eq!(answers, [Decision::New, Decision::Repeat, Decision::Repeat]);
    assert_eq!(different.await.unwrap(), Ok(Decision::New));
    assert_eq!(rig.clearances(), ["attestations 1", "attestations 1", "attestations 1"]);
}

#[tokio::test]
async fn zero_roots_are_never_taken_for_the_same() {
    let rig = rig(100, 0);
    let first = rig.occupy().await;
    let zeros = [rig.attest(1, 0).await, rig.attest(1, 0).await];
    rig.permits.add_permits(3);
    assert!(first.await.unwrap().is_ok());
    for task in zeros {
        assert_eq!(task.await.unwrap(), Ok(Decision::New), "each was judged by the store");
    }
    assert_eq!(rig.clearances().len(), 3);
}

#[tokio::test]
async fn full_queue_answers_at_once_and_loses_nothing() {
    let rig = rig(2, 0);
    let first = rig.occupy().await;
    let waiting = [rig.attest(1, 1).await, rig.attest(2, 1).await];
    let refused = timeout(Duration::from_secs(1), rig.attest(3, 1).await).await;
    assert_eq!(refused.unwrap().unwrap(), Err(Unavailable::QueueFull));
    // Blocks have a queue of their own.
    let block = rig.propose(4).await;
    rig.permits.add_permits(3);
    assert!(first.await.unwrap().is_ok() && block.await.unwrap().is_ok());
    for task in waiting {
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
}

#[tokio::test]
async fn withdrawn_before_a_batch_is_dropped_and_in_a_batch_runs_to_its_end() {
    let rig = rig(100, 0);
    let in_batch = rig.occupy().await;
    let withdrawn = rig.attest(1, 1).await;
    let kept = rig.attest(2, 1).await;
    in_batch.abort();
    withdrawn.abort();
    tokio::task::yield_now().await;
    rig.permits.add_permits(2);
    assert_eq!(kept.await.unwrap(), Ok(Decision::New));
    assert_eq!(rig.clearances(), ["attestations 1", "attestations 1"]);
    assert_eq!(rig.permits.available_permits(), 0, "the abandoned batch was finished");
}

#[tokio::test]
async fn failure_tells_the_batch_and_opens_the_database_again() {
    let rig = rig(100, 0);
    rig.script.failures.lock().extend([Some(StoreError::NotOpen), None]);
    let failed = rig.occupy().await;
    rig.permits.add_permits(2);
    assert_eq!(failed.await.unwrap(), Err(Unavailable::Database));
    rig.until(|lines| lines.iter().any(|line| line == "recover")).await;
    let answer = loop {
        // Until it is open again it says so at once.
        match rig.attest(1, 1).await.await.unwrap() {
            Err(Unavailable::Database) => {}
            answer => break answer,
        }
    };
    assert_eq!(answer, Ok(Decision::New));
    assert!(rig.lane.status().is_healthy());
}

#[tokio::test]
async fn while_the_database_is_away_everybody_is_told_at_once() {
    let rig = rig(100, 10);
    rig.script.failures.lock().push_back(Some(StoreError::NotOpen));
    *rig.script.failing_recoveries.lock() = 3;
    assert_eq!(rig.attest(0, 1).await.await.unwrap(), Err(Unavailable::Database));
    rig.until(|lines| lines.iter().any(|line| line == "recover")).await;
    assert!(!rig.lane.status().is_healthy());
    assert_eq!(rig.attest(1, 1).await.await.unwrap(), Err(Unavailable::Database));
    assert_eq!(rig.propose(1).await.await.unwrap(), Err(Unavailable::Database));
    assert_eq!(rig.lane.register(vec![]).await, Err(Unavailable::Database));
    while !rig.lane.status().is_healthy() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.attest(1, 1).await.await.unwrap(), Ok(Decision::New));
}

#[tokio::test]
async fn finished_rows_are_written_soon_and_not_lost_in_a_failure() {
    let rig = rig(100, 10);
    rig.audit.begin(Client::default(), "a").finish(Outcome::Malformed, None);
    rig.until(|lines| lines.iter().any(|line| line == "audit")).await;
    assert_eq!(rig.script.audit.lock().len(), 1);
    assert_eq!(rig.audit.waiting_rows(), 0);
}

#[tokio::test]
async fn close_finishes_what_waits() {
    let rig = rig(100, 0);
    let tasks = [rig.occupy().await, rig.attest(1, 1).await, rig.propose(2).await];
    rig.audit.begin(Client::default(), "a").finish(Outcome::UnknownKey, None);
    let lane = rig.lane.clone();
    let closing = tokio::spawn(async move { lane.close().await });
    tokio::task::yield_now().await;
    rig.permits.add_permits(3);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
    closing.await.unwrap().unwrap();
    let lines = rig.script.lines();
    assert_eq!(lines.last().map(String::as_str), Some("close"));
    let rows = rig.script.audit.lock().len();
    assert!(rows >= 1, "finished rows are written before the end");
    assert_eq!(rig.attest(5, 1).await.await.unwrap(), Err(Unavailable::Closed));
    assert!(!rig.lane.status().is_healthy());
    rig.lane.close().await.unwrap();
}

#[test]
fn refusals_are_shared_as_they_are() {
    let (reply, mut answer) = oneshot::channel();
    let (other_reply, mut other_answer) = oneshot::channel();
    let decision = Decision::Refused(Refusal::Disabled);
    let (sender, receiver) = mpsc::channel(4);
    let mut intake = batch::Intake::new(receiver);
    let buffer = Buffer::new("", 1);
    for reply in [reply, other_reply] {
        let audit = Writer::new(buffer.clone()).begin(Client::default(), "").unconfirmed().unwrap();
        let request = Request {
            key: PublicKey::ZERO,
            subject: Slot(1),
            signing_root: Root([1; 32]),
            genesis_validators_root: Root::ZERO,
            audit,
        };
        sender.try_send(Waiting { request, reply }).unwrap();
    }
    let batch = intake.next_batch();
    assert_eq!(batch.requests.len(), 1);
    batch.answer(Ok(vec![decision])).unwrap();
    assert_eq!(answer.try_recv().unwrap(), Ok(decision));
    assert_eq!(other_answer.try_recv().unwrap(), Ok(decision));
}
