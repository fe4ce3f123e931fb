//! The outcome is a function of the entries' content: not of their order, the seed, the cache, the
//! scratch buffers, or of when it runs.

use std::collections::HashMap;

use midslot_aggregation::{
    Aggregate, Counts, DecodedSignature, Entry, Group, GroupOutcome, NeverStop, NoCache, Options,
    Overlap, PointCache, RejectReason, Scratch, SignatureBytes, ValidKey, VerifyMode,
    aggregate_group,
};

use crate::committee::{
    child, outside_the_group, raw, signature_of_other_message, signed_by, single,
};

const EVERY_OPTION: [Options; 6] = {
    const fn options(verify: VerifyMode, overlap: Overlap) -> Options {
        Options { verify, overlap }
    }
    [
        options(VerifyMode::Each, Overlap::Disjoint),
        options(VerifyMode::Each, Overlap::Subtract),
        options(VerifyMode::Aggregate, Overlap::Disjoint),
        options(VerifyMode::Aggregate, Overlap::Subtract),
        options(VerifyMode::None, Overlap::Disjoint),
        options(VerifyMode::None, Overlap::Subtract),
    ]
};

/// A group with something of everything.
fn group() -> Group {
    let mut group = signed_by(16, &[0, 1, 2, 3, 4, 5]);
    group.singles.push(single(6, &signature_of_other_message(6)));
    group.singles.push(single(2, &signature_of_other_message(2)));
    group.singles.push(single(9, &outside_the_group()));
    group.singles[4].signature = SignatureBytes::WrongLength;
    group.children = vec![
        child(16, &[4, 5, 6, 7, 8]),
        child(16, &[0, 8, 9, 10]),
        child(16, &[10, 11, 12]),
        child(16, &[3, 12, 13]),
        child(16, &[10, 14]),
    ];
    group.children[2].signature = raw(&signature_of_other_message(10));
    group
}

/// The outcome with entries in place of their indices, and without what depends on the cache.
type Content = (Option<Aggregate>, Vec<Vec<(String, Option<RejectReason>)>>);

fn content(group: &Group, outcome: &GroupOutcome) -> Content {
    let name = |entry: Entry| match entry {
        Entry::Single(index) => format!("{:?}", group.singles[index]),
        Entry::Child(index) => format!("{:?}", group.children[index]),
    };
    let mut lists = vec![
        outcome.used.iter().map(|&entry| (name(entry), None)).collect::<Vec<_>>(),
        outcome.covered.iter().map(|&entry| (name(entry), None)).collect(),
        outcome.rejected.iter().map(|it| (name(it.entry), Some(it.reason))).collect(),
        outcome.unprocessed.iter().map(|it| (name(it.entry), None)).collect(),
    ];
    for list in &mut lists {
        list.sort();
    }
    (outcome.aggregate.clone(), lists)
}

fn run(
    group: &Group,
    options: Options,
    scratch: &mut Scratch,
    cache: &mut impl PointCache,
    seed: u8,
) -> GroupOutcome {
    aggregate_group(group, options, scratch, cache, &[seed; 32], &mut NeverStop)
}

/// Keeps everything.
#[derive(Default)]
struct Cache {
    keys: HashMap<[u8; 48], ValidKey>,
    signatures: HashMap<[u8; 96], DecodedSignature>,
}

impl PointCache for Cache {
    fn key(&mut self, bytes: &[u8; 48]) -> Option<ValidKey> {
        self.keys.get(bytes).copied()
    }

    fn keep_key(&mut self, bytes: &[u8; 48], key: ValidKey) {
        self.keys.insert(*bytes, key);
    }

    fn signature(&mut self, bytes: &[u8; 96]) -> Option<DecodedSignature> {
        self.signatures.get(bytes).copied()
    }

    fn keep_signature(&mut self, bytes: &[u8; 96], signature: DecodedSignature) {
        self.signatures.insert(*bytes, signature);
    }
}

#[test]
fn any_order_of_the_entries_gives_the_same_bytes() {
    for options in EVERY_OPTION {
        let mut group = group();
        let first = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
        let expected = content(&group, &first);
        assert!(expected.0.is_some());
        for step in [1, 2, 4] {
            let (singles, children) = (group.singles.len(), group.children.len());
            group.singles.rotate_left(step % singles);
            group.children.rotate_left(step % children);
            group.singles.swap(0, singles - 1);
            let again = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
            assert_eq!(content(&group, &again), expected, "{options:?}");
        }
    }
}

#[test]
fn any_seed_gives_the_same_outcome() {
    let group = group();
    for options in EVERY_OPTION {
        let first = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
        for seed in 2..10 {
            assert_eq!(run(&group, options, &mut Scratch::new(), &mut NoCache, seed), first);
        }
    }
}

#[test]
fn a_warm_cache_gives_the_same_outcome() {
    let group = group();
    for options in EVERY_OPTION {
        let cold = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
        for warmed_by in EVERY_OPTION {
            let mut cache = Cache::default();
            run(&group, warmed_by, &mut Scratch::new(), &mut cache, 1);
            let warm = run(&group, options, &mut Scratch::new(), &mut cache, 1);
            let without_counts = |outcome: &GroupOutcome| GroupOutcome {
                counts: Counts::default(),
                ..outcome.clone()
            };
            assert_eq!(without_counts(&warm), without_counts(&cold));
            assert!(warm.counts.cache_hits > 0);
            assert!(warm.counts.decompressed < cold.counts.decompressed);
        }
    }
}

#[test]
fn used_scratch_buffers_give_the_same_outcome() {
    let (group, mut scratch) = (group(), Scratch::new());
    for options in EVERY_OPTION {
        let fresh = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
        for other in [signed_by(32, &[30, 31]), signed_by(1, &[]), group.clone()] {
            run(&other, options, &mut scratch, &mut NoCache, 1);
            assert_eq!(run(&group, options, &mut scratch, &mut NoCache, 1), fresh);
        }
    }
}

#[test]
fn many_threads_give_the_same_outcome() {
    let group = group();
    for options in EVERY_OPTION {
        let expected = run(&group, options, &mut Scratch::new(), &mut NoCache, 1);
        let outcomes = std::thread::scope(|threads| {
            let started: Vec<_> = (0..4)
                .map(|_| {
                    threads.spawn(|| run(&group, options, &mut Scratch::new(), &mut NoCache, 1))
                })
                .collect();
            started.into_iter().map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(outcomes.iter().all(|outcome| *outcome == expected));
    }
}
