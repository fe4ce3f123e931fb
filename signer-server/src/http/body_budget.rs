//! How much memory the bodies of all requests may take together.
//!
//! Bytes are counted as they arrive, not as they are announced: a client that announces much and
//! sends nothing holds nothing. They count until the request has been answered. Large bodies leave
//! the last quarter to the others, so that a few of them can't keep duties from being read.
//!
//! Answers for many keys are several times as large as their requests. They count until they have
//! been sent, too, because who reads slowly keeps them here. They are never refused: what they name
//! is signed already. So they may exceed the limit, and then it is requests that have to wait.
//! Large answers that can be asked for again wait for room like requests.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// A body beyond this size, in bytes, is large. Every request but large batches, full blocks and
/// payloads is far below it.
pub(super) const LARGE_BODY_BYTES: usize = 64 << 10;

/// The bytes of all bodies that are in memory.
#[derive(Clone, Debug)]
pub(super) struct BodyBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// The bytes of one body; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    bytes: usize,
}

/// There is no room for more bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl BodyBudget {
    /// A budget of so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Budget { limit, used: AtomicUsize::new(0) }))
    }

    /// Room for an answer of about so many bytes, which is to be written and then [held](Room::hold).
    /// There is always room for one if there is nothing else.
    pub(super) fn begin_answer(&self, bytes: usize) -> Result<Room, NoRoom> {
        let Budget { limit, used } = &*self.0;
        let limit = limit - limit / 4;
        let grown =
            |used: usize| used.checked_add(bytes).filter(|grown| *grown <= limit || used == 0);
        // Only the sum matters: nothing is read that another thread wrote before.
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| NoRoom)?;
        Ok(Room { budget: Arc::clone(&self.0), bytes })
    }

    /// Room for a body that has no bytes yet.
    pub(super) fn begin(&self) -> Room {
        Room { budget: Arc::clone(&self.0), bytes: 0 }
    }
}

impl Room {
    /// Takes room for more bytes of the body.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Budget { limit, used } = &*self.budget;
        let size = self.bytes.saturating_add(bytes);
        let limit = if size > LARGE_BODY_BYTES { limit - limit / 4 } else { *limit };
        let grown = |used: usize| used.checked_add(bytes).filter(|used| *used <= limit);
        // Only the sum matters: nothing is read that another thread wrote before.
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| NoRoom)?;
        self.bytes = size;
        Ok(())
    }

    /// Whether the request was a large one.
    pub(super) fn is_large(&self) -> bool {
        self.bytes > LARGE_BODY_BYTES
    }

    /// Bytes of an answer, which count until nobody has them any more.
    pub(super) fn hold(&self, answer: Vec<u8>) -> Bytes {
        self.budget.used.fetch_add(answer.len(), Ordering::Relaxed);
        let room = Self { budget: Arc::clone(&self.budget), bytes: answer.len() };
        // Not beside the body of the answer: what waits to be sent outlives that.
        Bytes::from_owner(Held { answer, _room: room })
    }
}

/// Bytes of an answer with their share of the budget.
struct Held {
    answer: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn bytes_count_until_their_room_is_dropped() {
        let budget = BodyBudget::new(100);
        let mut one = budget.begin();
        let mut other = budget.begin();
        assert_eq!((one.grow(60), other.grow(41)), (Ok(()), Err(NoRoom)));
        assert_eq!(other.grow(40), Ok(()));
        assert_eq!(one.grow(1), Err(NoRoom));
        drop(other);
        assert_eq!(one.grow(40), Ok(()));
        drop(one);
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn large_bodies_leave_a_quarter_to_the_others() {
        let budget = BodyBudget::new(4 * MIB);
        let mut large = budget.begin();
        assert_eq!(large.grow(3 * MIB), Ok(()));
        assert_eq!(large.grow(1), Err(NoRoom));
        let mut small = budget.begin();
        assert_eq!(small.grow(LARGE_BODY_BYTES), Ok(()));
        assert_eq!(small.grow(1), Err(NoRoom), "it has become large");
    }

    #[test]
    fn an_answer_waits_for_room_unless_there_is_nothing_else() {
        let budget = BodyBudget::new(100);
        let first = budget.begin_answer(200).unwrap();
        assert_eq!(budget.begin_answer(1).unwrap_err(), NoRoom);
        drop(first);
        let small = budget.begin_answer(5).unwrap();
        assert_eq!(budget.begin_answer(71).unwrap_err(), NoRoom, "a quarter is for others");
        let held = small.hold(vec![7; 10]);
        drop(small);
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 10);
        drop(held);
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn answers_count_until_the_last_byte_is_gone() {
        let budget = BodyBudget::new(100);
        let mut room = budget.begin();
        room.grow(90).unwrap();
        let mut answer = room.hold(vec![7; 150]);
        drop(room);
        let mut other = budget.begin();
        assert_eq!(other.grow(1), Err(NoRoom), "an answer may take more than the limit");
        let waiting = answer.split_off(140);
        drop(answer);
        assert_eq!(other.grow(1), Err(NoRoom));
        assert_eq!(waiting, [7; 10].as_slice());
        drop(waiting);
        assert_eq!(other.grow(100), Ok(()));
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let budget = BodyBudget::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let mut room = budget.begin();
                        let _ = room.grow(300);
                        assert!(budget.0.used.load(Ordering::Relaxed) <= 1000);
                    }
                });
            }
        });
        assert_eq!(budget.0.used.load(Ordering::Relaxed), 0);
    }
}
