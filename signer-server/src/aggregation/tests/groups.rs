//! Groups of every kind with real signatures, and points that are none.

use blst::{
    MultiPoint as _,
    min_pk::{AggregateSignature, Signature as Point},
};
use serde_json::{Value, json};
use signer_client::wire::{AttestationData, Fork, ForkInfo, Root, Slot};

use super::{job, network};
use crate::{bls::SecretKey, duty::members, keys::interop_secret_key};

pub(super) const ROOT: [u8; 32] = [0x77; 32];

fn secret_key(signer: u64) -> SecretKey {
    SecretKey::from_bytes(&interop_secret_key(signer)).unwrap()
}

pub(super) fn public_key(signer: u64) -> String {
    secret_key(signer).public_key().to_string()
}

pub(super) fn signature(signer: u64, root: &[u8; 32]) -> String {
    secret_key(signer).sign_bytes(root).to_string()
}

pub(super) fn point(signature: &str) -> Point {
    Point::uncompress(&const_hex::decode(signature).unwrap()).unwrap()
}

pub(super) fn text(point: &Point) -> String {
    const_hex::encode_prefixed(point.compress())
}

pub(super) fn sum(signatures: &[String]) -> String {
    let points: Vec<_> = signatures.iter().map(|signature| point(signature)).collect();
    let points: Vec<_> = points.iter().collect();
    text(&AggregateSignature::aggregate(&points, false).unwrap().to_signature())
}

/// A child of these signers, who sit at the positions of their numbers.
pub(super) fn child(bits: &str, signers: &[u64], root: &[u8; 32]) -> Value {
    let signatures: Vec<_> = signers.iter().map(|signer| signature(*signer, root)).collect();
    json!({ "bits": bits, "signature": sum(&signatures), "tag": "node-a" })
}

pub(super) fn singles(signers: &[u64], root: &[u8; 32]) -> Vec<Value> {
    let single = |signer: &u64| json!({ "pos": signer, "signature": signature(*signer, root) });
    signers.iter().map(single).collect()
}

pub(super) fn public_keys(signers: u64) -> Vec<Value> {
    (0..signers).map(|signer| public_key(signer).into()).collect()
}

/// The point at infinity.
pub(super) fn infinity() -> String {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    const_hex::encode_prefixed(bytes)
}

/// A point of the curve outside of the group of prime order.
pub(super) fn outside_the_group() -> Point {
    let at = |x: u8| {
        let mut bytes = [0; 96];
        (bytes[0], bytes[95]) = (0x80, x);
        Point::uncompress(&bytes).ok().filter(|point| !point.subgroup_check())
    };
    (1..=u8::MAX).find_map(at).unwrap()
}

/// A point whose order is 13, or its square: the cofactor of G2 is divisible by that. The scalar is
/// the cofactor without it, times the order of the group.
pub(super) fn of_small_order() -> Point {
    const SCALAR: &str = "\
        04005449cda731a7136c440a0c65b728ba1c1fa6b6708356f3b9bdc84396cab33907d71557a7d33677f5d45f7c\
        edb8cfdac10ff1fc5b48d6461e907737d78e96568f2d18c750b4b3ca5c33c3fd8ff8a70629888281914529f4e3\
        380941cfdd";
    let mut scalar = const_hex::decode(SCALAR).unwrap();
    scalar.reverse();
    let point = [outside_the_group()].mult(&scalar, scalar.len() * 8).to_signature();
    let thirteen_squared = [point].mult(&[169], 8).to_signature();
    assert_eq!(text(&thirteen_squared), infinity());
    assert_ne!(text(&point), infinity());
    point
}

pub(super) fn negative(signature: &Point) -> Point {
    let mut bytes = signature.compress();
    bytes[0] ^= 0x20;
    Point::uncompress(&bytes).unwrap()
}

/// A job whose `fork_info` has the version that a fork has on the network.
pub(super) fn job_in(fork: Fork, slot: u64, groups: &[Value]) -> Value {
    let mut job = job(slot, groups);
    let version = format!("0x{:02x}000001", fork as u8);
    job["fork_info"]["fork"]["current_version"] = version.into();
    job
}

pub(super) fn fork_info(fork: Fork) -> ForkInfo {
    serde_json::from_value(job_in(fork, 0, &[])["fork_info"].clone()).unwrap()
}

/// A vote and the root that its signers sign.
pub(super) fn vote(fork: Fork, slot: u64, index: u64) -> (Value, [u8; 32]) {
    let checkpoint = |epoch: u64| json!({ "epoch": epoch.to_string(), "root": Root([3; 32]) });
    let vote = json!({
        "slot": slot.to_string(), "index": index.to_string(), "beacon_block_root": Root([9; 32]),
        "source": checkpoint(0), "target": checkpoint(1),
    });
    let data: AttestationData = serde_json::from_value(vote.clone()).unwrap();
    (vote, members::attestation_root(&fork_info(fork), &data).0)
}

/// A committee of four whose first three members have signed.
pub(super) fn attestation(fork: Fork, slot: u64, index: u64, committee: u64) -> Value {
    let (data, root) = vote(fork, slot, index);
    json!({
        "kind": "attestation", "data": data, "committee_index": committee.to_string(),
        "committee_len": "4", "pubkeys": public_keys(4), "singles": singles(&[0, 1], &root),
        "children": [child("0x14", &[2], &root)],
    })
}

/// A subcommittee where the first signer sits at positions 0 and 5, the second at 1.
pub(super) fn sync_contribution(fork: Fork, slot: u64) -> Value {
    let head = Root([9; 32]);
    let root =
        members::sync_message_root(&network(), &fork_info(fork), None, Slot(slot), head).unwrap();
    let (first, second) = (public_key(0), public_key(1));
    json!({
        "kind": "sync_contribution", "beacon_block_root": head, "subcommittee_index": "2",
        "pubkeys": [first, second, public_key(2), null, null, first],
        "singles": [
            { "pos": [0, 5], "signature": signature(0, &root.0), "tag": "twice" },
            { "pos": 1, "signature": signature(1, &root.0) },
        ],
        "children": [child("0x04", &[2], &root.0)],
    })
}

/// One that has all that a group can have, bad entries too.
pub(super) fn raw() -> Value {
    let mut singles = singles(&[0, 1, 2], &ROOT);
    singles[2]["tag"] = "beyond äöü".into();
    singles.push(json!({ "pos": 3, "signature": signature(3, &ROOT), "pubkey": public_key(3) }));
    singles.push(json!({ "pos": 4, "signature": infinity() }));
    singles.push(json!({ "pos": 5, "signature": signature(6, &ROOT) }));
    singles.push(json!({ "pos": 40, "signature": signature(6, &ROOT) }));
    singles.push(json!({ "pos": 7, "signature": signature(7, &ROOT) }));
    let mut keys = public_keys(7);
    keys[3] = Value::Null;
    json!({
        "kind": "raw", "signing_root": Root(ROOT), "bits_len": "8", "pubkeys": keys,
        "singles": singles,
        "children": [child("0x4001", &[6], &ROOT), { "bits": "0x08", "signature": infinity() }],
    })
}

pub(super) fn root(bytes: [u8; 32]) -> Value {
    const_hex::encode_prefixed(bytes).into()
}
