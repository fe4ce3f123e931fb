use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn request(job: u32, slot: u64) -> Request<u32, u64> {
    Request { job, slot, deadline: 1000, groups: 1, is_refusable: false }
}

fn pending(position: usize, displaced: Option<u32>) -> Submitted<u32> {
    Submitted::Pending { position, displaced }
}

#[test]
fn one_runs_one_waits_and_the_newest_slot_wins() {
    let mut dispatcher = Dispatcher::new(4, 1);
    assert_eq!(dispatcher.submit("a", request(1, 5)), pending(0, None));
    assert_eq!(dispatcher.next(0), Some(Next::Group { job: 1, group: 0 }));
    assert_eq!(dispatcher.submit("a", request(2, 6)), pending(1, None));
    assert_eq!(dispatcher.submit("a", request(3, 5)), Submitted::Dropped, "stale");
    assert_eq!(dispatcher.submit("a", request(4, 6)), pending(1, Some(2)), "equal slot");
    assert_eq!(dispatcher.submit("a", request(5, 7)), pending(1, Some(4)));
    let refusable = Request { is_refusable: true, ..request(6, 9) };
    assert_eq!(dispatcher.submit("a", refusable), Submitted::Busy);
    assert_eq!(dispatcher.next(0), None, "its lane is busy");
    assert!(dispatcher.group_finished(1));
    assert_eq!(dispatcher.next(0), Some(Next::Group { job: 5, group: 0 }), "at once");
}

#[test]
fn what_is_too_late_is_not_started() {
    let mut dispatcher = Dispatcher::new(4, 1);
    dispatcher.submit("a", request(1, 5));
    assert_eq!(dispatcher.next(1000), Some(Next::Expired { job: 1 }));
    assert_eq!(dispatcher.next(1000), None);
    assert_eq!(dispatcher.cancel(1), Cancelled::Unknown);
}

#[test]
fn lanes_take_turns_and_there_are_only_so_many() {
    let mut dispatcher = Dispatcher::new(2, 1);
    let two = |job| Request { groups: 2, ..request(job, 1) };
    dispatcher.submit("a", two(1));
    dispatcher.submit("b", two(2));
    assert_eq!(dispatcher.submit("c", request(3, 1)), Submitted::TooManyLanes);
    let order: Vec<_> = std::iter::from_fn(|| dispatcher.next(0)).collect();
    let group = |job, group| Next::Group { job, group };
    assert_eq!(order, [group(1, 0), group(2, 0), group(1, 1), group(2, 1)]);
    assert!(!dispatcher.group_finished(1));
    assert!(dispatcher.group_finished(1));
    assert_eq!(dispatcher.submit("c", request(3, 1)), pending(0, None), "lane a is gone");
}

#[test]
fn what_comes_while_a_thread_is_free_is_displaced_by_none() {
    let mut dispatcher = Dispatcher::new(4, 1);
    assert_eq!(dispatcher.submit("a", request(1, 5)), pending(0, None));
    assert_eq!(dispatcher.submit("a", request(2, 6)), pending(1, None), "before it woke up");
    assert_eq!(dispatcher.submit("a", request(3, 6)), pending(1, Some(2)));
    // The only free thread is on its way to the first.
    assert_eq!(dispatcher.submit("b", request(4, 5)), pending(0, None));
    assert_eq!(dispatcher.submit("b", request(5, 5)), pending(0, Some(4)));
    assert_eq!(dispatcher.next(0), Some(Next::Group { job: 1, group: 0 }));
    assert!(dispatcher.group_finished(1));
    assert_eq!(dispatcher.next(0), Some(Next::Group { job: 5, group: 0 }));
    assert_eq!(dispatcher.next(0), Some(Next::Group { job: 3, group: 0 }));
}

#[test]
fn what_a_thread_is_on_its_way_to_is_not_started_yet() {
    let awaited = || {
        let mut dispatcher = Dispatcher::new(4, 1);
        assert_eq!(dispatcher.submit("a", request(1, 5)), pending(0, None));
        assert_eq!(dispatcher.submit("a", request(2, 5)), pending(1, None));
        dispatcher
    };
    let mut cancelled = awaited();
    assert_eq!(cancelled.cancel(1), Cancelled::BeforeStart);
    assert_eq!(cancelled.next(0), Some(Next::Group { job: 2, group: 0 }));
    let mut late = awaited();
    assert_eq!(late.next(1000), Some(Next::Expired { job: 1 }));
    assert_eq!(late.next(0), Some(Next::Group { job: 2, group: 0 }));
    let mut closed = awaited();
    assert_eq!(closed.close(), [1, 2]);
    assert!(closed.is_finished());
}

