//! Random histories: what is found is right, and all bounds hold after every step.

use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// A request; its job is kept back until `Finish`, or made at once.
    Request {
        slot: u64,
        key: u8,
        at_once: bool,
    },
    /// The oldest job that is kept back is done or dropped.
    Finish {
        is_dropped: bool,
    },
    Order {
        slot: u64,
        keys: u8,
    },
    /// The background takes some and makes them, or puts them back.
    Background {
        count: usize,
        has_room: bool,
    },
    Forward(u64),
    Remove(u8),
    Load(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (slots, keys) = (95..115_u64, 0..4_u8);
    prop_oneof![
        6 => (slots.clone(), keys.clone(), any::<bool>())
            .prop_map(|(slot, key, at_once)| Step::Request { slot, key, at_once }),
        2 => any::<bool>().prop_map(|is_dropped| Step::Finish { is_dropped }),
        3 => (slots, 1..5_u8).prop_map(|(slot, keys)| Step::Order { slot, keys }),
        3 => (1..5_usize, any::<bool>())
            .prop_map(|(count, has_room)| Step::Background { count, has_room }),
        1 => (0..4_u64).prop_map(Step::Forward),
        1 => keys.clone().prop_map(Step::Remove),
        1 => keys.prop_map(Step::Load),
    ]
}

fn sign(maker: &ProofMaker) -> Option<Signature> {
    let id = *maker.id();
    maker.make(|| Ok::<_, ()>(signature(id.slot().0, id.key().0[0]))).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_found_is_right_and_bounds_hold(steps in prop::collection::vec(step(), 0..120)) {
        let bench = Bench::new(CAPACITY);
        let mut kept_back: Vec<Arc<ProofMaker>> = Vec::new();
        for step in steps {
            match step {
                Step::Request { slot, key, at_once } => match bench.find(slot, key) {
                    Found::Ready(found, _) => {
                        prop_assert_eq!(found, signature(slot, key));
                        prop_assert!(slot >= bench.now.load(Ordering::Relaxed));
                        prop_assert!(!bench.unloaded.lock().contains(&super::key(key)));
                    }
                    Found::Making { .. } => {
                        prop_assert!(kept_back.iter().any(|maker| *maker.id() == id(slot, key)));
                    }
                    Found::Missing(maker) => {
                        prop_assert!(kept_back.iter().all(|other| other.id() != maker.id()));
                        if at_once {
                            prop_assert_eq!(sign(&maker), Some(signature(slot, key)));
                        } else {
                            kept_back.push(maker);
                        }
                    }
                },
                Step::Finish { is_dropped } if !kept_back.is_empty() => {
                    let maker = kept_back.remove(0);
                    if !is_dropped {
                        sign(&maker);
                    }
                }
                Step::Finish { .. } => {}
                Step::Order { slot, keys } => {
                    if slot >= bench.now.load(Ordering::Relaxed) {
                        let wanted: Vec<_> =
                            (0..keys).map(|key| (id(slot, key), order(slot))).collect();
                        if let Ok(Accepted { accepted, cached, .. }) = bench.cache.order(&wanted) {
                            prop_assert_eq!(accepted + cached, wanted.len());
                        }
                    }
                }
                Step::Background { count, has_room } => {
                    let taken = bench.cache.take(count, much_later());
                    prop_assert!(taken.len() <= count);
                    if has_room {
                        for taken in taken {
                            sign(&taken.maker);
                        }
                    } else {
                        bench.cache.put_back(taken);
                    }
                }
                Step::Forward(slots) => {
                    bench.now.fetch_add(slots, Ordering::Relaxed);
                }
                Step::Remove(key) => bench.remove(key),
                Step::Load(number) => bench.unloaded.lock().retain(|gone| *gone != key(number)),
            }
            let (ready, making, backlog) = bench.cache.sizes();
            prop_assert!(ready <= CAPACITY && backlog <= CAPACITY, "{} and {}", ready, backlog);
            prop_assert_eq!(making, kept_back.len());
        }
        drop(kept_back);
        prop_assert_eq!(bench.cache.sizes().1, 0, "nobody waits for a job that is gone");
    }
}
