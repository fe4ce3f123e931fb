//! A lane with a worker for each kind of work.

use super::*;

struct Divided {
    lane: Lane,
    /// Two for attestations, then blocks, then the rest, then pruning.
    scripts: [Arc<Script>; 5],
    audit: Writer,
}

fn divided() -> Divided {
    divided_with(None)
}

fn divided_with(pruning_schedule: Option<PruningSchedule>) -> Divided {
    let scripts: [Arc<Script>; 5] = std::array::from_fn(|_| Arc::default());
    let permits = Arc::new(Semaphore::new(1_000));
    let [one, two, blocks, general, pruning] = scripts.clone().map(|script| {
        let permits = permits.clone();
        ScriptedStore { script, permits }
    });
    let buffer = Buffer::new("test", 1);
    let long = Duration::from_mins(1);
    let lane = Lane::start_divided(
        Stores { attestations: vec![one, two], blocks, general, pruning },
        buffer.clone(),
        100,
        HealthCheck { interval: long, timeout: long },
        pruning_schedule,
    );
    Divided { lane, scripts, audit: Writer::new(buffer) }
}

impl Divided {
    fn request<T>(&self, key: u8, subject: T) -> Request<T> {
        let ticket = self.audit.begin(Client::default(), "");
        Request {
            key: PublicKey([key; 48]),
            subject,
            signing_root: Root([1; 32]),
            genesis_validators_root: Root::ZERO,
            audit: ticket.unconfirmed().unwrap(),
        }
    }

    async fn attest(&self, key: u8) -> Result<Decision, Unavailable> {
        let vote = VoteEpochs { source: Epoch(1), target: Epoch(2) };
        self.lane.clear_attestation(self.request(key, vote)).await
    }

    fn count(&self, worker: usize, what: &str) -> usize {
        self.scripts[worker].lines().iter().filter(|line| line.starts_with(what)).count()
    }
}

#[tokio::test]
async fn each_kind_has_its_worker_and_each_key_always_the_same() {
    let rig = divided();
    for _ in 0..3 {
        for key in 0..8 {
            assert_eq!(rig.attest(key).await, Ok(Decision::New));
        }
    }
    assert_eq!(rig.lane.clear_block(rig.request(1, Slot(1))).await, Ok(Decision::New));
    rig.lane.register(vec![PublicKey::ZERO]).await.unwrap();
    let attestations = [0, 1, 2, 3].map(|worker| rig.count(worker, "attestations"));
    assert_eq!(attestations, [12, 12, 0, 0]);
    assert_eq!([0, 1, 2, 3].map(|worker| rig.count(worker, "blocks")), [0, 0, 1, 0]);
    assert_eq!([0, 1, 2, 3].map(|worker| rig.count(worker, "register")), [0, 0, 0, 1]);
}

#[tokio::test]
async fn one_broken_worker_is_unhealthy_and_holds_up_no_other() {
    let rig = divided();
    rig.scripts[0].failures.lock().push_back(Some(StoreError::NotOpen));
    *rig.scripts[0].failing_recoveries.lock() = u32::MAX;
    assert_eq!(rig.attest(0).await, Err(Unavailable::Database));
    assert_eq!(rig.attest(2).await, Err(Unavailable::Database), "the same worker");
    assert_eq!(rig.attest(1).await, Ok(Decision::New));
    assert_eq!(rig.lane.clear_block(rig.request(0, Slot(1))).await, Ok(Decision::New));
    assert!(!rig.lane.status().is_healthy());
}

#[tokio::test]
async fn only_the_last_worker_writes_audit_rows_and_it_closes_last() {
    let rig = divided();
    assert_eq!(rig.attest(0).await, Ok(Decision::New));
    rig.audit.begin(Client::default(), "a").finish(Outcome::Malformed, None);
    rig.lane.close().await.unwrap();
    assert_eq!([0, 1, 2].map(|worker| rig.scripts[worker].audit.lock().len()), [0, 0, 0]);
    // One of the request, whose ticket was dropped, and one of the malformed one.
    assert_eq!(rig.scripts[3].audit.lock().len(), 2);
    for script in &rig.scripts[..4] {
        assert_eq!(script.lines().last().map(String::as_str), Some("close"));
    }
    assert_eq!(rig.attest(0).await, Err(Unavailable::Closed));
    assert_eq!(rig.lane.register(vec![]).await, Err(Unavailable::Closed));
}

#[tokio::test(start_paused = true)]
async fn pruning_is_a_task_of_its_own_and_ends_with_the_lane() {
    let policy = PruningPolicy { epochs_to_keep: 250, slots_per_epoch: 32 };
    let hour = Duration::from_hours(1);
    let rig = divided_with(Some(PruningSchedule { policy, interval: hour, at_start: true }));
    let failed = Err(StoreError::NotOpen);
    let more = Ok(PruningStep { rows: 10, is_last: false });
    rig.scripts[4].pruning.lock().extend([more, failed]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(rig.count(4, "prune"), 2, "the failure ended the run");
    assert_eq!([0, 1, 2, 3].map(|worker| rig.count(worker, "prune")), [0; 4]);
    assert!(rig.lane.status().is_healthy(), "signing has nothing to do with it");
    tokio::time::sleep(hour).await;
    assert_eq!(rig.count(4, "prune"), 3);
    let totals = rig.lane.status().general().pruning();
    assert_eq!((totals.rows, totals.runs), (10, 1));
    rig.lane.close().await.unwrap();
    tokio::time::sleep(3 * hour).await;
    assert_eq!(rig.count(4, "prune"), 3);
}
