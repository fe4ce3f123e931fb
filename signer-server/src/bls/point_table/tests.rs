use proptest::prelude::*;
use signer_client::wire::Root;

use super::*;
use crate::bls::curve::read_secret_key;

/// The order of the group, big-endian (draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1).
const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

fn table(point: &MessagePoint, step: usize) -> PointTable {
    let mut builder = PointTableBuilder::new(point);
    loop {
        match builder.advance(step) {
            Ok(table) => return table,
            Err(unfinished) => builder = unfinished,
        }
    }
}

fn scalar(big_endian: [u8; 32]) -> Option<Scalar> {
    let mut scalar = Scalar::default();
    read_secret_key(&big_endian, &mut scalar).then_some(scalar)
}

/// The order plus `offset`, big-endian.
fn near_order(offset: i64) -> [u8; 32] {
    let mut bytes: [u8; 32] = const_hex::decode_to_array(ORDER).unwrap();
    let low = u64::from_be_bytes(bytes[24..].try_into().unwrap());
    bytes[24..].copy_from_slice(&low.wrapping_add_signed(offset).to_be_bytes());
    bytes
}

fn check(point: &MessagePoint, table: &PointTable, big_endian: [u8; 32]) {
    let scalar = scalar(big_endian).unwrap();
    let expected = curve::sign(point.as_blst(), &scalar);
    assert_eq!(table.sign(&scalar).0, expected, "{}", const_hex::encode(big_endian));
}

#[test]
fn scalars_at_every_edge_sign_as_blst_does() {
    let point = MessagePoint::of_root(&Root([7; 32]));
    let table = table(&point, 5);
    for low in 1..=40_u8 {
        let mut bytes = [0; 32];
        bytes[31] = low;
        check(&point, &table, bytes);
        check(&point, &table, near_order(-i64::from(low)));
    }
    // One bit, and all bits below one.
    for bit in 0..255 {
        let mut bytes = [0; 32];
        bytes[31 - bit / 8] = 1 << (bit % 8);
        if scalar(bytes).is_none() {
            continue;
        }
        check(&point, &table, bytes);
        bytes[31 - bit / 8] = bytes[31 - bit / 8].wrapping_shl(1).wrapping_sub(1);
        bytes[32 - bit / 8..].fill(0xff);
        if scalar(bytes).is_some() {
            check(&point, &table, bytes);
        }
    }
    // Every digit the same.
    for digit in 0..32_u8 {
        let mut bytes = [0; 32];
        for bit in (0..250).filter(|bit| digit >> (bit % 5) & 1 == 1) {
            bytes[31 - bit / 8] |= 1 << (bit % 8);
        }
        if scalar(bytes).is_some() {
            check(&point, &table, bytes);
        }
    }
}

#[test]
fn digits_add_up_to_the_scalar() {
    for byte in [0x00, 0x01, 0x10, 0x11, 0x55, 0x73, 0x7f, 0x84, 0xaa, 0xef, 0xff] {
        let mut scalar: Scalar = [byte; 32];
        scalar[31] &= 0x7f;
        let mut digits = Digits::of(&scalar);
        let mut rest: Vec<i32> = scalar.iter().map(|byte| i32::from(*byte)).collect();
        rest.extend([0; 4]);
        for window in 0..WINDOWS {
            let (magnitude, negative) = digits.next_digit();
            assert!(usize::from(magnitude) <= ENTRIES);
            let digit = if negative { -i32::from(magnitude) } else { i32::from(magnitude) };
            let bit = window * WINDOW_BITS;
            rest[bit / 8] -= digit << (bit % 8);
        }
        let mut carry = 0;
        for byte in rest {
            let sum = byte + carry;
            assert_eq!(sum.rem_euclid(256), 0, "of {byte:#x}");
            carry = sum.div_euclid(256);
        }
        assert_eq!(carry, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_scalar_signs_every_message_as_blst_does(
        root in any::<[u8; 32]>(),
        mut scalars in prop::collection::vec(any::<[u8; 32]>(), 1..8),
        step in 1..60_usize,
    ) {
        let point = MessagePoint::of_root(&Root(root));
        let table = table(&point, step);
        for bytes in &mut scalars {
            bytes[0] %= 0x73;
            bytes[31] |= 1;
            check(&point, &table, *bytes);
        }
    }
}
