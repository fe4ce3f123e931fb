//! A bad entry is rejected with its reason and spoils nothing else.

use std::sync::Arc;

use midslot_aggregation::{
    Bits, Child, Entry, GroupEnd, KeyBytes, KeyTable, Options, Overlap, Positions,
    RejectReason::{
        self, BadEncoding, BadLength, ChildBitsLength, ChildEmpty, Conflict, Duplicate, Infinity,
        InvalidSignature, NotInGroup, NotOnCurve, PositionOutOfRange, PubkeyInvalid, PubkeyMissing,
    },
    SignatureBytes, Single, VerifyMode,
};

use crate::committee::{
    AGGREGATE, EACH, assert_each_entry_once, bits_len, child, committee, of_small_order,
    outside_the_group, prove, proved_positions, raw, rejections, signature,
    signature_of_other_message, signed_by, single, sum,
};

const NONE: Options = Options { verify: VerifyMode::None, overlap: Overlap::Disjoint };

fn infinity() -> SignatureBytes {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    SignatureBytes::Compressed(bytes)
}

/// The first x without a point.
fn off_the_curve() -> SignatureBytes {
    let bytes = (1..=u8::MAX)
        .map(|x| {
            let mut bytes = [0; 96];
            (bytes[0], bytes[95]) = (0x80, x);
            bytes
        })
        .find(|bytes| {
            blst::min_pk::Signature::uncompress(bytes).err()
                == Some(blst::BLST_ERROR::BLST_POINT_NOT_ON_CURVE)
        });
    SignatureBytes::Compressed(bytes.expect("half of all x have no point"))
}

/// An x that is not below the modulus.
fn not_canonical() -> SignatureBytes {
    let mut bytes = [0xff; 96];
    bytes[0] = 0x9f;
    SignatureBytes::Compressed(bytes)
}

fn not_compressed() -> SignatureBytes {
    let mut bytes = signature(0).compress();
    bytes[0] &= 0x7f;
    SignatureBytes::Compressed(bytes)
}

#[test]
fn a_bad_signature_is_rejected_with_its_reason_in_each_mode() {
    let cases: [(SignatureBytes, RejectReason); 9] = [
        (SignatureBytes::from_slice(&[0; 95]), BadLength),
        (SignatureBytes::from_slice(&[0; 192]), BadLength),
        (SignatureBytes::Unreadable, BadEncoding),
        (not_canonical(), BadEncoding),
        (not_compressed(), BadEncoding),
        (off_the_curve(), NotOnCurve),
        (raw(&outside_the_group()), NotInGroup),
        (infinity(), Infinity),
        (raw(&signature_of_other_message(1)), InvalidSignature),
    ];
    for (bad, reason) in cases {
        for options in [EACH, AGGREGATE] {
            let mut group = signed_by(4, &[0, 2]);
            group.singles.insert(1, Single { positions: Positions::One(1), signature: bad });
            let outcome = prove(&group, options);
            assert_eq!(rejections(&outcome), [(Entry::Single(1), reason)], "{options:?}");
            assert_eq!(outcome.used, [Entry::Single(0), Entry::Single(2)]);
            assert_eq!(proved_positions(&group, &outcome), [0, 2]);

            let mut group = signed_by(4, &[0, 2]);
            group.children = vec![Child { signature: bad, ..child(4, &[1, 3]) }, child(4, &[3])];
            let outcome = prove(&group, options);
            assert_eq!(rejections(&outcome), [(Entry::Child(0), reason)], "{options:?}");
            assert_eq!(proved_positions(&group, &outcome), [0, 2, 3]);
        }
    }
}

#[test]
fn a_part_of_small_order_does_not_slip_through_blinding() {
    // A scalar that is a multiple of the order hides it, once in 13 draws.
    for validator in 0..20 {
        let mut group = signed_by(40, &[0, 1]);
        let tainted = sum(&[signature(validator), of_small_order()]);
        group.singles = vec![
            single(u16::try_from(validator).expect("small"), &tainted),
            single(40 - 1, &signature(39)),
        ];
        for options in [EACH, AGGREGATE] {
            let outcome = prove(&group, options);
            assert_eq!(rejections(&outcome)[0], (Entry::Single(0), NotInGroup));
        }
    }
}

