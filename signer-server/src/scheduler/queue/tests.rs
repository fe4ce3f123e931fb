//! The queue against a model that keeps a plain list and searches it.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve(Class, usize),
    Release(Class),
    Push(Class, u64, u64),
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
        4 => (class(), 0..5_000_u64, 0..8_000_u64)
            .prop_map(|(class, since, deadline)| Step::Push(class, since, deadline)),
        3 => (0..8_000_u64).prop_map(Step::Pop),
        1 => Just(Step::Close),
    ]
}

/// What the queue should do, said in the plainest way.
#[derive(Default)]
struct Model {
    /// Class, deadline, number, when it was brought.
    waiting: Vec<(Class, u64, u64, u64)>,
    reserved: [usize; CLASSES],
    closed: bool,
}

impl Model {
    fn count(&self, class: Class) -> usize {
        self.waiting.iter().filter(|(other, ..)| *other == class).count()
    }

    /// Rank of a job at a time: smaller is served earlier.
    fn rank(&self, job: (Class, u64, u64, u64), now_ms: u64) -> (usize, u64, u64) {
        let (class, deadline, number, since) = job;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let is_near = deadline <= now_ms + ms(PROMOTION_MARGIN);
        let is_old = since + ms(PROMOTION_AGE) <= now_ms;
        // Those behind it wait for their turn.
        let is_first = self.waiting.iter().all(|(other, its_deadline, its_number, _)| {
            *other != class || (*its_deadline, *its_number) >= (deadline, number)
        });
        let rank = match class {
            Class::Block => 0,
            Class::Attestation => 1,
            _ if is_first && (deadline < now_ms || (is_near && is_old)) => 1,
            other => other as usize,
        };
        (rank, deadline, number)
    }

    fn pop(&mut self, now_ms: u64) -> Option<(Class, u64, u64, u64)> {
        let next = self.waiting.iter().copied().min_by_key(|job| self.rank(*job, now_ms))?;
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
                Step::Push(class, since, deadline) if model.reserved[class as usize] > 0 => {
                    number += 1;
                    let pushed = queue.push(class, at(since), at(deadline), number);
                    model.reserved[class as usize] -= 1;
                    if model.closed {
                        prop_assert_eq!(pushed, Err(number));
                    } else {
                        prop_assert_eq!(pushed, Ok(()));
                        model.waiting.push((class, deadline, number, since));
                    }
                }
                Step::Release(_) | Step::Push(..) => {}
                Step::Pop(now) => {
                    let expected = model.pop(now).map(|(class, deadline, job, _)| Next {
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

/// Class, when it was brought, deadline, name; both times in milliseconds.
fn order_at(now_ms: u64, jobs: &[(Class, u64, u64, &'static str)]) -> Vec<&'static str> {
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut queue = Queue::new(Bounds([9; CLASSES]));
    for (class, since, deadline, job) in jobs {
        assert!(queue.reserve(*class, 1));
        queue.push(*class, at(*since), at(*deadline), *job).unwrap();
    }
    std::iter::from_fn(|| queue.pop(at(now_ms))).map(|next| next.job).collect()
}

#[test]
fn a_near_deadline_lifts_old_bulk_work_over_attestations_but_never_over_blocks() {
    let order = order_at(
        4_000,
        &[
            (Class::SelectionProof, 1_000, 4_900, "near proof"),
            (Class::SelectionProof, 1_000, 12_000, "far proof"),
            (Class::Attestation, 1_000, 12_000, "vote"),
            (Class::Aggregate, 1_000, 12_000, "aggregate"),
            (Class::Block, 4_000, 12_000, "block"),
        ],
    );
    assert_eq!(order, ["block", "near proof", "vote", "aggregate", "far proof"]);
}

/// A client may say that it waits for a second only, with thousands of proofs in one request.
#[test]
fn a_deadline_that_was_near_from_the_first_lifts_nothing_over_duties() {
    let order = order_at(
        1_000,
        &[
            (Class::SelectionProof, 1_000, 1_500, "hasty proof"),
            (Class::Background, 1_000, 1_400, "hasty registration"),
            (Class::SelectionProof, 1_000, 30_000, "proof"),
            (Class::Attestation, 1_000, 12_000, "vote"),
            (Class::Aggregate, 1_000, 12_000, "aggregate"),
        ],
    );
    assert_eq!(order, ["vote", "aggregate", "hasty proof", "proof", "hasty registration"]);
}

#[test]
fn what_is_over_makes_room_for_what_is_behind_it() {
    let order = order_at(
        4_000,
        &[
            (Class::SelectionProof, 3_000, 3_500, "over"),
            (Class::SelectionProof, 500, 4_500, "near and old"),
            (Class::Attestation, 3_900, 12_000, "vote"),
        ],
    );
    assert_eq!(order, ["over", "near and old", "vote"]);
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
