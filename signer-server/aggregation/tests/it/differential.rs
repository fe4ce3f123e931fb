//! Random groups beside a naive reference, which verifies each entry singly, tries every set of
//! children, and signs the result with the secret keys.

use std::sync::Arc;

use midslot_aggregation::{
    Bits, Child, Entry, Group, GroupEnd, KeyBytes, KeyTable, Options, Overlap, Positions,
    RejectReason, SignatureBytes, Single, VerifyMode,
};
use proptest::prelude::*;

use crate::committee::{
    assert_each_entry_once, bits_len, committee, negative, of_small_order, outside_the_group,
    prove, proved_positions, raw, signature, signature_of_other_message, sum, sum_of, verifies,
};

const LEN: u16 = 10;

/// What a random single is made of.
#[derive(Clone, Copy, Debug)]
enum Made {
    Good,
    OtherMessage,
    OfSomebodyElse,
    Tainted,
    Outside,
    Infinity,
    WrongLength,
    OutOfRange,
    /// Good plus or minus a fixed point: two of these cancel out.
    Plus,
    Minus,
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        8 => Just(Made::Good),
        1 => Just(Made::OtherMessage),
        1 => Just(Made::OfSomebodyElse),
        1 => Just(Made::Tainted),
        1 => Just(Made::Outside),
        1 => Just(Made::Infinity),
        1 => Just(Made::WrongLength),
        1 => Just(Made::OutOfRange),
        1 => Just(Made::Plus),
        1 => Just(Made::Minus),
    ]
}

fn single(position: u16, made: Made) -> Single {
    let validator = usize::from(position);
    let good = signature(validator);
    let shift = signature_of_other_message(20);
    let signature = match made {
        Made::Good | Made::OutOfRange => raw(&good),
        Made::OtherMessage => raw(&signature_of_other_message(validator)),
        Made::OfSomebodyElse => raw(&signature(validator + 1)),
        Made::Tainted => raw(&sum(&[good, of_small_order()])),
        Made::Outside => raw(&outside_the_group()),
        Made::Infinity => {
            let mut bytes = [0; 96];
            bytes[0] = 0xc0;
            SignatureBytes::Compressed(bytes)
        }
        Made::WrongLength => SignatureBytes::WrongLength,
        Made::Plus => raw(&sum(&[good, shift])),
        Made::Minus => raw(&sum(&[good, negative(&shift)])),
    };
    let position = if matches!(made, Made::OutOfRange) { position + LEN } else { position };
    Single { positions: Positions::One(position), signature }
}

/// A child of these positions, as bits of a number, whose signature may lack or have more.
fn child(mask: u16, made: Made) -> Child {
    let mut bits = Bits::empty(bits_len(LEN));
    (0..LEN).filter(|position| mask & (1 << position) != 0).for_each(|at| bits.insert(at));
    let signers: Vec<_> = bits.iter().map(usize::from).collect();
    let whole = if signers.is_empty() { signature(0) } else { sum_of(&signers) };
    let shift = signature_of_other_message(20);
    let signature = match made {
        Made::Good => raw(&whole),
        Made::OtherMessage | Made::OfSomebodyElse => raw(&sum(&[whole, signature(11)])),
        Made::Tainted => raw(&sum(&[whole, of_small_order()])),
        Made::Plus => raw(&sum(&[whole, shift])),
        Made::Minus => raw(&sum(&[whole, negative(&shift)])),
        Made::Outside => raw(&outside_the_group()),
        Made::Infinity | Made::WrongLength => SignatureBytes::WrongLength,
        Made::OutOfRange => {
            return Child { bits: Some(Bits::empty(bits_len(LEN + 1))), signature: raw(&whole) };
        }
    };
    Child { bits: Some(bits), signature }
}

fn random_group() -> impl Strategy<Value = Group> {
    let singles = prop::collection::vec((0..LEN, made()), 0..10);
    let children = prop::collection::vec((0..1u16 << LEN, made()), 0..6);
    let bad_key = prop::option::weighted(0.3, (0..LEN, any::<bool>()));
    (singles, children, bad_key).prop_map(|(singles, children, bad_key)| {
        let mut group = committee(LEN);
        group.singles = singles.into_iter().map(|(at, made)| single(at, made)).collect();
        group.children = children.into_iter().map(|(mask, made)| child(mask, made)).collect();
        if let Some((position, missing)) = bad_key {
            let mut keys = group.keys.0.clone();
            keys[usize::from(position)] =
                if missing { KeyBytes::Missing } else { KeyBytes::Compressed([0x80; 48]) };
            group.keys = Arc::new(KeyTable(keys));
        }
        group
    })
}

