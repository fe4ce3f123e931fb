//! The consensus specifications' own answers, as groups: of consensus-spec-tests (general, bls)
//! `aggregate`, `fast_aggregate_verify` and `eth_aggregate_pubkeys`, of ethereum/bls12-381-tests
//! `batch_verify`. The vectors that have no counterpart in a group, such as an empty list of keys,
//! are left out.

use std::sync::Arc;

use midslot_aggregation::{
    Child, Entry, Group, KeyBytes, KeyTable, Positions, RejectReason, SignatureBytes, Single,
};

use crate::committee::{AGGREGATE, EACH, bits, bits_len, prove, rejections};

const KEYS: [&str; 3] = [
    "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
    "b301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81",
    "b53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f",
];
/// Each key's signature of 32 bytes 0xab.
const SIGNATURES: [&str; 3] = [
    "91347bccf740d859038fcdcaf233eeceb2a436bcaaee9b2aa3bfb70efe29dfb2677562ccbea1c8e061fb9971b0753c24\
     0622fab78489ce96768259fc01360346da5b9f579e5da0d941e4c6ba18a0e64906082375394f337fa1af2b7127b0d121",
    "9674e2228034527f4c083206032b020310face156d4a4685e2fcaec2f6f3665aa635d90347b6ce124eb879266b1e801d\
     185de36a0a289b85e9039662634f2eea1e02e670bc7ab849d006a70b2f93b84597558a05b879c8d445f387a5d5b653df",
    "ae82747ddeefe4fd64cf9cedb9b04ae3e8a43420cd255e3c7cd06a8d88b7c7f8638543719981c5d16fa3527c468c25f0\
     026704a6951bde891360c7e8d12ddee0559004ccdbe6046b55bae1b257ee97f7cdb955773d7cf29adf3ccbb9975e4eb9",
];
const SUM: &str = "9712c3edd73a209c742b8250759db12549b3eaf43b5ca61376d9f30e2747dbcf842d8b2ac0901d2a093713e20284a767\
     0fcf6954e9ab93de991bb9b313e664785a075fc285806fa5224c82bde146561b446ccfc706a64b8579513cfc4ff1d930";

/// The three keys, added up.
const SUM_OF_KEYS: &str = "a095608b35495ca05002b7b5966729dd1ed096568cf2ff24f3318468e0f3495361414a78ebc09574489bc79e48fca969";
/// The first key's signature of zeros, and the second key's of 32 bytes 0x56.
const OF_OTHER_MESSAGES: [&str; 2] = [
    "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb515809\
     0352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55",
    "af1390c3c47acdb37131a51216da683c509fce0e954328a59f93aebda7e4ff974ba208d9a4a2a2389f892a9d418d6184\
     18dd7f7a6bc7aa0da999a9d3a5b815bc085e14fd001f6a1948768a3f4afefc8b8240dda329f984cb345c6363272ba4fe",
];
/// The same with one point added to the first and taken from the second.
const FORGED: [&str; 2] = [
    "a70f1f1b4bd97d182ebb55d08be3f90b1dc232bb50b44e259381a642ef0bad3629ad3542f3e8ff6a84e451fc0b595e09\
     0fc4f0e860cfc5584715ef1b6cd717b9994378f7a51b815bbf5a0d95bc3402583ad2e95a229731e539906249a5e4355c",
    "b758eb7e15c101f53be2214d2a6b65e8fe7053146dbe3c73c9fe9b5efecdf63ca06a4d5d938dbf18fe6600529c0011a7\
     013f45ae012b02904d5c7c33316e935a0e084abead4f43f84383c52cd3b3f14024437e251a2a7c0d5147954022873a58",
];

fn bytes<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    const_hex::decode_to_array(text).expect("hexadecimal")
}

fn group(keys: &[&str]) -> Group {
    let len = u16::try_from(keys.len()).expect("few");
    let keys = keys.iter().map(|key| KeyBytes::Compressed(bytes(key))).collect();
    Group {
        message: [0xab; 32],
        bits_len: bits_len(len),
        keys: Arc::new(KeyTable(keys)),
        singles: Vec::new(),
        children: Vec::new(),
    }
}

fn child(len: u16, positions: &[u16], signature: [u8; 96]) -> Child {
    Child { bits: Some(bits(len, positions)), signature: SignatureBytes::Compressed(signature) }
}

/// Keys, positions of a child, its signature, and what is wrong with it.
type Case<'c> = (&'c [&'c str], &'c [u16], [u8; 96], Option<RejectReason>);

