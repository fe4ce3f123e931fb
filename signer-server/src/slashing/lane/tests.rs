//! The lane over a store that does what the test says.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use signer_client::wire::{Epoch, Root};
use tokio::{sync::Semaphore, time::timeout};

use super::*;
use crate::{
    audit::{AuditOptions, Client, Durability, Entry, Outcome, Retention, RowClass, Writer},
    slashing::{
        HighWatermark,
        refusal::Refusal,
        store::{
            audit_retention::{AuditRetention, Swept},
            pruning::{Pruning, PruningPolicy, PruningStep},
        },
    },
};

mod batches;
mod divided;
mod halt;
mod pruning;
mod service;

/// How long a step of pruning takes.
const STEP_TAKES: Duration = Duration::from_millis(10);

/// What a [`ScriptedStore`] did, for the test to look at, and what holds it up.
#[derive(Debug, Default)]
struct Script {
    log: Mutex<Vec<String>>,
    /// Errors for the next calls that clear; `None` for success.
    failures: Mutex<VecDeque<Option<StoreError>>>,
    /// How many times opening again fails.
    failing_recoveries: Mutex<u32>,
    /// What opening again fails with once the failures above are used up.
    recovery_error: Mutex<Option<StoreError>>,
    audit: Mutex<Vec<Entry>>,
    /// What the next steps of pruning come to; then each is the last one of its run.
    pruning: Mutex<VecDeque<Result<PruningStep, StoreError>>>,
}

impl Script {
    fn log(&self, line: String) {
        self.log.lock().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.log.lock().clone()
    }
}

/// Records everything, after a permit for each batch.
struct ScriptedStore {
    script: Arc<Script>,
    permits: Arc<Semaphore>,
}

impl ScriptedStore {
    async fn clear<T>(
        &mut self,
        kind: &str,
        batch: &[Request<T>],
    ) -> Result<Vec<Decision>, StoreError> {
        self.script.log(format!("{kind} {}", batch.len()));
        self.permits.acquire().await.unwrap().forget();
        let failure = self.script.failures.lock().pop_front().flatten();
        failure.map_or_else(|| Ok(vec![Decision::New; batch.len()]), Err)
    }
}

impl Store for ScriptedStore {
    async fn clear_attestations(
        &mut self,
        batch: &[Request<VoteEpochs>],
    ) -> Result<Vec<Decision>, StoreError> {
        self.clear("attestations", batch).await
    }

    async fn clear_blocks(&mut self, batch: &[Request<Slot>]) -> Result<Vec<Decision>, StoreError> {
        self.clear("blocks", batch).await
    }

    async fn register(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        self.script.log(format!("register {}", keys.len()));
        Ok(())
    }

    fn high_watermark(&self) -> Option<HighWatermark> {
        None
    }

    fn transactions(&self) -> Option<u64> {
        None
    }

    async fn write_audit(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        self.script.log("audit".to_owned());
        self.script.audit.lock().extend(entries.iter().map(|entry| (*entry).clone()));
        Ok(())
    }

    async fn read_audit(&mut self, _: &Filter) -> Result<AuditPart, StoreError> {
        Ok(AuditPart::default())
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        self.script.log("check".to_owned());
        self.script.failures.lock().pop_front().flatten().map_or(Ok(()), Err)
    }

    async fn idle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn recover(&mut self) -> Result<(), StoreError> {
        self.script.log("recover".to_owned());
        let mut failing = self.script.failing_recoveries.lock();
        if *failing == 0 {
            return self.script.recovery_error.lock().take().map_or(Ok(()), Err);
        }
        *failing -= 1;
        Err(StoreError::NotOpen)
    }

    async fn close(self) -> Result<(), StoreError> {
        self.script.log("close".to_owned());
        Ok(())
    }
}

impl AuditRetention for ScriptedStore {
    async fn delete_expired_audit(
        &mut self,
        class: RowClass,
        _cutoff_us: i64,
    ) -> Result<Swept, StoreError> {
        self.script.log(format!("sweep {class:?}"));
        let finished = self.script.lines().iter().filter(|line| line.starts_with("sweep")).count();
        Ok(Swept { deleted: 1, finished: finished % 2 == 0 })
    }
}

