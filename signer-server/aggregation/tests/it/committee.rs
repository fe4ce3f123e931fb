//! Validators who sign one message, and what goes wrong with signatures.

use std::sync::{Arc, LazyLock};

use blst::{
    BLST_ERROR, MultiPoint as _,
    min_pk::{AggregateSignature, PublicKey, SecretKey, Signature},
};
use midslot_aggregation::{
    Bits, BitsLen, Child, Entry, Group, GroupOutcome, KeyBytes, KeyTable, NeverStop, NoCache,
    Options, Overlap, Positions, RejectReason, Scratch, SignatureBytes, Single, VerifyMode,
    aggregate_group,
};

pub(crate) const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
pub(crate) const MESSAGE: [u8; 32] = [0xab; 32];
pub(crate) const EACH: Options = Options { verify: VerifyMode::Each, overlap: Overlap::Disjoint };
pub(crate) const AGGREGATE: Options =
    Options { verify: VerifyMode::Aggregate, overlap: Overlap::Disjoint };

/// More validators than any test needs, with their signatures of [`MESSAGE`].
static VALIDATORS: LazyLock<Vec<(SecretKey, PublicKey, Signature)>> = LazyLock::new(|| {
    (0..64u8)
        .map(|index| {
            let secret = SecretKey::key_gen(&[index + 1; 32], &[]).expect("32 bytes are enough");
            let signature = secret.sign(&MESSAGE, CIPHERSUITE, &[]);
            let public = secret.sk_to_pk();
            (secret, public, signature)
        })
        .collect()
});

pub(crate) fn public_key(validator: usize) -> [u8; 48] {
    VALIDATORS[validator].1.compress()
}

pub(crate) fn signature(validator: usize) -> Signature {
    VALIDATORS[validator].2
}

/// What a validator signs on another message.
pub(crate) fn signature_of_other_message(validator: usize) -> Signature {
    VALIDATORS[validator].0.sign(&[0xcd; 32], CIPHERSUITE, &[])
}

/// The signatures of validators, added up.
pub(crate) fn sum_of(validators: &[usize]) -> Signature {
    let all: Vec<_> = validators.iter().map(|&validator| signature(validator)).collect();
    sum(&all)
}

pub(crate) fn sum(signatures: &[Signature]) -> Signature {
    let all: Vec<_> = signatures.iter().collect();
    AggregateSignature::aggregate(&all, false).expect("signatures").to_signature()
}

pub(crate) fn negative(signature: &Signature) -> Signature {
    let mut bytes = signature.compress();
    bytes[0] ^= 0x20;
    Signature::uncompress(&bytes).expect("a point")
}

/// A point of the curve outside the group of prime order: the first that a small x gives.
pub(crate) fn outside_the_group() -> Signature {
    (1u8..)
        .find_map(|x| {
            let mut bytes = [0; 96];
            bytes[0] = 0x80;
            bytes[95] = x;
            let point = Signature::uncompress(&bytes).ok()?;
            (!point.subgroup_check()).then_some(point)
        })
        .expect("half of all x are on the curve")
}

/// A point whose order divides 169. The cofactor of G2 is divisible by 169; the scalar is that
/// cofactor by 169, times the order of G2.
pub(crate) fn of_small_order() -> Signature {
    let mut scalar = const_hex::decode(SMALL_ORDER_SCALAR).expect("hexadecimal");
    scalar.reverse();
    let point = [outside_the_group()].mult(&scalar, scalar.len() * 8).to_signature();
    let thirteen_squared = [point].mult(&[169], 8).to_signature();
    assert_eq!(thirteen_squared.compress()[0], 0xc0, "its order divides 169");
    assert_ne!(point.compress()[0], 0xc0, "it is not infinity");
    point
}

const SMALL_ORDER_SCALAR: &str = "\
    04005449cda731a7136c440a0c65b728ba1c1fa6b6708356f3b9bdc84396cab33907d71557a7d33677f5d45f7c\
    edb8cfdac10ff1fc5b48d6461e907737d78e96568f2d18c750b4b3ca5c33c3fd8ff8a70629888281914529f4e3\
    380941cfdd";