/// `aggregate_0xabab...`: the three signatures give this sum.
#[test]
fn the_sum_of_the_signatures() {
    let mut group = group(&KEYS);
    group.singles = (0..)
        .zip(SIGNATURES)
        .map(|(at, text)| Single {
            positions: Positions::One(at),
            signature: SignatureBytes::Compressed(bytes(text)),
        })
        .collect();
    for options in [EACH, AGGREGATE] {
        let aggregate = prove(&group, options).aggregate.expect("an aggregate");
        assert_eq!(aggregate.signature, bytes(SUM));
        assert_eq!((aggregate.bits.count(), aggregate.verified), (3, true));
    }
}

/// `fast_aggregate_verify_valid`, `_extra_pubkey`, `_tampered_signature`,
/// `_infinity_pubkey`, `_na_pubkeys_and_infinity_signature`.
#[test]
fn aggregates_that_verify_and_that_do_not() {
    let infinite_key = format!("c0{}", "0".repeat(94));
    let mut tampered: [u8; 96] = bytes(SUM);
    tampered[92..].fill(0xff);
    let mut infinite_signature = [0; 96];
    infinite_signature[0] = 0xc0;
    let extra = [KEYS[0], KEYS[1], KEYS[2], KEYS[2]];
    let infinite = [KEYS[0], KEYS[1], KEYS[2], &infinite_key];
    let cases: [Case<'_>; 5] = [
        (&KEYS, &[0, 1, 2], bytes(SUM), None),
        (&extra, &[0, 1, 2, 3], bytes(SUM), Some(RejectReason::InvalidSignature)),
        (&KEYS, &[0, 1, 2], tampered, Some(RejectReason::NotOnCurve)),
        (&infinite, &[0, 1, 2, 3], bytes(SUM), Some(RejectReason::PubkeyInvalid)),
        (&KEYS, &[], infinite_signature, Some(RejectReason::ChildEmpty)),
    ];
    for (keys, positions, signature, reason) in cases {
        let mut group = group(keys);
        let len = group.bits_len.get();
        group.children = vec![child(len, positions, signature)];
        for options in [EACH, AGGREGATE] {
            let outcome = prove(&group, options);
            let expected: Vec<_> = reason.iter().map(|&reason| (Entry::Child(0), reason)).collect();
            assert_eq!(rejections(&outcome), expected);
            assert_eq!(outcome.aggregate.is_some(), reason.is_none());
        }
    }
}

/// `eth_aggregate_pubkeys_valid_pubkeys`, `_infinity_pubkey`, `_zero_pubkey`, `_x40_pubkey`: the sum
/// of the keys stands for them all, and what is no key adds nothing.
#[test]
fn keys_that_add_up_and_that_do_not() {
    let not_keys = ["c0", "00", "40"].map(|first| format!("{first}{}", "0".repeat(94)));
    for options in [EACH, AGGREGATE] {
        let mut sum = group(&[SUM_OF_KEYS]);
        sum.children = vec![child(1, &[0], bytes(SUM))];
        assert_eq!(prove(&sum, options).aggregate.expect("an aggregate").signature, bytes(SUM));

        for not_a_key in &not_keys {
            let mut group = group(&[SUM_OF_KEYS, not_a_key]);
            group.children = vec![child(2, &[0], bytes(SUM)), child(2, &[0, 1], bytes(SUM))];
            let outcome = prove(&group, options);
            assert_eq!(rejections(&outcome), [(Entry::Child(1), RejectReason::PubkeyInvalid)]);
            assert_eq!(outcome.used, [Entry::Child(0)]);
        }
    }
}

/// `batch_verify_valid_simple_signature_set`, `_valid_multiple_signature_set`,
/// `_invalid_forged_signature_set`. A group has one message, so that each signature of a set is a
/// group of its own: none of the forged ones may pass by what the other one makes up for.
#[test]
fn sets_of_signatures_that_verify_and_that_do_not() {
    let [zeros, fifty_sixes] = OF_OTHER_MESSAGES;
    let messages = [[0; 32], [0x56; 32], [0xab; 32]];
    let sets: [(&[&str], bool); 3] = [
        (&[zeros, fifty_sixes, SIGNATURES[2]], true),
        (&[zeros, fifty_sixes], true),
        (&FORGED, false),
    ];
    for (signatures, is_valid) in sets {
        for ((key, message), signature) in KEYS.iter().zip(messages).zip(signatures) {
            let mut group = Group { message, ..group(&[key]) };
            group.singles = vec![Single {
                positions: Positions::One(0),
                signature: SignatureBytes::Compressed(bytes(signature)),
            }];
            for options in [EACH, AGGREGATE] {
                let outcome = prove(&group, options);
                assert_eq!(outcome.aggregate.is_some(), is_valid);
                let forged = (Entry::Single(0), RejectReason::InvalidSignature);
                assert_eq!(rejections(&outcome), if is_valid { vec![] } else { vec![forged] });
            }
        }
    }
}
