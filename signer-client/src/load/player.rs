//! Does at its instant what the schedule says, and remembers the proofs that later steps need.

mod aggregators;

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};

use super::{
    LoadError, Plan, Progress,
    bodies::{Bodies, Body},
    duties::{Duties, Validator},
    pre_requests::PreRequests,
    profile::{Manners, Profile},
    recorder::{Recorder, Timeline},
    report::{Report, rows},
    schedule::{AGGREGATE_DUE, ATTESTATION_DUE, Action, BLOCK_READY, Step, steps},
    stats::{Failure, Kind, Stats},
    verify::Verifier,
    wire::{Lane, Wire},
};
use crate::{
    client::SignError,
    selection::BasisPoints,
    wire::{PublicKey, Signature, Slot},
};

/// The length of a slot for which the manners of clients are written down.
const USUAL_SLOT_SECONDS: f64 = 12.0;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Plays one client.
pub(super) struct Player {
    profile: Profile,
    manners: Manners,
    scale: f64,
    duties: Duties,
    bodies: Bodies,
    wire: Arc<Wire>,
    recorder: Arc<Recorder>,
    pre_requests: Option<PreRequests>,
    proofs: Mutex<Proofs>,
    /// Proofs are asked for in the order of the steps, however long each takes.
    proof_lane: tokio::sync::Mutex<()>,
    /// No new requests.
    ended: AtomicBool,
    lag_micros: AtomicU64,
    slots: u64,
}

/// Proofs at hand.
#[derive(Default)]
struct Proofs {
    of_attesters: HashMap<(Slot, Validator), Signature>,
    of_members: HashMap<(Slot, Validator, u64), Signature>,
}

impl Player {
    pub(super) fn new(
        plan: &Plan,
        keys: &[PublicKey],
        first: Slot,
        warm_up_slots: u64,
    ) -> Result<Self, LoadError> {
        let manners = plan.profile.manners();
        let slot_duration = plan.chain.slot_duration();
        let scale = slot_duration.as_secs_f64() / USUAL_SLOT_SECONDS;
        let stats = Arc::new(Stats::default());
        let verifier = plan.verify.then(|| Verifier::start(keys, stats.clone()));
        let recorder = Arc::new(Recorder {
            timeline: Timeline {
                origin: Instant::now() + plan.chain.until(first),
                first,
                observed_from: Slot(first.0 + warm_up_slots),
                slot_duration,
            },
            stats,
            verifier: verifier.transpose().map_err(LoadError::Thread)?,
        });
        let duties = Duties::new(plan.seed, plan.validators, plan.network_validators);
        let bodies = Bodies::new(plan.chain, &manners);
        let pre_requests = (plan.profile == Profile::Midslot)
            .then(|| PreRequests::start(plan, keys, duties, bodies, recorder.clone()));
        Ok(Self {
            profile: plan.profile,
            manners,
            scale,
            duties,
            bodies,
            wire: Wire::new(&plan.url, keys, &manners, scale)?,
            recorder,
            pre_requests: pre_requests.transpose()?,
            proofs: Mutex::default(),
            proof_lane: tokio::sync::Mutex::default(),
            ended: AtomicBool::new(false),
            lag_micros: AtomicU64::new(0),
            slots: warm_up_slots + plan.slots,
        })
    }