/// Whether each entry is good, looked at by itself.
fn is_good(group: &Group, entry: Entry) -> bool {
    let (bits, signature) = match entry {
        Entry::Single(index) => {
            let single = &group.singles[index];
            let mut bits = Bits::empty(group.bits_len);
            single.positions.as_slice().iter().for_each(|&position| bits.insert(position));
            (bits, single.signature)
        }
        Entry::Child(index) => {
            let child = &group.children[index];
            (child.bits.expect("a bit field"), child.signature)
        }
    };
    match signature {
        SignatureBytes::Compressed(bytes) => {
            bits.len() == group.bits_len && !bits.is_empty() && verifies(group, &bits, &bytes)
        }
        SignatureBytes::WrongLength | SignatureBytes::Unreadable => false,
    }
}

fn positions_of(group: &Group, entry: Entry) -> Vec<u16> {
    match entry {
        Entry::Single(index) => group.singles[index].positions.as_slice().to_vec(),
        Entry::Child(index) => group.children[index].bits.expect("bits").iter().collect(),
    }
}

/// The most positions that good singles and any allowed set of good children cover.
fn best_coverage(group: &Group, overlap: Overlap) -> usize {
    let singles: Vec<u16> = (0..group.singles.len())
        .map(Entry::Single)
        .filter(|&entry| is_good(group, entry))
        .flat_map(|entry| positions_of(group, entry))
        .collect();
    let children: Vec<_> = (0..group.children.len())
        .map(Entry::Child)
        .filter(|&entry| is_good(group, entry))
        .map(|entry| positions_of(group, entry))
        .collect();
    (0..1u32 << children.len())
        .filter_map(|set| {
            let mut times = [0; LEN as usize];
            for (index, child) in children.iter().enumerate() {
                if set & (1 << index) != 0 {
                    for &position in child {
                        times[usize::from(position)] += 1;
                    }
                }
            }
            let allowed = (0..LEN).all(|position| {
                let known = overlap == Overlap::Subtract && singles.contains(&position);
                times[usize::from(position)] <= 1 || known
            });
            let covered = |&at: &u16| times[usize::from(at)] > 0 || singles.contains(&at);
            allowed.then(|| (0..LEN).filter(covered).count())
        })
        .max()
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_reference(group in random_group()) {
        for overlap in [Overlap::Disjoint, Overlap::Subtract] {
            let best = best_coverage(&group, overlap);
            let each = prove(&group, Options { verify: VerifyMode::Each, overlap });
            prop_assert_eq!(each.end, GroupEnd::Complete);
            assert_each_entry_once(&group, &each);
            let positions = proved_positions(&group, &each);
            prop_assert_eq!(positions.len(), best);
            if let Some(aggregate) = &each.aggregate {
                let signers: Vec<_> = positions.iter().map(|&at| usize::from(at)).collect();
                prop_assert_eq!(aggregate.signature, sum_of(&signers).compress());
            }
            for rejected in &each.rejected {
                let good = is_good(&group, rejected.entry);
                prop_assert!(!good || rejected.reason == RejectReason::Duplicate, "{:?}", rejected);
            }
            for &entry in each.used.iter().chain(&each.covered) {
                prop_assert!(is_good(&group, entry), "{:?}", entry);
                prop_assert!(positions_of(&group, entry).iter().all(|at| positions.contains(at)));
            }
            for kept in &each.unprocessed {
                prop_assert!(is_good(&group, kept.entry));
                prop_assert!(!positions_of(&group, kept.entry).iter().all(|at| positions.contains(at)));
            }

            let aggregate = prove(&group, Options { verify: VerifyMode::Aggregate, overlap });
            prop_assert_eq!(aggregate.end, GroupEnd::Complete);
            assert_each_entry_once(&group, &aggregate);
            let positions = proved_positions(&group, &aggregate);
            // A pair that cancels out may be in here; whatever is good certainly is.
            prop_assert!(positions.len() >= best);
            for rejected in &aggregate.rejected {
                let good = is_good(&group, rejected.entry);
                prop_assert!(!good || rejected.reason == RejectReason::Duplicate, "{:?}", rejected);
            }
        }
    }
}
