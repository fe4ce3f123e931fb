//! Who gets a turn, and what the lane says about its health.

use super::*;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn flood_of_blocks_starves_neither_attestations_nor_audit_rows_nor_commands() {
    let rig = rig(100, 0);
    let mut tasks = vec![rig.occupy().await];
    // Different blocks of one key: each needs a batch of its own.
    for root in 1..=5 {
        tasks.push(rig.propose_root(1, root).await);
    }
    tasks.push(rig.attest(2, 1).await);
    for _ in 0..4 * crate::audit::WRITE_BATCH {
        rig.audit.begin(Client::default(), "a").finish(Outcome::Malformed, None);
    }
    let lane = rig.lane.clone();
    let registration = tokio::spawn(async move { lane.register(vec![PublicKey::ZERO]).await });
    tokio::task::yield_now().await;
    rig.permits.add_permits(10);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
    registration.await.unwrap().unwrap();
    let lines = rig.script.lines();
    let place = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    let last_block = lines.iter().rposition(|line| line == "blocks 1").unwrap();
    let attestation = lines.iter().rposition(|line| line == "attestations 1").unwrap();
    for (what, place) in
        [("attestation", attestation), ("audit", place("audit")), ("register", place("register 1"))]
    {
        assert!(place < last_block, "{what} waited for every block: {lines:?}");
    }
}

#[tokio::test]
async fn database_that_hangs_is_unhealthy_until_it_goes_on() {
    let rig = rig_with(100, 0, HealthCheck { interval: LONG, timeout: SHORT });
    tokio::time::sleep(2 * SHORT).await;
    assert!(rig.lane.status().is_healthy(), "waiting for work is healthy");
    let request = rig.occupy().await;
    assert!(rig.lane.status().is_healthy(), "working is healthy");
    assert_eq!(rig.lane.status().general().known_trouble(), None);
    tokio::time::sleep(2 * SHORT).await;
    assert!(!rig.lane.status().is_healthy());
    assert_eq!(
        rig.lane.status().general().known_trouble(),
        Some(Unavailable::TimedOut),
        "told at once"
    );
    rig.permits.add_permits(1);
    assert_eq!(request.await.unwrap(), Ok(Decision::New));
    while !rig.lane.status().is_healthy() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn idle_database_is_checked_and_a_failure_shows_without_a_request() {
    let rig = rig_with(100, 0, HealthCheck { interval: SHORT, timeout: LONG });
    rig.until(|lines| lines.iter().filter(|line| *line == "check").count() >= 2).await;
    assert!(rig.lane.status().is_healthy());
    *rig.script.failing_recoveries.lock() = 2;
    rig.script.failures.lock().push_back(Some(StoreError::NotOpen));
    rig.until(|lines| lines.iter().any(|line| line == "recover")).await;
    assert!(!rig.lane.status().is_healthy());
    while !rig.lane.status().is_healthy() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn expired_rows_are_deleted_when_it_is_quiet_and_not_before_what_waits() {
    let week = Some(Duration::from_hours(7 * 24));
    let retention = Retention { evidence: week, bulk: week };
    let rig = rig_of(AuditOptions { retention, ..AuditOptions::default() });
    rig.until(|lines| lines.iter().filter(|line| line.starts_with("sweep")).count() == 4).await;
    tokio::time::sleep(SHORT).await;
    let sweeps = ["sweep Bulk", "sweep Bulk", "sweep Evidence", "sweep Evidence"];
    assert_eq!(rig.script.lines(), sweeps, "one sweep, then a long pause");

    let rig = rig_of(AuditOptions { retention, ..AuditOptions::default() });
    let mut tasks = Vec::new();
    for root in 1..=20 {
        tasks.push(rig.propose_root(1, root).await);
    }
    rig.permits.add_permits(20);
    rig.until(|lines| lines.iter().any(|line| line.starts_with("sweep"))).await;
    let lines = rig.script.lines();
    assert!(lines[..20].iter().all(|line| line == "blocks 1"), "{lines:?}");
}

#[tokio::test]
async fn rows_that_signatures_wait_for_are_written_at_once_and_together() {
    let durability = Durability::Strict;
    let rig = rig_of(AuditOptions { durability, ..AuditOptions::default() });
    // The store is busy, so the rows gather.
    let busy = rig.occupy().await;
    let releases: Vec<_> = (0..10)
        .map(|_| tokio::spawn(rig.audit.begin(Client::default(), "a").release(Outcome::Signed)))
        .collect();
    // The ticket behind the attestation left a row, too.
    while rig.audit.waiting_rows() < 11 {
        tokio::task::yield_now().await;
    }
    rig.permits.add_permits(1);
    assert_eq!(busy.await.unwrap(), Ok(Decision::New));
    for release in releases {
        assert_eq!(release.await.unwrap(), Ok(()));
    }
    assert_eq!(rig.script.lines(), ["attestations 1", "audit"], "one transaction");
    assert_eq!(rig.script.audit.lock().len(), 11);
}
