//! What different clients send for the same thing.

use serde_json::{Value, json};
use signer_client::wire::{Epoch, Slot};

use super::{
    classify, network, on_mainnet,
    samples::{GENESIS_VALIDATORS_ROOT, sample},
};
use crate::duty::{DutyType, Position, Protection};

#[test]
fn every_type_is_read_with_its_position_and_protection() {
    for duty_type in DutyType::ALL {
        let duty = on_mainnet(&sample(*duty_type)).unwrap();
        assert_eq!(duty.duty_type, *duty_type);
        let protection = match duty_type {
            DutyType::Block | DutyType::BlockV2 => Protection::Block {
                slot: Slot(3201),
                genesis_validators_root: GENESIS_VALIDATORS_ROOT,
            },
            DutyType::Attestation => Protection::Attestation {
                source: Epoch(99),
                target: Epoch(100),
                genesis_validators_root: GENESIS_VALIDATORS_ROOT,
            },
            _ => Protection::Unprotected,
        };
        assert_eq!(duty.protection, protection, "{duty_type:?}");
        let position = match duty_type {
            DutyType::Deposit | DutyType::ValidatorRegistration | DutyType::Generic => None,
            DutyType::RandaoReveal | DutyType::VoluntaryExit => Some(Position::Epoch(Epoch(100))),
            _ => Some(Position::Slot(Slot(3201))),
        };
        assert_eq!(duty.position, position, "{duty_type:?}");
    }
}

/// The duty of a changed request must be that of the original.
fn assert_same(duty_type: DutyType, change: impl FnOnce(&mut Value)) {
    let original = sample(duty_type);
    let mut changed = original.clone();
    change(&mut changed);
    assert_ne!(changed, original);
    assert_eq!(on_mainnet(&changed).unwrap(), on_mainnet(&original).unwrap(), "{changed}");
}

#[test]
fn type_is_read_in_any_case_and_unknown_members_are_ignored() {
    for duty_type in DutyType::ALL {
        assert_same(*duty_type, |request| {
            request["type"] = duty_type.name().to_lowercase().into();
            request["extra"] = json!({ "deep": [[{}]] });
        });
    }
}

#[test]
fn integers_may_be_numbers_and_hexadecimal_text_may_lack_its_prefix() {
    assert_same(DutyType::Attestation, |request| {
        request["attestation"]["slot"] = 3201.into();
        request["attestation"]["beacon_block_root"] = "0C".repeat(32).into();
        request["fork_info"]["fork"]["current_version"] = "06000000".into();
    });
}

#[test]
fn the_signing_root_has_two_spellings_and_may_be_null() {
    for duty_type in DutyType::ALL {
        let root = on_mainnet(&sample(*duty_type)).unwrap().signing_root.to_string();
        for name in ["signingRoot", "signing_root"] {
            assert_same(*duty_type, |request| request[name] = root.clone().into());
            assert_same(*duty_type, |request| request[name] = Value::Null);
        }
    }
}

#[test]
fn members_may_come_in_any_order_and_with_white_space() {
    let body = br#"
        { "aggregation_slot" : { "slot" : 3201 } , "signingRoot" : null,
          "fork_info" : { "genesis_validators_root" : "0x4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b",
            "fork" : { "epoch" : "0", "current_version" : "0x06000000", "previous_version" : "0x05000000" } },
          "type" : "\u0041GGREGATION_SLOT" }
    "#;
    let duty = classify(body, &network("mainnet")).unwrap();
    assert_eq!(duty, on_mainnet(&sample(DutyType::AggregationSlot)).unwrap());
}

