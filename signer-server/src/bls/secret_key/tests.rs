use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bls::CIPHERSUITE;

/// The order of the subgroup, one above the largest secret key.
const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
const LARGEST: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";

fn key(last_byte: u8) -> Result<SecretKey, InvalidSecretKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes[31] = last_byte;
    SecretKey::from_bytes(&bytes)
}

fn hex_key(hex: &str) -> Result<SecretKey, InvalidSecretKey> {
    SecretKey::from_bytes(&Zeroizing::new(const_hex::decode_to_array(hex).unwrap()))
}

#[test]
fn zero_and_the_group_order_are_refused() {
    assert!(key(0).is_err());
    assert!(hex_key(ORDER).is_err());
    assert!(hex_key(&"f".repeat(64)).is_err());
    assert!(hex_key(LARGEST).is_ok());
}

#[test]
fn public_key_of_one_is_the_generator() {
    // The compressed generator of G1, as the curve's definition gives it.
    let generator = "0x97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
    assert_eq!(key(1).unwrap().public_key().to_string(), generator);
}

#[test]
fn signatures_verify() {
    let key = key(7).unwrap();
    let root = Root([9; 32]);
    let signature = blst::min_pk::Signature::from_bytes(&key.sign(&root).0).unwrap();
    let public_key = blst::min_pk::PublicKey::from_bytes(&key.public_key().0).unwrap();
    let result = signature.verify(true, root.as_bytes(), CIPHERSUITE, &[], &public_key, true);
    assert_eq!(result, blst::BLST_ERROR::BLST_SUCCESS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// blst's own safe interface is the reference, bit for bit.
    #[test]
    fn same_answers_as_the_library(
        secret in any::<[u8; 32]>(),
        root in any::<[u8; 32]>(),
        text in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let reference = blst::min_pk::SecretKey::from_bytes(&secret);
        let ours = SecretKey::from_bytes(&Zeroizing::new(secret));
        prop_assert_eq!(reference.is_ok(), ours.is_ok());
        if let (Ok(reference), Ok(ours)) = (reference, ours) {
            prop_assert_eq!(ours.public_key().0, reference.sk_to_pk().compress());
            let signature = reference.sign(&root, CIPHERSUITE, &[]).compress();
            let root = Root(root);
            prop_assert_eq!(ours.sign(&root).0, signature);
            prop_assert_eq!(ours.sign_point(&MessagePoint::of_root(&root)).0, signature);
            let signature = reference.sign(&text, CIPHERSUITE, &[]).compress();
            prop_assert_eq!(ours.sign_bytes(&text).0, signature);
        }
    }
}

/// Answers of another implementation (`py_ecc`), which the repository keeps as fixtures.
#[test]
fn known_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/signing");
    for name in ["attestation", "block_v2", "sync_committee_message"] {
        let text = fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let field = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let key = hex_key(&field(&file, "secret_key")).unwrap();
        assert_eq!(key.public_key().to_string(), field(&file, "public_key"));
        let cases = file["cases"].as_array().unwrap();
        assert!(!cases.is_empty(), "{name}");
        for case in cases.iter().take(5) {
            let root: Root = field(case, "signing_root").parse().unwrap();
            let signature = key.sign_point(&MessagePoint::of_root(&root));
            assert_eq!(signature.to_string(), field(case, "signature"), "{}", case["name"]);
        }
    }
}