#[test]
fn positions_are_checked() {
    let bad = |positions: &[u16], group: &mut Vec<Single>| {
        group.push(Single {
            positions: Positions::Several(positions.into()),
            signature: raw(&signature(3)),
        });
    };
    let mut group = signed_by(4, &[0]);
    bad(&[4], &mut group.singles);
    bad(&[], &mut group.singles);
    bad(&[3, 3], &mut group.singles);
    bad(&[3, u16::MAX], &mut group.singles);
    bad(&[2, 3], &mut group.singles);
    let outcome = prove(&group, EACH);
    assert_eq!(
        rejections(&outcome),
        [
            (Entry::Single(1), PositionOutOfRange),
            (Entry::Single(2), PositionOutOfRange),
            (Entry::Single(3), Duplicate),
            (Entry::Single(4), PositionOutOfRange),
            (Entry::Single(5), Conflict),
        ]
    );
    assert_eq!(proved_positions(&group, &outcome), [0]);
}

#[test]
fn bit_fields_of_another_length_are_rejected() {
    let mut group = signed_by(8, &[0]);
    group.children = vec![
        Child { bits: None, ..child(8, &[1]) },
        child(7, &[1]),
        child(9, &[1]),
        Child { bits: Some(Bits::empty(bits_len(8))), ..child(8, &[1]) },
        child(8, &[2]),
    ];
    let outcome = prove(&group, EACH);
    assert_eq!(
        rejections(&outcome),
        [
            (Entry::Child(0), ChildBitsLength),
            (Entry::Child(1), ChildBitsLength),
            (Entry::Child(2), ChildBitsLength),
            (Entry::Child(3), ChildEmpty),
        ]
    );
    assert_eq!(proved_positions(&group, &outcome), [0, 2]);
}

#[test]
fn who_has_no_key_cannot_be_verified() {
    let mut group = signed_by(6, &[0, 1, 2, 3, 4, 5]);
    let mut keys = group.keys.0.clone();
    keys[1] = KeyBytes::Missing;
    keys[2] = KeyBytes::Compressed([0; 48]);
    keys[3] = KeyBytes::Unreadable;
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    keys[4] = KeyBytes::Compressed(infinity);
    keys.truncate(5);
    group.keys = Arc::new(KeyTable(keys));
    group.children = vec![child(6, &[0, 1]), child(6, &[0, 2])];
    let outcome = prove(&group, EACH);
    assert_eq!(
        rejections(&outcome),
        [
            (Entry::Single(1), PubkeyMissing),
            (Entry::Single(2), PubkeyInvalid),
            (Entry::Single(3), PubkeyInvalid),
            (Entry::Single(4), PubkeyInvalid),
            (Entry::Single(5), PubkeyMissing),
            (Entry::Child(0), PubkeyMissing),
            (Entry::Child(1), PubkeyInvalid),
        ]
    );
    assert_eq!(proved_positions(&group, &outcome), [0]);

    // Nothing is verified, so nobody asks for keys.
    let outcome = prove(&group, NONE);
    assert_eq!(outcome.aggregate.expect("an aggregate").bits.count(), 6);
}

#[test]
fn the_same_entry_counts_once() {
    for options in [EACH, AGGREGATE, NONE] {
        let mut group = signed_by(4, &[0, 0, 1, 0]);
        group.children = vec![child(4, &[2, 3]), child(4, &[2, 3])];
        let outcome = prove(&group, options);
        assert_eq!(
            rejections(&outcome),
            [
                (Entry::Single(1), Duplicate),
                (Entry::Single(3), Duplicate),
                (Entry::Child(1), Duplicate),
            ]
        );
        assert_eq!(outcome.used, [Entry::Single(0), Entry::Single(2), Entry::Child(0)]);
        assert_eq!(
            outcome.aggregate.expect("an aggregate").signature,
            crate::committee::sum_of(&[0, 1, 2, 3]).compress()
        );
    }
}

#[test]
fn of_two_signatures_for_one_position_the_good_one_wins_whatever_the_order() {
    for options in [EACH, AGGREGATE] {
        for swap in [false, true] {
            let mut group = signed_by(4, &[0, 1]);
            group.singles.push(single(1, &signature_of_other_message(1)));
            group.singles.push(single(1, &signature(3)));
            if swap {
                group.singles.reverse();
            }
            let outcome = prove(&group, options);
            let losers = if swap { [0, 1] } else { [2, 3] };
            assert_eq!(
                rejections(&outcome),
                losers.map(|index| (Entry::Single(index), Conflict)),
                "{options:?}"
            );
            assert_eq!(proved_positions(&group, &outcome), [0, 1]);
        }
    }
}

