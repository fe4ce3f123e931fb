//! Which job runs next: one running and one pending per lane, the newest slot wins.
//!
//! A state machine without clock, threads and results; whoever holds it passes the time and carries
//! out what it says. A lane that has work to hand out gets its turn after the others that have, so
//! no lane waits for longer than one group of each other lane.
//!
//! Invariants: every job that [`Dispatcher::submit`] took leaves by exactly one of
//! [`Submitted::Dropped`], `displaced`, [`Next::Expired`], [`Cancelled::BeforeStart`],
//! [`Dispatcher::close`] and [`Dispatcher::group_finished`] saying so; a lane runs at most one job; a
//! pending job starts as soon as the one before it has ended and a thread is free; a job that comes
//! while its lane is idle and a thread is free is displaced by none.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// Decides what runs. `J` names a job, `T` is a point in time.
#[derive(Debug)]
pub struct Dispatcher<J, T> {
    lanes: BTreeMap<String, Lane<J, T>>,
    max_lanes: usize,
    threads: usize,
    /// The lane that was served last.
    served: Option<String>,
    is_closed: bool,
}

#[derive(Debug)]
struct Lane<J, T> {
    /// Its groups are handed out, or a free thread is on its way to it.
    running: Option<Running<J, T>>,
    pending: Option<Request<J, T>>,
}

/// A job as the dispatcher sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<J, T> {
    /// Its name.
    pub job: J,
    /// Its slot.
    pub slot: u64,
    /// From when on it is not worth starting.
    pub deadline: T,
    /// Number of its groups; at least one.
    pub groups: usize,
    /// Whether it would rather be refused than displace another one.
    pub is_refusable: bool,
}

#[derive(Debug)]
struct Running<J, T> {
    job: J,
    deadline: T,
    groups: usize,
    handed_out: usize,
    finished: usize,
}

impl<J, T> Running<J, T> {
    fn of(request: Request<J, T>) -> Self {
        let Request { job, deadline, groups, .. } = request;
        Self { job, deadline, groups, handed_out: 0, finished: 0 }
    }

    const fn is_started(&self) -> bool {
        self.handed_out > 0
    }
}

/// What became of a submitted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted<J> {
    /// It is pending, or a free thread is on its way to it.
    Pending {
        /// Jobs of its lane before it: 1 if one is running.
        position: usize,
        /// The job that it has displaced, which is over.
        displaced: Option<J>,
    },
    /// A job of a later slot is pending: it is over.
    Dropped,
    /// The lane is busy, and it would rather be refused. It was not taken.
    Busy,
    /// There are too many lanes. It was not taken.
    TooManyLanes,
    /// Nothing is taken any more.
    Closed,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<J> {
    /// Prove a group of a job, then say [`Dispatcher::group_finished`].
    Group {
        /// The job.
        job: J,
        /// The group's place.
        group: usize,
    },
    /// Its deadline passed before it was started: it is over.
    Expired {
        /// The job.
        job: J,
    },
}

/// What became of the wish to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was not started and is over.
    BeforeStart,
    /// It is running: whoever proves its groups must be told.
    Running,
    /// It is not here.
    Unknown,
}

impl<J: Copy + Eq, T: Copy + Ord> Dispatcher<J, T> {
    /// Nothing to do, for at most so many lanes at a time and for so many threads.
    pub fn new(max_lanes: usize, threads: usize) -> Self {
        Self { lanes: BTreeMap::new(), max_lanes, threads, served: None, is_closed: false }
    }

    /// Takes a job into a lane.
    pub fn submit(&mut self, lane: &str, request: Request<J, T>) -> Submitted<J> {
        if self.is_closed {
            return Submitted::Closed;
        }
        let is_free = self.has_free_thread();
        let Some(busy) = self.lanes.get_mut(lane) else {
            if self.lanes.len() == self.max_lanes {
                return Submitted::TooManyLanes;
            }
            // A thread takes a while to wake up. Were the job only pending until then, the next one
            // would take its place although nothing runs.
            let fresh = if is_free {
                Lane { running: Some(Running::of(request)), pending: None }
            } else {
                Lane { running: None, pending: Some(request) }
            };
            self.lanes.insert(lane.to_owned(), fresh);
            return Submitted::Pending { position: 0, displaced: None };
        };
        let displaced = match &busy.pending {
            Some(_) if request.is_refusable => return Submitted::Busy,
            Some(pending) if pending.slot > request.slot => return Submitted::Dropped,
            Some(pending) => Some(pending.job),
            None => None,
        };
        busy.pending = Some(request);
        Submitted::Pending { position: usize::from(busy.running.is_some()), displaced }
    }

