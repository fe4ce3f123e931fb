//! `GENERIC`: a root and a domain, and what keeps it from being a way around slashing protection.

use serde_json::{Value, json};
use signer_client::wire::{ForkVersion, Root};

use super::{
    network, on_mainnet,
    samples::{fork_info, sample},
};
use crate::duty::{
    Duty, DutyError, DutyType, GenericError, Protection, SlashableGeneric, classify_with,
    domain::{Domain, DomainType},
};

const MAINNET: &str = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";

fn permitted(request: &Value) -> Result<Duty, DutyError> {
    let body = request.to_string();
    classify_with(body.as_bytes(), &network("mainnet"), SlashableGeneric::WithObject)
        .map_err(|failure| failure.error)
}

fn generic_error(result: Result<Duty, DutyError>) -> GenericError {
    match result {
        Err(DutyError::Generic(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The request of a typed duty on mainnet, and the same as `GENERIC` with its object.
fn twins(duty_type: DutyType) -> (Value, Value) {
    let mut typed = sample(duty_type);
    typed["fork_info"]["genesis_validators_root"] = MAINNET.into();
    let (domain_type, key, object) = match duty_type {
        DutyType::BlockV2 => {
            let header = typed["beacon_block"]["block_header"].clone();
            (DomainType::BEACON_PROPOSER, "block_header", header)
        }
        _ => (DomainType::BEACON_ATTESTER, "attestation", typed["attestation"].clone()),
    };
    let version: ForkVersion =
        typed["fork_info"]["fork"]["current_version"].as_str().unwrap().parse().unwrap();
    let domain = Domain::compute(domain_type, version, MAINNET.parse().unwrap());
    let mut generic = json!({
        "type": "GENERIC",
        "signing_data": { "object_root": object_root(&object), "domain": domain.to_string() },
    });
    generic[key] = object;
    (typed, generic)
}

fn object_root(object: &Value) -> String {
    use signer_client::wire::{AttestationData, BeaconBlockHeader};

    use crate::duty::domain::root_of;
    let root = if object.get("source").is_some() {
        root_of(&serde_json::from_value::<AttestationData>(object.clone()).unwrap())
    } else {
        root_of(&serde_json::from_value::<BeaconBlockHeader>(object.clone()).unwrap())
    };
    root.to_string()
}

#[test]
fn both_spellings_mean_the_same_and_not_both_at_once() {
    let request = sample(DutyType::Generic);
    let duty = on_mainnet(&request).unwrap();
    assert_eq!(duty.protection, Protection::Unprotected);
    assert_eq!((duty.duty_type, duty.position), (DutyType::Generic, None));
    let data = &request["signing_data"];
    let flat =
        json!({ "type": "generic", "merkle_root": data["object_root"], "domain": data["domain"] });
    assert_eq!(on_mainnet(&flat).unwrap(), duty);
    let mut both = request.clone();
    both["domain"] = data["domain"].clone();
    assert_eq!(generic_error(permitted(&both)), GenericError::TwoSpellings);
    for missing in ["merkle_root", "domain"] {
        let mut half = flat.clone();
        half[missing] = Value::Null;
        let error = generic_error(permitted(&half));
        assert_eq!(error, GenericError::Incomplete { path: missing });
    }
}

#[test]
fn a_sent_root_is_compared_and_its_domain_named() {
    let mut request = sample(DutyType::Generic);
    let computed = on_mainnet(&request).unwrap().signing_root;
    request["signingRoot"] = computed.to_string().into();
    assert!(on_mainnet(&request).is_ok());
    request["signingRoot"] = Root([9; 32]).to_string().into();
    let message = on_mainnet(&request).unwrap_err().to_string();
    assert!(message.contains(request["signing_data"]["domain"].as_str().unwrap()), "{message}");
    assert!(!message.contains("fork version"), "{message}");
}

#[test]
fn slashable_domains_are_refused_by_default_whatever_comes_along() {
    for duty_type in [DutyType::BlockV2, DutyType::Attestation] {
        let (_, mut generic) = twins(duty_type);
        let failure = on_mainnet(&generic).unwrap_err();
        assert_eq!(failure.duty_type, Some(DutyType::Generic));
        let message = failure.to_string();
        assert!(message.contains("--allow-generic-slashable-domains=true"), "{message}");
        assert!(message.contains(duty_type.name()), "{message}");
        // Every fork and chain, known or not: the first four bytes decide.
        let domain = generic["signing_data"]["domain"].as_str().unwrap();
        generic["signing_data"]["domain"] = format!("{}{}", &domain[..10], "ab".repeat(28)).into();
        assert!(matches!(
            generic_error(Err(on_mainnet(&generic).unwrap_err().error)),
            GenericError::Slashable { .. }
        ));
        generic["merkle_root"] = generic["signing_data"]["object_root"].take();
        generic["domain"] = generic["signing_data"]["domain"].take();
        generic["signing_data"] = Value::Null;
        assert!(on_mainnet(&generic).is_err(), "the other spelling");
    }
    // A short value is padded with zeros on the left, so it is a proposer's domain.
    let mut short = sample(DutyType::Generic);
    short["signing_data"]["domain"] = "0x05".into();
    assert!(on_mainnet(&short).is_err());
}

#[test]
fn with_its_object_it_is_the_typed_request_to_slashing_protection() {
    for duty_type in [DutyType::BlockV2, DutyType::Attestation] {
        let (typed, mut generic) = twins(duty_type);
        let typed_duty = on_mainnet(&typed).unwrap();
        let expected = Duty { duty_type: DutyType::Generic, ..typed_duty };
        assert_ne!(expected.protection, Protection::Unprotected);
        assert_eq!(permitted(&generic).unwrap(), expected, "the network's own chain");
        generic["fork_info"] = typed["fork_info"].clone();
        assert_eq!(permitted(&generic).unwrap(), expected, "the chain of fork_info");
    }
}

#[test]
fn nothing_slashable_is_accepted_that_protection_can_not_see_through() {
    for duty_type in [DutyType::BlockV2, DutyType::Attestation] {
        let (_, good) = twins(duty_type);
        let key = if duty_type == DutyType::BlockV2 { "block_header" } else { "attestation" };

        let mut bare = good.clone();
        bare[key] = Value::Null;
        let error = generic_error(permitted(&bare));
        assert!(matches!(error, GenericError::NoObject { key: named, .. } if named == key));
        // The other kind of object is no substitute.
        let mut wrong_kind = bare.clone();
        let other = if key == "attestation" { "block_header" } else { "attestation" };
        wrong_kind[other] = good[key].clone();
        assert!(matches!(generic_error(permitted(&wrong_kind)), GenericError::NoObject { .. }));

        let mut other_object = good.clone();
        other_object[key]["slot"] = "1".into();
        assert!(matches!(
            generic_error(permitted(&other_object)),
            GenericError::OtherObject { .. }
        ));
        let mut other_root = good.clone();
        other_root["signing_data"]["object_root"] = Root([7; 32]).to_string().into();
        assert!(matches!(generic_error(permitted(&other_root)), GenericError::OtherObject { .. }));

        let mut other_chain = good.clone();
        let domain = good["signing_data"]["domain"].as_str().unwrap();
        other_chain["signing_data"]["domain"] =
            format!("{}{}", &domain[..10], "ab".repeat(28)).into();
        assert!(matches!(generic_error(permitted(&other_chain)), GenericError::OtherChain { .. }));
        // A fork_info of another chain contradicts the domain.
        let mut contradiction = good.clone();
        contradiction["fork_info"] =
            serde_json::to_value(fork_info(signer_client::wire::Fork::Fulu)).unwrap();
        assert!(matches!(
            generic_error(permitted(&contradiction)),
            GenericError::OtherChain { .. }
        ));
    }
}

#[test]
fn a_network_without_a_known_chain_needs_fork_info() {
    let (typed, mut generic) = twins(DutyType::Attestation);
    let mut network = network("mainnet");
    network.genesis_validators_root = None;
    let classify = |request: &Value| {
        classify_with(request.to_string().as_bytes(), &network, SlashableGeneric::WithObject)
    };
    let error = classify(&generic).unwrap_err().error;
    assert!(matches!(error, DutyError::MissingForkInfo { .. }), "{error}");
    generic["fork_info"] = typed["fork_info"].clone();
    assert!(classify(&generic).is_ok());
}