impl Pruning for ScriptedStore {
    async fn prune_step(&mut self, _: PruningPolicy) -> Result<PruningStep, StoreError> {
        self.script.log("prune".to_owned());
        tokio::time::sleep(STEP_TAKES).await;
        let step = self.script.pruning.lock().pop_front();
        step.unwrap_or(Ok(PruningStep { rows: 0, is_last: true }))
    }
}

struct Rig {
    lane: Lane,
    script: Arc<Script>,
    permits: Arc<Semaphore>,
    audit: Writer,
}

/// A lane whose store may write `permits` batches before it waits for more.
fn rig(capacity: usize, permits: usize) -> Rig {
    let long = Duration::from_mins(1);
    rig_with(capacity, permits, HealthCheck { interval: long, timeout: long })
}

fn rig_with(capacity: usize, permits: usize, health_check: HealthCheck) -> Rig {
    rig_that_prunes(capacity, permits, health_check, None, Script::default())
}

/// The same for no permits and these options of the audit.
fn rig_of(options: AuditOptions) -> Rig {
    let long = Duration::from_mins(1);
    let health_check = HealthCheck { interval: long, timeout: long };
    rig_on(Buffer::open("test", 1, options), 100, 0, health_check, None, Script::default())
}

fn rig_that_prunes(
    capacity: usize,
    permits: usize,
    health_check: HealthCheck,
    pruning: Option<PruningSchedule>,
    script: Script,
) -> Rig {
    rig_on(Buffer::new("test", 1), capacity, permits, health_check, pruning, script)
}

fn rig_on(
    buffer: Arc<Buffer>,
    capacity: usize,
    permits: usize,
    health_check: HealthCheck,
    pruning: Option<PruningSchedule>,
    script: Script,
) -> Rig {
    let script = Arc::new(script);
    let permits = Arc::new(Semaphore::new(permits));
    let store = ScriptedStore { script: script.clone(), permits: permits.clone() };
    let lane = Lane::start(store, buffer.clone(), capacity, health_check, pruning);
    Rig { lane, script, permits, audit: Writer::new(buffer) }
}

impl Rig {
    fn request<T>(&self, key: u8, subject: T, root: u8) -> Request<T> {
        let ticket = self.audit.begin(Client::default(), "");
        Request {
            key: PublicKey([key; 48]),
            subject,
            signing_root: Root([root; 32]),
            genesis_validators_root: Root::ZERO,
            audit: ticket.unconfirmed().unwrap(),
        }
    }

    /// Sends an attestation and returns when it is in the queue.
    async fn attest(
        &self,
        key: u8,
        root: u8,
    ) -> tokio::task::JoinHandle<Result<Decision, Unavailable>> {
        let lane = self.lane.clone();
        let vote = VoteEpochs { source: Epoch(1), target: Epoch(2) };
        let request = self.request(key, vote, root);
        let task = tokio::spawn(async move { lane.clear_attestation(request).await });
        tokio::task::yield_now().await;
        task
    }

    async fn propose(&self, key: u8) -> tokio::task::JoinHandle<Result<Decision, Unavailable>> {
        self.propose_root(key, 1).await
    }

    async fn propose_root(
        &self,
        key: u8,
        root: u8,
    ) -> tokio::task::JoinHandle<Result<Decision, Unavailable>> {
        let lane = self.lane.clone();
        let request = self.request(key, Slot(1), root);
        let task = tokio::spawn(async move { lane.clear_block(request).await });
        tokio::task::yield_now().await;
        task
    }

    /// Sends one attestation and waits until the store holds it back.
    async fn occupy(&self) -> tokio::task::JoinHandle<Result<Decision, Unavailable>> {
        let first = self.attest(0, 1).await;
        self.until(|lines| !lines.is_empty()).await;
        first
    }

    async fn until(&self, reached: impl Fn(&[String]) -> bool) {
        let wait = async {
            while !reached(&self.script.lines()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(5), wait).await.expect("the lane gets there");
    }

    fn clearances(&self) -> Vec<String> {
        let mut lines = self.script.lines();
        lines.retain(|line| line.starts_with("attestations") || line.starts_with("blocks"));
        lines
    }
}