#[test]
fn two_bad_signatures_for_one_position_are_both_invalid() {
    for options in [EACH, AGGREGATE] {
        let mut group = signed_by(4, &[0]);
        group.singles.push(single(1, &signature_of_other_message(1)));
        group.singles.push(single(1, &signature(3)));
        let outcome = prove(&group, options);
        assert_eq!(
            rejections(&outcome),
            [(Entry::Single(1), InvalidSignature), (Entry::Single(2), InvalidSignature)]
        );
    }
}

#[test]
fn without_verification_the_result_says_so() {
    let mut group = signed_by(4, &[0, 1]);
    group.singles.push(single(2, &signature_of_other_message(2)));
    group.singles.push(single(1, &signature_of_other_message(1)));
    let outcome = prove(&group, NONE);
    let aggregate = outcome.aggregate.clone().expect("an aggregate");
    assert!(!aggregate.verified);
    assert_eq!(aggregate.bits.count(), 3);
    assert_eq!(outcome.counts.pairings, 0);
    assert_eq!(outcome.rejected.len(), 1);
    assert_eq!(outcome.rejected[0].reason, Conflict);
    assert_each_entry_once(&group, &outcome);
}

#[test]
fn a_group_without_a_good_entry_completes_without_an_aggregate() {
    for options in [EACH, AGGREGATE, NONE] {
        let outcome = prove(&committee(3), options);
        assert_eq!((outcome.end, outcome.aggregate), (GroupEnd::Complete, None));
    }
    let mut group = committee(3);
    group.singles.push(single(1, &signature_of_other_message(1)));
    for options in [EACH, AGGREGATE] {
        let outcome = prove(&group, options);
        assert_eq!((outcome.end, &outcome.aggregate), (GroupEnd::Complete, &None));
        assert_eq!(rejections(&outcome), [(Entry::Single(0), InvalidSignature)]);
    }
}

#[test]
fn keys_that_cancel_out_release_nothing_and_lose_nothing() {
    // Only possible for keys without proof of possession: each signature is good, the sum is not.
    let mut opposite = crate::committee::public_key(0);
    opposite[0] ^= 0x20;
    let mut group = signed_by(2, &[0]);
    group.singles.push(single(1, &crate::committee::negative(&signature(0))));
    let mut keys = group.keys.0.clone();
    keys[1] = KeyBytes::Compressed(opposite);
    group.keys = Arc::new(KeyTable(keys));
    for options in [EACH, AGGREGATE] {
        let outcome = prove(&group, options);
        assert_eq!((outcome.end, &outcome.aggregate), (GroupEnd::SelfCheckFailed, &None));
        assert!(outcome.rejected.is_empty());
        assert_eq!(outcome.unprocessed.len(), 2);
    }
}

#[test]
fn bit_fields_read_and_write_ssz() {
    let list = |bytes: &[u8]| Bits::from_ssz_bitlist(bytes);
    assert_eq!(list(&[]), None);
    assert_eq!(list(&[0x01]), None, "a list of no positions");
    assert_eq!(list(&[0xff, 0x00]), None, "no end in the last byte");
    assert_eq!(list(&[0b1011]).expect("three positions").iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(list(&[0b1011]).expect("three positions").len().get(), 3);
    assert_eq!(list(&[0xff, 0x01]).expect("eight positions").count(), 8);
    let mut most = vec![0x80; 256];
    most.push(0x01);
    assert_eq!(list(&most).expect("the most positions").len().get(), 2048);
    most[256] = 0x02;
    assert_eq!(list(&most), None, "one too many");
    for bytes in [&[0x0b][..], &[0xff, 0x01], &[0x00, 0x80], &[1; 65]] {
        assert_eq!(list(bytes).expect("a list").to_ssz_bitlist(), bytes);
    }
    let vector = |bytes: &[u8], len| Bits::from_ssz_bitvector(bytes, bits_len(len));
    assert_eq!(vector(&[0xff], 9), None);
    assert_eq!(vector(&[0xff, 0x02], 9), None, "a bit behind the end");
    assert_eq!(vector(&[0xff, 0x01], 9).expect("nine").to_ssz_bitvector(), [0xff, 0x01]);
    assert_eq!(
        vector(&[0xff; 16], 128).expect("128").iter().collect::<Vec<_>>(),
        (0..128).collect::<Vec<_>>()
    );
}