pub(crate) fn raw(signature: &Signature) -> SignatureBytes {
    SignatureBytes::Compressed(signature.compress())
}

/// A good single of the validator at a position.
pub(crate) fn single(position: u16, signature: &Signature) -> Single {
    Single { positions: Positions::One(position), signature: raw(signature) }
}

pub(crate) fn bits(len: u16, positions: &[u16]) -> Bits {
    let mut bits = Bits::empty(bits_len(len));
    for &position in positions {
        bits.insert(position);
    }
    bits
}

pub(crate) fn bits_len(len: u16) -> BitsLen {
    BitsLen::new(u64::from(len)).expect("a length")
}

/// A child with the right signature.
pub(crate) fn child(len: u16, positions: &[u16]) -> Child {
    let validators: Vec<_> = positions.iter().map(|&position| usize::from(position)).collect();
    Child { bits: Some(bits(len, positions)), signature: raw(&sum_of(&validators)) }
}

/// A committee whose position `n` is validator `n`, of which nobody has signed.
pub(crate) fn committee(len: u16) -> Group {
    let keys = (0..usize::from(len)).map(|index| KeyBytes::Compressed(public_key(index)));
    Group {
        message: MESSAGE,
        bits_len: bits_len(len),
        keys: Arc::new(KeyTable(keys.collect())),
        singles: Vec::new(),
        children: Vec::new(),
    }
}

/// A committee of which all these have signed.
pub(crate) fn signed_by(len: u16, positions: &[u16]) -> Group {
    let singles = positions.iter().map(|&at| single(at, &signature(usize::from(at)))).collect();
    Group { singles, ..committee(len) }
}

pub(crate) fn prove(group: &Group, options: Options) -> GroupOutcome {
    aggregate_group(group, options, &mut Scratch::new(), &mut NoCache, &[7; 32], &mut NeverStop)
}

/// The set positions of the aggregate, after a check that it is verified, and that others verify it.
pub(crate) fn proved_positions(group: &Group, outcome: &GroupOutcome) -> Vec<u16> {
    let Some(aggregate) = &outcome.aggregate else { return Vec::new() };
    assert!(aggregate.verified);
    assert!(verifies(group, &aggregate.bits, &aggregate.signature), "{aggregate:?}");
    aggregate.bits.iter().collect()
}

/// `FastAggregateVerify` of the group's message by the keys of some positions.
pub(crate) fn verifies(group: &Group, bits: &Bits, signature: &[u8; 96]) -> bool {
    let keys: Option<Vec<_>> = bits
        .iter()
        .map(|position| match group.keys.get(position) {
            KeyBytes::Compressed(bytes) => PublicKey::key_validate(&bytes).ok(),
            KeyBytes::Missing | KeyBytes::Unreadable => None,
        })
        .collect();
    let (Some(keys), Ok(signature)) = (keys, Signature::sig_validate(signature, true)) else {
        return false;
    };
    let keys: Vec<_> = keys.iter().collect();
    signature.fast_aggregate_verify(true, &group.message, CIPHERSUITE, &keys)
        == BLST_ERROR::BLST_SUCCESS
}

pub(crate) fn rejections(outcome: &GroupOutcome) -> Vec<(Entry, RejectReason)> {
    outcome.rejected.iter().map(|rejected| (rejected.entry, rejected.reason)).collect()
}

/// Every entry is in exactly one list.
pub(crate) fn assert_each_entry_once(group: &Group, outcome: &GroupOutcome) {
    let mut entries: Vec<_> = outcome.used.clone();
    entries.extend(&outcome.covered);
    entries.extend(outcome.rejected.iter().map(|rejected| rejected.entry));
    entries.extend(outcome.unprocessed.iter().map(|kept| kept.entry));
    entries.sort_unstable();
    let singles = (0..group.singles.len()).map(Entry::Single);
    let all: Vec<_> = singles.chain((0..group.children.len()).map(Entry::Child)).collect();
    assert_eq!(entries, all);
}