#[derive(Clone, Debug)]
enum Step {
    Submit { lane: usize, slot: u64, deadline: u64, groups: usize, is_refusable: bool },
    Next,
    Finish(usize),
    Cancel(usize),
    Wait(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..4_u64, 0..20_u64, 1..4_usize, any::<bool>()).prop_map(
            |(lane, slot, deadline, groups, is_refusable)| Step::Submit {
                lane, slot, deadline, groups, is_refusable
            }
        ),
        8 => Just(Step::Next),
        8 => any::<usize>().prop_map(Step::Finish),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => (1..5_u64).prop_map(Step::Wait),
        1 => Just(Step::Close),
    ]
}

proptest! {
    /// Whatever comes in whatever order: each job that was taken ends exactly once, each lane runs
    /// one at most, groups are handed out once and in order, and nothing is left behind.
    #[test]
    fn every_job_ends_exactly_once(
        steps in prop::collection::vec(step(), 1..200),
        threads in 0..3_usize,
    ) {
        const LANES: [&str; 3] = ["a", "b", "c"];
        let mut dispatcher: Dispatcher<u32, u64> = Dispatcher::new(2, threads);
        let mut now = 0;
        let mut jobs = 0_u32;
        let mut taken = 0_u32;
        let mut ended: BTreeMap<u32, u32> = BTreeMap::new();
        let mut handed: BTreeMap<u32, usize> = BTreeMap::new();
        let mut out: Vec<u32> = Vec::new();
        let mut end = |job: u32| *ended.entry(job).or_default() += 1;
        let drain = std::iter::repeat_n(Step::Next, 1);
        let rest = std::iter::once(Step::Close)
            .chain(drain.chain([Step::Finish(0)]).cycle().take(100));
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Submit { lane, slot, deadline, groups, is_refusable } => {
                    jobs += 1;
                    let deadline = now + deadline;
                    let request = Request { job: jobs, slot, deadline, groups, is_refusable };
                    match dispatcher.submit(LANES[lane], request) {
                        Submitted::Pending { displaced, .. } => {
                            taken += 1;
                            displaced.into_iter().for_each(&mut end);
                        }
                        Submitted::Dropped => {
                            taken += 1;
                            end(jobs);
                        }
                        Submitted::Busy | Submitted::TooManyLanes | Submitted::Closed => {}
                    }
                }
                Step::Next => match dispatcher.next(now) {
                    Some(Next::Group { job, group }) => {
                        let next = handed.entry(job).or_default();
                        prop_assert_eq!(group, *next);
                        *next += 1;
                        out.push(job);
                    }
                    Some(Next::Expired { job }) => {
                        prop_assert!(!handed.contains_key(&job));
                        end(job);
                    }
                    None => {}
                },
                Step::Finish(index) => {
                    if !out.is_empty() {
                        let job = out.swap_remove(index % out.len());
                        if dispatcher.group_finished(job) {
                            prop_assert!(!out.contains(&job));
                            end(job);
                        }
                    }
                }
                Step::Cancel(index) => {
                    if jobs > 0 {
                        let job = u32::try_from(index % jobs as usize).unwrap() + 1;
                        if dispatcher.cancel(job) == Cancelled::BeforeStart {
                            end(job);
                        }
                    }
                }
                Step::Wait(time) => now += time,
                Step::Close => dispatcher.close().into_iter().for_each(&mut end),
            }
            let running: Vec<_> =
                dispatcher.lanes().filter_map(|(_, running, _)| running).collect();
            prop_assert!(out.iter().all(|job| running.contains(job)));
        }
        prop_assert!(dispatcher.is_finished());
        prop_assert_eq!(ended.len(), taken as usize);
        prop_assert!(ended.values().all(|times| *times == 1));
    }
}