    /// Whether a thread proves nothing and is not on its way to a job either.
    fn has_free_thread(&self) -> bool {
        let running = self.lanes.values().filter_map(|lane| lane.running.as_ref());
        let wanted =
            |run: &Running<J, T>| if run.is_started() { run.handed_out - run.finished } else { 1 };
        running.map(wanted).sum::<usize>() < self.threads
    }

    /// What a free thread is to do now; `None` if nothing.
    pub fn next(&mut self, now: T) -> Option<Next<J>> {
        let name = self.turn()?;
        let lane = self.lanes.get_mut(&name)?;
        if lane.running.is_none() {
            lane.running = lane.pending.take().map(Running::of);
        }
        let running = lane.running.as_mut()?;
        let job = running.job;
        if !running.is_started() && running.deadline <= now {
            self.end_running(&name);
            return Some(Next::Expired { job });
        }
        let group = running.handed_out;
        running.handed_out += 1;
        self.served = Some(name);
        Some(Next::Group { job, group })
    }

    /// The lane whose turn it is: the first that has something to hand out after the one that was
    /// served last.
    fn turn(&self) -> Option<String> {
        let ready = |lane: &Lane<J, T>| match &lane.running {
            Some(running) => running.handed_out < running.groups,
            None => lane.pending.is_some(),
        };
        let is_later = |name: &str| self.served.as_deref().is_none_or(|served| name > served);
        let names = || self.lanes.iter().filter(|(_, lane)| ready(lane)).map(|(name, _)| name);
        names().find(|name| is_later(name)).or_else(|| names().next()).cloned()
    }

    /// A group was proved, in whatever way it ended. True if it was the last of its job, which is
    /// over.
    pub fn group_finished(&mut self, job: J) -> bool {
        let running = |lane: &Lane<J, T>| lane.running.as_ref().is_some_and(|run| run.job == job);
        let Some((name, lane)) = self.lanes.iter_mut().find(|(_, lane)| running(lane)) else {
            return false;
        };
        let Some(run) = &mut lane.running else { return false };
        run.finished += 1;
        if run.finished < run.groups {
            return false;
        }
        let name = name.clone();
        self.end_running(&name);
        true
    }

    fn end_running(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.running = None;
            if lane.pending.is_none() {
                self.lanes.remove(name);
            }
        }
    }

    /// Somebody does not want a job any more.
    pub fn cancel(&mut self, job: J) -> Cancelled {
        let mut found = Cancelled::Unknown;
        for lane in self.lanes.values_mut() {
            if lane.running.as_ref().is_some_and(|run| run.job == job && run.is_started()) {
                return Cancelled::Running;
            }
            let awaited = lane.running.take_if(|run| run.job == job).is_some();
            let pending = lane.pending.take_if(|pending| pending.job == job).is_some();
            if awaited || pending {
                found = Cancelled::BeforeStart;
            }
        }
        self.lanes.retain(|_, lane| lane.running.is_some() || lane.pending.is_some());
        found
    }

    /// Takes nothing any more and gives up what is not started, which is over. What runs goes on.
    pub fn close(&mut self) -> Vec<J> {
        self.is_closed = true;
        let mut dropped = Vec::new();
        for lane in self.lanes.values_mut() {
            let awaited = lane.running.take_if(|running| !running.is_started());
            dropped.extend(awaited.map(|running| running.job));
            dropped.extend(lane.pending.take().map(|pending| pending.job));
        }
        self.lanes.retain(|_, lane| lane.running.is_some());
        dropped
    }

    /// Whether nothing is taken and nothing runs any more.
    pub fn is_finished(&self) -> bool {
        self.is_closed && self.lanes.is_empty()
    }

    /// The running and the pending job of each busy lane.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, Option<J>, Option<J>)> {
        self.lanes.iter().map(|(name, lane)| {
            let running = lane.running.as_ref().map(|running| running.job);
            let pending = lane.pending.as_ref().map(|pending| pending.job);
            (name.as_str(), running, pending)
        })
    }
}
