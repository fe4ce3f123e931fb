//! The jobs that are known, and for how long.
//!
//! A job that is over is kept for some slots, and as long as there are not too many or too large
//! ones; then only its name and how it ended. Nothing is on disk: a restart forgets all of it, and
//! submitting again is harmless.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use signer_client::wire::{Fork, ForkInfo, Slot};
use tokio::sync::watch;

use super::{
    job::{Ending, GroupResult, GroupToSign, JobState, Phases},
    snapshot::{JobId, SignWish, Snapshot},
    task::Wish,
    view::{JobPhases, JobView, Json, Milliseconds, PhasesView, SignedView, ending_view},
};
use crate::audit::Client;

/// Most bytes of the results that are kept, unless those of one job are more.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// How many jobs are remembered by name and ending alone.
const MAX_REMEMBERED: usize = 4096;

/// What is kept of a job beside its results, in bytes.
const JOB_BYTES: usize = 1024;

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) lane: String,
    pub(super) client: Client,
    pub(super) fork_info: ForkInfo,
    pub(super) fork: Fork,
    pub(super) slot: u64,
    pub(super) entries: usize,
    pub(super) accepted_entries: usize,
    /// Until its groups are proved.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) state: JobState,
    pub(super) submitted: Instant,
    pub(super) started: Option<Instant>,
    pub(super) ended: Option<Instant>,
    pub(super) deadline: Instant,
    pub(super) is_cancelled: Arc<AtomicBool>,
    /// By their place in the snapshot.
    pub(super) results: Vec<Option<Arc<GroupResult>>>,
    /// What was signed of it, by the place of the group.
    pub(super) signed: Vec<(usize, Json)>,
    /// How long that took.
    pub(super) signing_took: Option<Duration>,
    events: Vec<Event>,
    /// The number of events.
    changed: watch::Sender<usize>,
}

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has another state.
    State(JobState),
    /// A group is finished.
    Group(usize),
}

impl Job {
    pub(super) fn new(
        id: JobId,
        snapshot: Arc<Snapshot>,
        lane: String,
        client: Client,
        submitted: Instant,
        deadline: Instant,
    ) -> Self {
        Self {
            id,
            lane,
            client,
            fork_info: snapshot.fork_info,
            fork: snapshot.fork,
            slot: snapshot.slot.0,
            entries: snapshot.entries(),
            accepted_entries: snapshot.accepted_entries(),
            results: snapshot.groups.iter().map(|_| None).collect(),
            signed: Vec::new(),
            signing_took: None,
            snapshot: Some(snapshot),
            state: JobState::Queued,
            submitted,
            started: None,
            ended: None,
            deadline,
            is_cancelled: Arc::default(),
            events: vec![Event::State(JobState::Queued)],
            changed: watch::Sender::new(1),
        }
    }

    fn push(&mut self, event: Event) {
        self.events.push(event);
        self.changed.send_replace(self.events.len());
    }

    pub(super) fn enter(&mut self, state: JobState) {
        self.state = state;
        self.push(Event::State(state));
    }

    pub(super) fn finish_group(&mut self, result: Arc<GroupResult>) {
        let place = result.group;
        self.results[place] = Some(result);
        self.push(Event::Group(place));
    }

    /// Copies no text: the lock of all jobs is held meanwhile.
    pub(super) fn view(&self) -> JobView {
        let (complete, superseded_by) = ending_view(self.state);
        let results = || self.results.iter().flatten();
        let mut phases = Phases::default();
        for result in results() {
            phases.include(&result.phases);
        }
        let since_submission = |then: Option<Instant>| {
            Some(Milliseconds(then?.saturating_duration_since(self.submitted)))
        };
        JobView {
            job_id: self.id,
            status: self.state.name(),
            reason: self.state.ending().map(Ending::reason),
            complete,
            superseded_by,
            slot: self.slot.to_string(),
            lane: self.lane.clone(),
            entries: self.entries,
            accepted_entries: self.accepted_entries,
            groups: results().map(|result| result.json.clone()).collect(),
            signed: self
                .signed
                .iter()
                .map(|(group, json)| SignedView { group: *group, result: json.clone() })
                .collect(),
            phases_ms: JobPhases {
                queue: since_submission(self.started),
                total: since_submission(self.ended),
                phases: PhasesView(phases),
                sign: self.signing_took.map(Milliseconds),
            },
        }
    }

    /// The groups that are proved and to be signed.
    pub(super) fn wishes(&self, snapshot: &Snapshot) -> Vec<Wish> {
        let places = (0..).zip(snapshot.groups.iter().zip(&self.results));
        places
            .filter_map(|(group, (asked, result))| {
                let to_sign = self.group_to_sign(result.as_ref()?, asked.sign?);
                Some(Wish { group, to_sign })
            })
            .collect()
    }

