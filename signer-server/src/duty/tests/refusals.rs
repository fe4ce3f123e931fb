//! Bodies that are refused, and what the client is told.

use serde_json::{Value, json};

use super::{classify, error_on_mainnet, network, on_mainnet, samples::sample};
use crate::duty::{DutyError, DutyType};

/// The type and the message of a refused body.
fn refusal(body: &[u8]) -> (Option<DutyType>, String) {
    let failure = classify(body, &network("mainnet")).unwrap_err();
    let message = failure.to_string();
    assert!(!message.contains('\n') && message.len() < 700, "{message}");
    (failure.duty_type, message)
}

#[test]
fn faults_of_the_body_itself_have_no_type() {
    for (body, expected) in [
        ("", "the request has no body"),
        (" \n ", "the request has no body"),
        ("{}", "missing member type"),
        ("{\"type\":null}", "missing member type"),
        ("{\"type\":\"INCLUSION_LIST\"}", "unknown type \"INCLUSION_LIST\""),
        ("{\"type\":\"BLS_TO_EXECUTION_CHANGE\"}", "unknown type \"BLS_TO_EXECUTION_CHANGE\""),
        ("{\"type\":5}", "expected a string (line 1, column 9)"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{\"type\":\"BLOCK\"", "EOF while parsing an object (line 1, column 15)"),
        ("{\"type\":\"BLOCK\"} x", "trailing characters (line 1, column 18)"),
        ("{\"type\":\"BLOCK\",\"type\":\"BLOCK\"}", "duplicate field `type`"),
        ("\u{feff}{}", "not a JSON object"),
    ] {
        let (duty_type, message) = refusal(body.as_bytes());
        assert_eq!(duty_type, None, "{body}");
        assert!(message.contains(expected), "{body}: {message}");
    }
    let (_, message) = refusal(b"{\"type\":\"\xff\"}");
    assert!(message.contains("line 1"), "{message}");
    let (_, message) = refusal(format!("{{\"type\":\"{}\"}}", "Ä\n".repeat(9999)).as_bytes());
    assert!(message.len() < 700, "{message}");
}

#[test]
fn a_missing_object_and_a_missing_fork_info_are_named() {
    for duty_type in DutyType::ALL {
        let request = sample(*duty_type);
        let members: Vec<String> = request.as_object().unwrap().keys().cloned().collect();
        for member in members.iter().filter(|member| *member != "type") {
            for absent in [true, false] {
                let mut request = request.clone();
                if absent {
                    request.as_object_mut().unwrap().remove(member);
                } else {
                    request[member] = Value::Null;
                }
                let failure = on_mainnet(&request).unwrap_err();
                assert_eq!(failure.duty_type, Some(*duty_type));
                let message = failure.to_string();
                assert!(message.starts_with(&format!("missing member {member}")), "{message}");
                assert!(message.contains(duty_type.name()), "{message}");
            }
        }
    }
}

/// The paths of all members, at any depth.
fn member_paths(value: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        let inner_path = [path, std::slice::from_ref(name)].concat();
        found.push(inner_path.clone());
        member_paths(inner, &inner_path, found);
    }
}

#[test]
fn every_member_of_an_object_is_needed() {
    // Absent by right: what only some forks have, and the wrapper's members, without which the
    // object is taken for a bare one.
    let optional = ["committee_bits", "sync_aggregate", "version", "data"];
    for duty_type in DutyType::ALL {
        let request = sample(*duty_type);
        let mut paths = Vec::new();
        member_paths(&request, &[], &mut paths);
        assert!(paths.len() > 2);
        for path in paths.iter().filter(|path| path.len() > 1) {
            let (name, parents) = path.split_last().unwrap();
            if optional.contains(&&**name) {
                continue;
            }
            let mut request = request.clone();
            let parent = parents.iter().fold(&mut request, |value, name| &mut value[name]);
            parent.as_object_mut().unwrap().remove(name);
            let message = error_on_mainnet(&request).to_string();
            assert!(message.contains(name), "{path:?}: {message}");
        }
    }
}

