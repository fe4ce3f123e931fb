//! Which job comes next.
//!
//! The order: blocks first, always. Then whatever of the next class, but a job of a lower class
//! that has waited long and whose deadline is near counts as one of that class, so that bulk work
//! can't starve for ever and still never comes before a block. A near deadline alone does not lift
//! it: clients may name one as near as they like. Then class by class. Among equals the earliest deadline wins,
//! and among equal deadlines the one that came first.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use super::{Class, deadline};

/// How near its deadline a job of a low class must be to be served among the attestations, if it has
/// waited for [`PROMOTION_AGE`].
pub(super) const PROMOTION_MARGIN: Duration = Duration::from_secs(1);

/// How long a job of a low class must have waited for that. A duty's own time is at least
/// [`deadline::SHORTEST`], so a job that has no other deadline is always as old when it is near.
pub(super) const PROMOTION_AGE: Duration = Duration::from_secs(2);

const _: () = assert!(
    PROMOTION_AGE.as_millis() + PROMOTION_MARGIN.as_millis() < deadline::SHORTEST.as_millis()
);

/// Number of classes.
const CLASSES: usize = Class::ALL.len();

/// How many jobs may wait in each class's queue, in the order of [`Class::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds(pub [usize; CLASSES]);

/// A job that waits.
struct Waiting<J> {
    deadline: Instant,
    /// When it was brought.
    since: Instant,
    /// Ascends in the order of arrival.
    number: u64,
    job: J,
}

impl<J> Waiting<J> {
    fn order(&self) -> (Instant, u64) {
        (self.deadline, self.number)
    }

    /// Whether it counts as a job of the attestations' class.
    fn is_promoted(&self, now: Instant) -> bool {
        let is_near = self.deadline <= now + PROMOTION_MARGIN;
        let is_old = self.since + PROMOTION_AGE <= now;
        // One that is over takes no time, and must not hide those behind it.
        self.deadline < now || (is_near && is_old)
    }
}

impl<J> PartialEq for Waiting<J> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<J> Eq for Waiting<J> {}

impl<J> PartialOrd for Waiting<J> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<J> Ord for Waiting<J> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// A job that left the queue, with what it was queued under.
#[derive(Debug, PartialEq, Eq)]
pub struct Next<J> {
    /// Its class.
    pub class: Class,
    /// Until when it is worth doing.
    pub deadline: Instant,
    /// The job.
    pub job: J,
}

/// The bounded queues of all classes.
pub struct Queue<J> {
    bounds: Bounds,
    waiting: [BinaryHeap<Reverse<Waiting<J>>>; CLASSES],
    /// Room that was promised to jobs which have not come yet. Counts against the bounds.
    reserved: [usize; CLASSES],
    arrived: u64,
    closed: bool,
}

impl<J> Queue<J> {
    /// Empty queues.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: std::array::from_fn(|_| BinaryHeap::new()),
            reserved: [0; CLASSES],
            arrived: 0,
            closed: false,
        }
    }

    /// How many jobs of a class may wait.
    pub fn bound(&self, class: Class) -> usize {
        self.bounds.0[class as usize]
    }

    /// Jobs that would be served before a new one of this class, as a bound from above.
    pub fn ahead_of(&self, class: Class) -> usize {
        let upto = class as usize;
        (0..=upto).map(|index| self.waiting[index].len() + self.reserved[index]).sum()
    }

    /// Promises room for `count` jobs: for all or for none.
    pub fn reserve(&mut self, class: Class, count: usize) -> bool {
        let index = class as usize;
        let taken = self.waiting[index].len() + self.reserved[index];
        let fits = taken.saturating_add(count) <= self.bound(class);
        if fits && !self.closed {
            self.reserved[index] += count;
        }
        fits && !self.closed
    }

    /// Takes a promise back.
    pub fn release(&mut self, class: Class, count: usize) {
        self.reserved[class as usize] -= count;
    }

    /// Takes a job that is brought now and for which room was promised. Gives it back when the queue
    /// was closed meanwhile.
    pub fn push(&mut self, class: Class, now: Instant, deadline: Instant, job: J) -> Result<(), J> {
        self.release(class, 1);
        if self.closed {
            return Err(job);
        }
        self.arrived += 1;
        let waiting = Waiting { deadline, since: now, number: self.arrived, job };
        self.waiting[class as usize].push(Reverse(waiting));
        Ok(())
    }

    /// The job to serve now.
    pub fn pop(&mut self, now: Instant) -> Option<Next<J>> {
        let class = self.next_class(now)?;
        let Reverse(Waiting { deadline, job, .. }) = self.waiting[class as usize].pop()?;
        Some(Next { class, deadline, job })
    }

    fn next_class(&self, now: Instant) -> Option<Class> {
        if self.first(Class::Block).is_some() {
            return Some(Class::Block);
        }
        let is_promoted =
            |class: &Class| self.first(*class).is_some_and(|first| first.is_promoted(now));
        let promoted = Class::ALL[Class::Aggregate as usize..].iter().copied().filter(is_promoted);
        std::iter::once(Class::Attestation)
            .chain(promoted)
            .filter(|class| self.first(*class).is_some())
            .min_by_key(|class| self.first(*class).map(Waiting::order))
            .or_else(|| Class::ALL.into_iter().find(|class| self.first(*class).is_some()))
    }

    fn first(&self, class: Class) -> Option<&Waiting<J>> {
        self.waiting[class as usize].peek().map(|Reverse(waiting)| waiting)
    }

    /// Jobs that wait now, class by class.
    pub fn depths(&self) -> [usize; CLASSES] {
        std::array::from_fn(|index| self.waiting[index].len())
    }

    /// Promises no more room and takes no more jobs. Those that wait can still be taken.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether [`Queue::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests;