#[test]
fn both_aggregate_types_take_both_forms() {
    let bare = sample(DutyType::AggregateAndProof);
    let wrapped = sample(DutyType::AggregateAndProofV2);
    let root = on_mainnet(&bare).unwrap().signing_root;
    for duty_type in [DutyType::AggregateAndProof, DutyType::AggregateAndProofV2] {
        for form in [&bare, &wrapped] {
            let mut request = form.clone();
            request["type"] = duty_type.name().into();
            let duty = on_mainnet(&request).unwrap();
            assert_eq!((duty.duty_type, duty.signing_root), (duty_type, root));
        }
    }
    // The name of the fork in any case, and an older fork of the same shape.
    for version in ["fulu", "Electra"] {
        assert_same(DutyType::AggregateAndProofV2, |request| {
            request["aggregate_and_proof"]["version"] = version.into();
        });
    }
}

#[test]
fn gloas_objects_may_be_bare_and_have_their_early_names() {
    for (duty_type, key) in [
        (DutyType::ExecutionPayloadBid, "execution_payload_bid"),
        (DutyType::ExecutionPayloadEnvelope, "execution_payload_envelope"),
        (DutyType::PayloadAttestationMessage, "payload_attestation_message"),
        (DutyType::ProposerPreferences, "proposer_preferences"),
        (DutyType::BuilderRequestAuth, "builder_request_auth"),
    ] {
        assert_same(duty_type, |request| request[key] = request[key]["data"].take());
    }
    for (duty_type, early_type, key, early_key) in [
        (
            DutyType::PayloadAttestationMessage,
            "PAYLOAD_ATTESTATION",
            "payload_attestation_message",
            "payload_attestation_data",
        ),
        (DutyType::BuilderRequestAuth, "REQUEST_AUTH", "builder_request_auth", "request_auth"),
    ] {
        assert_same(duty_type, |request| {
            request["type"] = early_type.into();
            let object = request[key]["data"].take();
            request.as_object_mut().unwrap().remove(key);
            request[early_key] = object;
        });
    }
    assert_same(DutyType::ProposerPreferences, |request| {
        let data = request["proposer_preferences"]["data"].as_object_mut().unwrap();
        let limit = data.remove("target_gas_limit").unwrap();
        data.insert("gas_limit".to_owned(), limit);
    });
}

#[test]
fn fork_info_is_not_even_read_where_it_does_not_matter() {
    for duty_type in
        [DutyType::Deposit, DutyType::ValidatorRegistration, DutyType::BuilderRequestAuth]
    {
        assert_same(duty_type, |request| request["fork_info"] = json!({ "fork": 5 }));
    }
}

/// Whoever writes so means the members in their order: protection sees what is signed.
#[test]
fn arrays_in_place_of_objects_sign_what_protection_sees() {
    let members = |value: &Value, names: &[&str]| -> Value {
        names.iter().map(|name| value[name].clone()).collect()
    };
    assert_same(DutyType::Attestation, |request| {
        let vote = &mut request["attestation"];
        vote["source"] = members(&vote["source"], &["epoch", "root"]);
        vote["target"] = members(&vote["target"], &["epoch", "root"]);
        *vote = members(vote, &["slot", "index", "beacon_block_root", "source", "target"]);
        let fork_info = &mut request["fork_info"];
        fork_info["fork"] =
            members(&fork_info["fork"], &["previous_version", "current_version", "epoch"]);
        *fork_info = members(fork_info, &["fork", "genesis_validators_root"]);
    });
    assert_same(DutyType::BlockV2, |request| {
        let header = &mut request["beacon_block"]["block_header"];
        let names = ["slot", "proposer_index", "parent_root", "state_root", "body_root"];
        *header = members(header, &names);
    });
    let mut request = sample(DutyType::Attestation);
    request["attestation"]["source"] = json!(["99"]);
    assert!(on_mainnet(&request).is_err());
    request["attestation"]["source"] = json!(["99", "0x", "100"]);
    assert!(on_mainnet(&request).is_err());
}

#[test]
fn blocks_may_carry_proofs_and_both_forms() {
    assert_same(DutyType::BlockV2, |request| {
        request["beacon_block"]["proofs"] = json!([{ "index": "1", "proof": [] }]);
        request["beacon_block"]["block"] = json!({ "anything": true });
    });
}
