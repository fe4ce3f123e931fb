//! Errors that need an operator.

use super::*;
use crate::slashing::ProtectionState;

const REASON: &str = "the database has lost records";

fn lost() -> StoreError {
    StoreError::BatchesLost { written: 2, found: 1 }
}

#[tokio::test]
async fn lost_records_halt_for_good_and_everybody_is_told_why() {
    let rig = rig(100, 100);
    rig.script.failures.lock().push_back(Some(lost()));
    let halted = Err(Unavailable::Halted { reason: REASON });
    assert_eq!(rig.attest(1, 1).await.await.unwrap(), halted);
    assert_eq!(rig.attest(2, 1).await.await.unwrap(), halted);
    assert_eq!(rig.propose(2).await.await.unwrap(), halted);
    let registration = rig.lane.register(vec![PublicKey::ZERO]).await;
    assert_eq!(registration, Err(Unavailable::Halted { reason: REASON }));
    assert_eq!(rig.lane.status().state(), ProtectionState::Halted { reason: REASON });
    assert!(!rig.script.lines().contains(&"recover".to_owned()), "it opens nothing again");
    rig.lane.close().await.unwrap();
    assert_eq!(rig.attest(3, 1).await.await.unwrap(), Err(Unavailable::Closed));
}

#[tokio::test]
async fn records_found_missing_while_it_is_opened_again_halt_too() {
    let rig = rig(100, 100);
    rig.script.failures.lock().push_back(Some(StoreError::NotOpen));
    *rig.script.recovery_error.lock() = Some(lost());
    assert_eq!(rig.attest(1, 1).await.await.unwrap(), Err(Unavailable::Database));
    rig.until(|lines| lines.iter().any(|line| line == "recover")).await;
    let wait = async {
        while rig.lane.status().state() != (ProtectionState::Halted { reason: REASON }) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("it halts");
    let answer = rig.attest(1, 1).await.await.unwrap();
    assert_eq!(answer, Err(Unavailable::Halted { reason: REASON }));
}

#[tokio::test]
async fn halted_task_ends_when_nobody_is_left() {
    let rig = rig(100, 100);
    rig.script.failures.lock().push_back(Some(lost()));
    rig.attest(1, 1).await.await.unwrap().unwrap_err();
    let Rig { lane, script, .. } = rig;
    drop(lane);
    let wait = async {
        while !script.lines().contains(&"close".to_owned()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("it ends");
}
