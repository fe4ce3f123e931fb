//! The bodies of pre-requests: what is read, and what is refused with its place.

use serde_json::{Value, json};
use signer_client::wire::QuotedU64;

use super::*;

const NOW: Slot = Slot(13_440_000);

fn limits() -> PreRequestLimits {
    let window = Some(Window { now: NOW, max_slots_ahead: 64 });
    PreRequestLimits { max_keys: 3, max_proofs: 5, window }
}

fn identifier(number: u8) -> String {
    key(number).to_string()
}

fn body(slots: &Value) -> Value {
    json!({ "fork_info": fork_info(), "wait": true, "slots": slots })
}

fn slot(ahead: u64, keys: &[u8]) -> Value {
    let identifiers: Vec<_> = keys.iter().map(|number| identifier(*number)).collect();
    json!({ "slot": (NOW.0 + ahead).to_string(), "identifiers": identifiers })
}

fn read(body: &Value) -> Result<PreRequest, PreRequestError> {
    PreRequest::read(body.to_string().as_bytes(), &network(), limits())
}

#[track_caller]
fn assert_refused(body: &Value, expected: &str) {
    let message = read(body).unwrap_err().to_string();
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_good_body_gives_the_duties_of_ordinary_requests() {
    let mut sync = slot(8, &[2]);
    sync["subcommittee_index"] = "3".into();
    let PreRequest { wait, slots } = read(&body(&json!([slot(8, &[1, 2]), sync]))).unwrap();
    assert!(wait);
    assert_eq!(slots.len(), 2);
    assert_eq!(slots[0].keys, [(identifier(1), key(1)), (identifier(2), key(2))]);
    assert_eq!(slots[1].subcommittee_index, Some(QuotedU64(3)));
    for (slot, request) in slots.iter().zip([
        json!({
            "type": "AGGREGATION_SLOT",
            "aggregation_slot": { "slot": "13440008" },
            "fork_info": fork_info(),
        }),
        json!({
            "type": "SYNC_COMMITTEE_SELECTION_PROOF",
            "sync_aggregator_selection_data": { "slot": "13440008", "subcommittee_index": "3" },
            "fork_info": fork_info(),
        }),
    ]) {
        let request = request.to_string();
        let single = crate::duty::classify(request.as_bytes(), &network()).unwrap();
        assert_eq!(slot.duty, single);
    }
}

#[test]
fn a_slot_that_has_passed_is_no_mistake() {
    let old = json!({ "slot": "7", "identifiers": [identifier(1)] });
    assert_eq!(read(&body(&json!([old]))).unwrap().slots[0].slot, Slot(7));
}

#[test]
fn a_body_that_is_wrong_anywhere_is_refused_with_the_place() {
    let good = slot(1, &[1]);
    let with = |name: &str, value: Value| {
        let mut slot = slot(2, &[1]);
        slot[name] = value;
        body(&json!([good, slot]))
    };
    let upper = format!("0x{}", identifier(0xab)[2..].to_uppercase());
    for (body, message) in [
        (body(&json!([])), "slots is empty"),
        (with("identifiers", json!([])), "slots[1].identifiers is empty"),
        (
            with("identifiers", json!([identifier(1), "0x12"])),
            "slots[1].identifiers[1] is no public key of 48 bytes",
        ),
        (
            with("identifiers", json!([identifier(0xab), upper])),
            "slots[1].identifiers[1] names 0xabab",
        ),
        (with("slot", json!("13440065")), "slots[1].slot: slot 13440065 is more than 64 slots"),
        (with("slot", json!("13440001")), "slots[1] names slot 13440001 again"),
        (with("slot", json!("x")), "the body is no pre-request: slots[1].slot: "),
        (with("subcommittee_index", json!("4")), "slots[1].subcommittee_index: there is no sub"),
        (with("more", json!(1)), "the body is no pre-request: slots[1].more: unknown field"),
        (
            with("identifiers", json!([1, 2, 3, 4].map(identifier))),
            "slots[1].identifiers names 4 keys; one slot may have 3",
        ),
        (
            body(&json!([slot(1, &[1, 2, 3]), slot(2, &[1, 2, 3])])),
            "6 proofs are asked for; one pre-request may have 5",
        ),
        (json!({ "wait": true, "slots": [good] }), "the body is no pre-request: "),
        (json!({ "fork_info": fork_info(), "slots": [good] }), "the body is no pre-request: "),
        (json!([1]), "the body is no pre-request: "),
    ] {
        assert_refused(&body, message);
    }
}

#[test]
fn a_sync_committee_before_altair_is_refused_with_the_place() {
    let mut sync = slot(1, &[1]);
    sync["slot"] = "9".into();
    sync["subcommittee_index"] = "0".into();
    let mut body = body(&json!([sync]));
    body["fork_info"]["fork"] =
        json!({ "previous_version": "0x00000000", "current_version": "0x00000000", "epoch": "0" });
    assert_refused(&body, "slots[0]: ");
}

#[test]
fn without_a_clock_somebody_must_wait_for_the_proofs() {
    let no_clock = PreRequestLimits { window: None, ..limits() };
    let mut request = body(&json!([slot(1_000_000, &[1])]));
    let read =
        |request: &Value| PreRequest::read(request.to_string().as_bytes(), &network(), no_clock);
    assert!(read(&request).is_ok());
    request["wait"] = false.into();
    assert!(matches!(read(&request), Err(PreRequestError::NoClock)));
}