    /// A finished group, to be signed by that wish.
    pub(super) fn group_to_sign(&self, result: &GroupResult, wish: SignWish) -> GroupToSign {
        GroupToSign {
            fork_info: self.fork_info,
            fork: self.fork,
            slot: Slot(self.slot),
            subject: result.subject,
            aggregate: result.aggregate.clone(),
            wish,
        }
    }

    /// The events from that place on, each with its number and its data.
    pub(super) fn events_from(&self, first: usize) -> Vec<(usize, Event, Option<Json>)> {
        let events = self.events.iter().enumerate().skip(first);
        events
            .map(|(number, event)| {
                let json = match event {
                    Event::Group(place) => {
                        self.results[*place].as_ref().map(|result| result.json.clone())
                    }
                    Event::State(_) => None,
                };
                (number, *event, json)
            })
            .collect()
    }

    /// Tells the number of events whenever it changes.
    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.changed.subscribe()
    }

    fn bytes(&self) -> usize {
        let results = self.results.iter().flatten().map(|result| 2 * result.json.get().len());
        let signed = self.signed.iter().map(|(_, json)| json.get().len());
        JOB_BYTES + results.chain(signed).sum::<usize>()
    }
}

/// How long jobs are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    /// Most jobs.
    pub(super) jobs: usize,
    /// Longest time after the end.
    pub(super) time: Duration,
}

/// All jobs.
#[derive(Debug)]
pub(super) struct Store {
    jobs: HashMap<JobId, Job>,
    /// Jobs that are over, oldest first, with what they take.
    over: VecDeque<(JobId, Instant, usize)>,
    bytes: usize,
    remembered: HashMap<JobId, Ending>,
    forgetting: VecDeque<JobId>,
    retention: Retention,
}

/// A job that is asked for.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// It is there.
    Here(T),
    /// It was, and ended so.
    Evicted(Ending),
    /// It is not known.
    Unknown,
}

impl Store {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            jobs: HashMap::new(),
            over: VecDeque::new(),
            bytes: 0,
            remembered: HashMap::new(),
            forgetting: VecDeque::new(),
            retention,
        }
    }

    pub(super) fn insert(&mut self, job: Job) {
        if self.remembered.remove(&job.id).is_some() {
            self.forgetting.retain(|id| *id != job.id);
        }
        self.jobs.insert(job.id, job);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(&id)
    }

    pub(super) fn find(&mut self, id: JobId, now: Instant) -> Found<&mut Job> {
        self.evict(now);
        match (self.jobs.get_mut(&id), self.remembered.get(&id)) {
            (Some(job), _) => Found::Here(job),
            (None, Some(ending)) => Found::Evicted(*ending),
            (None, None) => Found::Unknown,
        }
    }

    /// Ends a job that is not over yet; gives back the job and the snapshot that it had. `None` if
    /// it is over or not there.
    pub(super) fn end(
        &mut self,
        id: JobId,
        ending: Ending,
        now: Instant,
    ) -> Option<(&Job, Option<Arc<Snapshot>>)> {
        let job = self.jobs.get_mut(&id).filter(|job| job.state.ending().is_none())?;
        job.ended = Some(now);
        let snapshot = job.snapshot.take();
        job.enter(JobState::Final(ending));
        let bytes = job.bytes();
        self.bytes += bytes;
        self.over.push_back((id, now, bytes));
        self.evict_but(id, now);
        Some((self.jobs.get(&id)?, snapshot))
    }

    pub(super) fn evict(&mut self, now: Instant) {
        self.evict_while(now, |_| true);
    }

    /// The one that has just ended stays: its caller still waits for it.
    fn evict_but(&mut self, kept: JobId, now: Instant) {
        self.evict_while(now, |id| id != kept);
    }

    fn evict_while(&mut self, now: Instant, may_go: impl Fn(JobId) -> bool) {
        while let Some((id, ended, bytes)) = self.over.front().copied() {
            let is_old = now.saturating_duration_since(ended) > self.retention.time;
            // One alone stays however large it is, or nobody could ever fetch it.
            let is_too_large = self.bytes > MAX_RESULT_BYTES && self.over.len() > 1;
            let is_too_much = is_too_large || self.over.len() > self.retention.jobs;
            if !(is_old || is_too_much) || !may_go(id) {
                return;
            }
            self.over.pop_front();
            self.bytes -= bytes;
            let gone = self.jobs.remove(&id);
            if let Some(ending) = gone.and_then(|job| job.state.ending()) {
                self.remember(id, ending);
            }
        }
    }

    fn remember(&mut self, id: JobId, ending: Ending) {
        if self.forgetting.len() == MAX_REMEMBERED
            && let Some(oldest) = self.forgetting.pop_front()
        {
            self.remembered.remove(&oldest);
        }
        self.forgetting.push_back(id);
        self.remembered.insert(id, ending);
    }

    /// How many jobs are kept, those that are not over included.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}
