//! Signing roots computed by other software: `eth-remerkleable` 0.1.31 for the roots of objects,
//! plain SHA-256 for domains. One for each kind of domain and of aggregate; the end-to-end tests
//! hold many more.

use serde_json::Value;
use signer_client::wire::{ForkVersion, Root};

use super::{classify, network};
use crate::duty::domain::{Domain, DomainType};

#[test]
fn signing_roots_equal_those_of_other_software() {
    let cases: Value = serde_json::from_str(include_str!("known_answers.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let mut network = network(case["network"].as_str().unwrap());
        // The answers do not depend on the schedule where fork_info names a known version.
        network.genesis_validators_root = None;
        let duty = classify(case["request"].to_string().as_bytes(), &network).unwrap();
        let expected = case["signing_root"].as_str().unwrap();
        assert_eq!(duty.signing_root.to_string(), expected, "{}", case["name"]);
    }
}

/// Mainnet's attestation domain of Electra and its deposit domain, as deposit tools know it.
#[test]
fn domains_equal_known_ones() {
    let root: Root =
        "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95".parse().unwrap();
    let electra = Domain::compute(DomainType::BEACON_ATTESTER, ForkVersion([5, 0, 0, 0]), root);
    assert_eq!(
        electra.bytes.to_string(),
        "0x01000000ad532ceb9ec5d246daad29da8aa157bfdab35e5f069f9db81f1da754"
    );
    let deposit = Domain::compute(DomainType::DEPOSIT, ForkVersion::ZERO, Root::ZERO);
    assert_eq!(
        deposit.bytes.to_string(),
        "0x03000000f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9"
    );
}