    /// Plays all slots. Gives how many.
    pub(super) async fn play(
        self: &Arc<Self>,
        progress: impl Fn(Progress),
        stop: impl Future<Output = ()>,
    ) -> u64 {
        let timeline = self.recorder.timeline;
        let mut tasks = JoinSet::new();
        if self.manners.probe.is_some() {
            tasks.spawn(self.clone().probe());
        }
        let mut ticks = interval(PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stop = pin!(stop);
        let mut spawned = 0;
        loop {
            if spawned < self.slots {
                let slot = Slot(timeline.first.0 + spawned);
                self.prepare(slot);
                for step in steps(self.profile, &self.duties, slot, timeline.first) {
                    tasks.spawn(self.clone().run(slot, step));
                }
                spawned += 1;
            }
            // The next slot's steps are set up in the quiet end of this one.
            let is_last = spawned == self.slots;
            let into_slot = BasisPoints(if is_last { 10_000 } else { 9_000 });
            let wake = timeline.instant(Slot(timeline.first.0 + spawned - 1), into_slot);
            let stopped = loop {
                tokio::select! {
                    () = sleep_until(wake) => break false,
                    () = &mut stop => break true,
                    _ = ticks.tick() => progress(self.progress()),
                    Some(_) = tasks.join_next() => {}
                }
            };
            if stopped || is_last {
                break;
            }
        }
        self.ended.store(true, Ordering::Relaxed);
        // What is under way may end.
        let patience = Instant::now() + timeline.slot_duration;
        let rest = async { while tasks.join_next().await.is_some() {} };
        drop(timeout_at(patience, rest).await);
        tasks.shutdown().await;
        progress(self.progress());
        self.slots_done()
    }

    /// What was measured, once everything has ended.
    pub(super) fn report(self: Arc<Self>, plan: &Plan, slots: u64) -> Report {
        let Some(player) = Arc::into_inner(self) else { unreachable!("all tasks have ended") };
        // The scheduler's task holds the recorder too.
        drop(player.pre_requests);
        let stats = player.recorder.stats.clone();
        let verified = player.recorder.verifier.as_ref().map(Verifier::finish);
        let (rows, totals) = rows(&stats.series());
        Report {
            profile: plan.profile.name(),
            validators: plan.validators,
            slots,
            slot_ms: u64::try_from(plan.chain.slot_duration().as_millis()).unwrap_or(u64::MAX),
            seed: plan.seed,
            rows,
            totals,
            verified,
            generator_lag_ms: Duration::from_micros(player.lag_micros.into_inner()).as_secs_f64()
                * 1000.0,
        }
    }

    fn slots_done(&self) -> u64 {
        let timeline = self.recorder.timeline;
        let since = Instant::now().saturating_duration_since(timeline.origin).as_nanos();
        let slots = since / timeline.slot_duration.as_nanos().max(1);
        u64::try_from(slots).unwrap_or(u64::MAX).min(self.slots)
    }

    fn progress(&self) -> Progress {
        let (sent, failed, missed) = self.recorder.stats.totals();
        Progress { slots_done: self.slots_done(), slots: self.slots, sent, failed, missed }
    }

    /// Before a slot begins.
    fn prepare(&self, slot: Slot) {
        let mut proofs = self.proofs.lock();
        let from = Slot(slot.0.saturating_sub(1));
        proofs.of_attesters.retain(|(slot, _), _| *slot >= from);
        proofs.of_members.retain(|(slot, _, _), _| *slot >= from);
        drop(proofs);
        if let Some(pre_requests) = &self.pre_requests {
            pre_requests.follow_duties(slot, slot == self.recorder.timeline.first);
        }
    }

    async fn run(self: Arc<Self>, slot: Slot, step: Step) {
        let instant = self.recorder.timeline.instant(slot, step.at);
        sleep_until(instant).await;
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        if self.recorder.timeline.counts(slot) {
            let lag = Instant::now().saturating_duration_since(instant).as_micros();
            self.lag_micros.fetch_max(u64::try_from(lag).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        match step.action {
            Action::Propose(proposer) => self.propose(slot, proposer).await,
            Action::Attest(attesters) => {
                self.vote(Kind::Attestation, slot, attesters, self.bodies.attestation(slot)).await;
            }
            Action::SyncMessages(members) => {
                self.vote(Kind::SyncMessage, slot, members, self.bodies.sync_message(slot)).await;
            }
            Action::SelectionProofs(proofs) => self.make_proofs(slot, proofs).await,
            Action::SyncSelectionProofs(proofs) => self.make_sync_proofs(slot, proofs).await,
            Action::LookUp(attesters, members) => self.look_up(slot, attesters, members).await,
            Action::Aggregate(attesters) => self.aggregate(slot, &attesters).await,
            Action::Contribute(members) => self.contribute(slot, &members).await,
        }
    }

    /// Has one object signed.
    async fn ask(
        &self,
        kind: Kind,
        lane: Lane,
        slot: Slot,
        validator: Validator,
        body: &Result<Body, SignError>,
        due: Option<Instant>,
    ) -> Option<Signature> {
        let pending = self.recorder.begin(kind, slot, due);
        let key = validator as usize;
        let result = match body {
            Ok(body) => {
                self.wire.sign(lane, key, &body.json).await.map(|signed| (body.root, signed))
            }
            Err(_) => Err(Failure::Malformed),
        };
        pending.end(result.map(|(root, signature)| (key, root, signature)));
        result.ok().map(|(_, signature)| signature)
    }

    async fn propose(&self, slot: Slot, proposer: Validator) {
        let timeline = self.recorder.timeline;
        let due = Some(timeline.instant(slot, ATTESTATION_DUE));
        let reveal = self.bodies.randao_reveal(slot);
        self.ask(Kind::RandaoReveal, Lane::Duties, slot, proposer, &reveal, due).await;
        sleep_until(timeline.instant(slot, BLOCK_READY)).await;
        let block = self.bodies.block(slot, proposer);
        self.ask(Kind::Block, Lane::Duties, slot, proposer, &block, due).await;
    }

    async fn vote(
        &self,
        kind: Kind,
        slot: Slot,
        voters: Vec<Validator>,
        body: Result<Body, SignError>,
    ) {
        let due = Some(self.recorder.timeline.instant(slot, AGGREGATE_DUE));
        let body = &body;
        stream::iter(voters)
            .for_each_concurrent(self.manners.duties_at_once, |voter| async move {
                self.ask(kind, Lane::Duties, slot, voter, body, due).await;
            })
            .await;
    }

    fn end_of(&self, slot: Slot) -> Instant {
        self.recorder.timeline.instant(slot, BasisPoints::WHOLE)
    }

    async fn probe(self: Arc<Self>) {
        let Some((_, every)) = self.manners.probe else { return };
        let timeline = self.recorder.timeline;
        sleep_until(timeline.origin).await;
        let mut ticks = interval(every.mul_f64(self.scale).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.ended.load(Ordering::Relaxed) {
            ticks.tick().await;
            let slot = Slot(timeline.first.0 + self.slots_done());
            let pending = self.recorder.begin(Kind::Probe, slot, None);
            let failure = self.wire.probe().await.err();
            pending.end_with(Vec::new(), failure);
        }
    }
}
