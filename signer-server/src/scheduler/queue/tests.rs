//! The queue against a model that keeps a plain list and searches it.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve(Class, usize),
    Release(Class),
    Push(Class, u64),
    Pop(u64),
    Close,
}

fn class() -> impl Strategy<Value = Class> {
    (0..CLASSES).prop_map(|index| Class::ALL[index])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (class(), 1..4_usize).prop_map(|(class, count)| Step::Reserve(class, count)),
        1 => class().prop_map(Step::Release),
        4 => (class(), 0..5_000_u64).prop_map(|(class, deadline)| Step::Push(class, deadline)),
        3 => (0..5_000_u64).prop_map(Step::Pop),
        1 => Just(Step::Close),
    ]
}

/// What the queue should do, said in the plainest way.
#[derive(Default)]
struct Model {
    waiting: Vec<(Class, u64, u64)>,
    reserved: [usize; CLASSES],
    closed: bool,
}

impl Model {
    fn count(&self, class: Class) -> usize {
        self.waiting.iter().filter(|(other, ..)| *other == class).count()
    }

    /// Rank of a job at a time: smaller is served earlier.
    fn rank((class, deadline, number): (Class, u64, u64), now_ms: u64) -> (usize, u64, u64) {
        let margin = u64::try_from(PROMOTION_MARGIN.as_millis()).unwrap();
        // Only the first of a class can be promoted ahead of its fellows, and the order among
        // fellows is the same, so ranking every near job alike changes nothing.
        let near = deadline <= now_ms + margin;
        let rank = match class {
            Class::Block => 0,
            Class::Attestation => 1,
            _ if near => 1,
            other => other as usize,
        };
        (rank, deadline, number)
    }

    fn pop(&mut self, now_ms: u64) -> Option<(Class, u64, u64)> {
        let next = self.waiting.iter().copied().min_by_key(|job| Self::rank(*job, now_ms))?;
        self.waiting.retain(|job| *job != next);
        Some(next)
    }
}

proptest! {
    #[test]
    fn order_bounds_and_promises_are_those_of_the_model(
        steps in prop::collection::vec(step(), 0..200),
        bounds in prop::array::uniform5(0..6_usize),
    ) {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut queue = Queue::new(Bounds(bounds));
        let mut model = Model::default();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Reserve(class, count) => {
                    let index = class as usize;
                    let fits = !model.closed
                        && model.count(class) + model.reserved[index] + count <= bounds[index];
                    prop_assert_eq!(queue.reserve(class, count), fits);
                    if fits {
                        model.reserved[index] += count;
                    }
                }
                Step::Release(class) if model.reserved[class as usize] > 0 => {
                    queue.release(class, 1);
                    model.reserved[class as usize] -= 1;
                }
                Step::Push(class, deadline) if model.reserved[class as usize] > 0 => {
                    number += 1;
                    let pushed = queue.push(class, at(deadline), number);
                    model.reserved[class as usize] -= 1;
                    if model.closed {
                        prop_assert_eq!(pushed, Err(number));
                    } else {
                        prop_assert_eq!(pushed, Ok(()));
                        model.waiting.push((class, deadline, number));
                    }
                }
                Step::Release(_) | Step::Push(..) => {}
                Step::Pop(now) => {
                    let expected = model.pop(now).map(|(class, deadline, job)| Next {
                        class,
                        deadline: at(deadline),
                        job,
                    });
                    prop_assert_eq!(queue.pop(at(now)), expected);
                }
                Step::Close => {
                    queue.close();
                    model.closed = true;
                }
            }
            for class in Class::ALL {
                prop_assert_eq!(queue.depths()[class as usize], model.count(class));
                prop_assert!(model.count(class) <= bounds[class as usize]);
            }
        }
        // Nothing is lost and nothing comes twice.
        let mut left = 0;
        while queue.pop(start).is_some() {
            left += 1;
        }
        prop_assert_eq!(left, model.waiting.len());
    }
}

#[test]
fn a_near_deadline_lifts_bulk_work_over_attestations_but_never_over_blocks() {
    let now = Instant::now();
    let mut queue = Queue::new(Bounds([9; CLASSES]));
    let later = now + Duration::from_secs(8);
    for (class, deadline, job) in [
        (Class::SelectionProof, now + Duration::from_millis(900), "near proof"),
        (Class::SelectionProof, later, "far proof"),
        (Class::Attestation, later, "vote"),
        (Class::Aggregate, later, "aggregate"),
        (Class::Block, later, "block"),
    ] {
        assert!(queue.reserve(class, 1));
        queue.push(class, deadline, job).unwrap();
    }
    let order: Vec<_> = std::iter::from_fn(|| queue.pop(now)).map(|next| next.job).collect();
    assert_eq!(order, ["block", "near proof", "vote", "aggregate", "far proof"]);
}

#[test]
fn a_batch_gets_all_its_room_or_none() {
    let mut queue = Queue::<()>::new(Bounds([4; CLASSES]));
    assert!(queue.reserve(Class::SelectionProof, 3));
    assert!(!queue.reserve(Class::SelectionProof, 2));
    assert!(queue.reserve(Class::SelectionProof, 1));
    assert!(!queue.reserve(Class::SelectionProof, usize::MAX), "no overflow");
    assert_eq!(queue.ahead_of(Class::Attestation), 0);
    assert_eq!(queue.ahead_of(Class::Background), 4);
}