#[test]
fn values_are_refused_with_path_line_and_column() {
    for (value, expected) in [
        (json!("0x12"), "expected an unsigned decimal integer"),
        (json!("18446744073709551616"), "integer does not fit in 64 bits"),
        (json!(-1), "expected an unsigned 64-bit integer"),
        (json!(1.5), "expected an unsigned 64-bit integer"),
        (json!(null), "expected an unsigned 64-bit integer"),
    ] {
        let mut request = sample(DutyType::Attestation);
        request["attestation"]["source"]["epoch"] = value;
        let message = error_on_mainnet(&request).to_string();
        assert!(message.starts_with("attestation.source.epoch: "), "{message}");
        assert!(message.contains(expected) && message.contains("(line 1, column "), "{message}");
    }
    for (text, expected) in [
        ("0x".to_owned() + &"00".repeat(33), "expected 32 bytes of hexadecimal text"),
        ("0xzz".to_owned(), "invalid hexadecimal text"),
        ("0x0".to_owned(), "found 1 digits"),
        ("0X00".to_owned(), "invalid hexadecimal text"),
    ] {
        let mut request = sample(DutyType::Attestation);
        request["fork_info"]["genesis_validators_root"] = text.into();
        let message = error_on_mainnet(&request).to_string();
        assert!(message.starts_with("fork_info.genesis_validators_root: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn places_are_those_in_the_whole_body() {
    let body = b"{\n \"type\": \"RANDAO_REVEAL\",\n  \"randao_reveal\": {\n    \"epoch\": true }}";
    let error = classify(body, &network("mainnet")).unwrap_err().error;
    let DutyError::Json { path, line, column, .. } = error else { panic!("{error}") };
    assert_eq!((&*path, line, column), ("randao_reveal.epoch", 4, 17));
    let body = b"{ \"type\": \"RANDAO_REVEAL\",\n  \"randao_reveal\": {\"epoch\": true }}";
    let error = classify(body, &network("mainnet")).unwrap_err().error;
    let DutyError::Json { line, column, .. } = error else { panic!("{error}") };
    assert_eq!((line, column), (2, 33));
}

#[test]
fn paths_lead_through_wrappers_and_lists() {
    let mut request = sample(DutyType::ExecutionPayloadEnvelope);
    request["execution_payload_envelope"]["data"]["payload"]["transactions"] =
        json!(["0x00", "0x0"]);
    let message = error_on_mainnet(&request).to_string();
    let path = "execution_payload_envelope.data.payload.transactions[1]: invalid hexadecimal text";
    assert!(message.starts_with(path), "{message}");
}

#[test]
fn blocks_need_an_exact_version_and_the_form_that_goes_with_it() {
    let mut request = sample(DutyType::BlockV2);
    for version in ["fulu", "OSAKA", ""] {
        request["beacon_block"]["version"] = version.into();
        let message = error_on_mainnet(&request).to_string();
        let expected = format!("beacon_block.version: unknown fork name {version:?}");
        assert_eq!(message, expected);
    }
    for (version, member) in [("ALTAIR", "block"), ("PHASE0", "block")] {
        request["beacon_block"]["version"] = version.into();
        let message = error_on_mainnet(&request).to_string();
        let expected = format!("missing member beacon_block.{member}, which {version} demands");
        assert_eq!(message, expected);
    }
    request["beacon_block"]["version"] = "DENEB".into();
    request["beacon_block"]["block_header"] = Value::Null;
    let message = error_on_mainnet(&request).to_string();
    assert_eq!(message, "missing member beacon_block.block_header, which DENEB demands");
    request["beacon_block"].as_object_mut().unwrap().remove("version");
    let message = error_on_mainnet(&request).to_string();
    assert_eq!(message, "beacon_block: missing member version");

    let mut request = sample(DutyType::AggregateAndProofV2);
    request["aggregate_and_proof"]["version"] = "OSAKA".into();
    let message = error_on_mainnet(&request).to_string();
    assert_eq!(message, "aggregate_and_proof.version: unknown fork name \"OSAKA\"");
}

#[test]
fn bit_fields_need_their_length() {
    let mut request = sample(DutyType::AggregateAndProof);
    let aggregate = |request: &mut Value, name: &str, value: String| {
        request["aggregate_and_proof"]["aggregate"][name] = value.into();
    };
    aggregate(&mut request, "committee_bits", "0x01".to_owned());
    let message = error_on_mainnet(&request).to_string();
    assert!(message.contains("committee_bits: expected exactly 64 bits"), "{message}");

    let mut request = sample(DutyType::AggregateAndProof);
    for (bits, expected) in [
        ("0x".to_owned(), "bitlist without its delimiter bit"),
        ("0x00".to_owned(), "bitlist without its delimiter bit"),
        ("00".repeat(16384) + "02", "expected at most 131072 bits, found 131073"),
    ] {
        aggregate(&mut request, "aggregation_bits", bits);
        let message = error_on_mainnet(&request).to_string();
        assert!(message.contains("aggregation_bits: ") && message.contains(expected), "{message}");
    }
    // Allowed since Electra, too long before.
    let bits = "00".repeat(256) + "02";
    aggregate(&mut request, "aggregation_bits", bits);
    assert!(on_mainnet(&request).is_ok());
    request["aggregate_and_proof"]["aggregate"].as_object_mut().unwrap().remove("committee_bits");
    request["fork_info"]["fork"]["current_version"] = "0x04000000".into();
    let message = error_on_mainnet(&request).to_string();
    assert!(message.contains("expected at most 2048 bits, found 2049"), "{message}");

    let mut request = sample(DutyType::SyncCommitteeContributionAndProof);
    request["contribution_and_proof"]["contribution"]["aggregation_bits"] = "0xff".into();
    let error = error_on_mainnet(&request);
    assert!(matches!(error, DutyError::WrongBits { expected: 128, .. }), "{error}");
    request["fork_info"]["fork"]["current_version"] = "0x06000001".into();
    assert!(classify(request.to_string().as_bytes(), &network("minimal")).is_ok());
}

#[test]
fn another_signing_root_is_refused_with_both_and_the_domain() {
    for name in ["signingRoot", "signing_root"] {
        let mut request = sample(DutyType::BlockV2);
        let computed = on_mainnet(&request).unwrap().signing_root;
        let sent = format!("0x{}", "ee".repeat(32));
        request[name] = sent.clone().into();
        let error = error_on_mainnet(&request);
        let message = error.to_string();
        let DutyError::RootMismatch { domain, .. } = error else { panic!("{message}") };
        for part in [&sent, &computed.to_string(), &domain.to_string(), "0x06000000"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let mut request = sample(DutyType::Deposit);
    request["signingRoot"] = "0x".into();
    assert!(matches!(error_on_mainnet(&request), DutyError::RootMismatch { .. }));
    request["signingRoot"] = 5.into();
    assert!(error_on_mainnet(&request).to_string().starts_with("signingRoot: "));
}

#[test]
fn nested_bombs_end_in_an_error() {
    let network = network("mainnet");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 1 << 17;
        let closed = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for bomb in [closed, open.repeat(depth)] {
            assert!(classify(bomb.as_bytes(), &network).is_err());
            for key in ["attestation", "fork_info", "aggregate_and_proof", "unknown", "type"] {
                let body = format!("{{\"type\":\"ATTESTATION\",\"{key}\":{bomb}}}");
                assert!(classify(body.as_bytes(), &network).is_err());
                let body = format!("{{\"type\":\"AGGREGATE_AND_PROOF\",\"{key}\":{bomb}}}");
                assert!(classify(body.as_bytes(), &network).is_err());
            }
        }
    }
}
