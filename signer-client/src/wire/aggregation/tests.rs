//! The JSON of jobs, as the API has it.

#[cfg(feature = "ssz")]
mod ssz;

use serde_json::{Value, json};

use super::*;
use crate::wire::{
    AggregateAndProof, AggregationBits, Attestation, AttestationData, Bitvector, Checkpoint, Epoch,
    Fork, ForkInfo, ForkVersion, ForkVersions, HexBytes, PublicKey, QuotedU64, Root, Signature,
    Slot,
};

fn fork_info() -> ForkInfo {
    let version = ForkVersion([6, 0, 0, 0]);
    let fork =
        ForkVersions { previous_version: version, current_version: version, epoch: Epoch(3) };
    ForkInfo { fork, genesis_validators_root: Root([1; 32]) }
}

fn data() -> AttestationData {
    let checkpoint = Checkpoint { epoch: Epoch(4), root: Root([2; 32]) };
    AttestationData {
        slot: Slot(130),
        index: QuotedU64(0),
        beacon_block_root: Root([3; 32]),
        source: checkpoint,
        target: checkpoint,
    }
}

#[test]
fn a_request_has_the_shape_of_the_api() {
    let mut group = AggregationGroup::new(AggregationSubject::Attestation {
        data: data(),
        committee_index: QuotedU64(5),
        committee_len: QuotedU64(3),
    });
    group.pubkeys = vec![Some(PublicKey([4; 48])), None];
    group.singles = vec![AggregationSingle::new(2, Signature([5; 96]))];
    group.children = vec![AggregationChild {
        bits: HexBytes(vec![0b1011]),
        signature: Signature([6; 96]),
        tag: Some("node 1".to_owned()),
    }];
    group.sign = Some(SignAggregate {
        aggregator_pubkey: PublicKey([7; 48]),
        aggregator_index: QuotedU64(9),
        selection_proof: None,
        resign: false,
    });
    let request = AggregationRequest {
        deadline: Some(AggregationDeadline::AfterMs(QuotedU64(500))),
        lane: Some("node-1".to_owned()),
        ..AggregationRequest::new(fork_info(), Slot(130), vec![group])
    };
    let hex = |byte: u8, length| const_hex::encode_prefixed(vec![byte; length]);
    let expected = json!({
        "fork_info": fork_info(),
        "slot": "130",
        "deadline_ms": "500",
        "lane": "node-1",
        "on_busy": "replace",
        "options": {
            "verify": "aggregate", "overlap": "disjoint", "min_coverage": 0, "report": "all",
        },
        "groups": [{
            "kind": "attestation",
            "data": data(),
            "committee_index": "5",
            "committee_len": "3",
            "pubkeys": [hex(4, 48), null],
            "singles": [{"pos": 2, "signature": hex(5, 96)}],
            "children": [{"bits": "0x0b", "signature": hex(6, 96), "tag": "node 1"}],
            "sign": {"aggregator_pubkey": hex(7, 48), "aggregator_index": "9"},
        }],
    });
    assert_eq!(serde_json::to_value(&request).unwrap(), expected);
}

#[test]
fn the_other_kinds_and_choices_have_their_names() {
    let contribution = AggregationGroup {
        pubkey_table: Some(Root([8; 32])),
        singles: vec![AggregationSingle {
            pos: GroupPositions::Several(vec![0, 7]),
            pubkey: Some(PublicKey([4; 48])),
            ..AggregationSingle::new(0, Signature([5; 96]))
        }],
        ..AggregationGroup::new(AggregationSubject::SyncContribution {
            beacon_block_root: Root([3; 32]),
            subcommittee_index: QuotedU64(1),
        })
    };
    let raw = AggregationGroup::new(AggregationSubject::Raw {
        signing_root: Root([9; 32]),
        bits_len: QuotedU64(512),
    });
    let request = AggregationRequest {
        attempt: 2,
        fork_name: Some(Fork::Gloas),
        deadline: Some(AggregationDeadline::AtUnixMs(QuotedU64(1_700_000_000_000))),
        on_busy: OnBusy::Reject,
        options: AggregationOptions {
            verify: Verify::Each,
            overlap: Overlap::Subtract,
            min_coverage: 3,
            report: Report::Failed,
        },
        ..AggregationRequest::new(fork_info(), Slot(130), vec![contribution, raw])
    };
    let value = serde_json::to_value(&request).unwrap();
    assert_eq!(value["attempt"], 2);
    assert_eq!(value["fork_name"], "GLOAS");
    assert_eq!(value["deadline_unix_ms"], "1700000000000");
    assert_eq!(value["on_busy"], "reject");
    assert_eq!(value["options"]["verify"], "each");
    assert_eq!(value["options"]["overlap"], "subtract");
    assert_eq!(value["options"]["report"], "failed");
    let groups = &value["groups"];
    assert_eq!(groups[0]["kind"], "sync_contribution");
    assert_eq!(groups[0]["pubkey_table"], const_hex::encode_prefixed([8; 32]));
    assert_eq!(groups[0]["singles"][0]["pos"], json!([0, 7]));
    assert_eq!(groups[0]["pubkeys"], Value::Null);
    assert_eq!(groups[1]["kind"], "raw");
    assert_eq!(groups[1]["bits_len"], "512");
}

#[test]
fn what_a_later_signer_says_is_no_error() {
    let report = json!({
        "group": 0, "status": "a_new_status", "signing_root": Root::ZERO, "bits_len": 2,
        "used": {"count": 1}, "covered": {"count": 0, "entries": []},
        "rejected": {"count": 1, "entries": [
            {"kind": "single", "index": 0, "reason": "a_new_reason", "more": true},
        ]},
        "unprocessed": {"count": 0}, "counts": {"entries": 2}, "a_new_member": 1,
    });
    let report: GroupReport = serde_json::from_value(report).unwrap();
    assert_eq!(report.status, GroupStatus::Other);
    let entries = report.rejected.entries.unwrap();
    assert_eq!(entries[0].reason, Some(EntryReason::Other));
    assert_eq!(report.used, ReportedEntries { count: 1, entries: None });
}

#[test]
fn states_that_will_not_change_are_known() {
    for (name, is_final) in [
        ("queued", false),
        ("running", false),
        ("done", true),
        ("cancelled", true),
        ("expired", true),
        ("failed", true),
        ("dropped", true),
    ] {
        let status: JobStatus = serde_json::from_value(json!(name)).unwrap();
        assert_ne!(status, JobStatus::Other);
        assert_eq!(status.is_final(), is_final, "{name}");
    }
}

#[test]
fn signed_aggregates_are_what_beacon_nodes_take() {
    let aggregate = Attestation {
        aggregation_bits: AggregationBits::from_bits(&[true, false, true]).unwrap(),
        data: data(),
        signature: Signature([6; 96]),
        committee_bits: Some(Bitvector(vec![0x20, 0, 0, 0, 0, 0, 0, 0])),
    };
    let message = AggregateAndProof {
        aggregator_index: QuotedU64(9),
        aggregate,
        selection_proof: Signature([7; 96]),
    };
    let signed = SignedMessage { message: message.clone(), signature: Signature([8; 96]) };
    let outcome = SigningOutcome::Signed(SignedAggregate {
        version: Fork::Electra,
        repeated: false,
        object: SignedObject::AggregateAndProof(Box::new(signed)),
    });
    let value = serde_json::to_value(&outcome).unwrap();
    let expected = json!({
        "status": "signed", "version": "electra", "repeated": false,
        "kind": "aggregate_and_proof",
        "data": {"message": message, "signature": Signature([8; 96])},
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<SigningOutcome>(value).unwrap(), outcome);
}

#[test]
fn refusals_have_their_names() {
    for refusal in [
        SignRefusal::NoAggregate,
        SignRefusal::NotVerified,
        SignRefusal::NotSignable,
        SignRefusal::UnknownKey,
        SignRefusal::BadSelectionProof,
        SignRefusal::NotAggregator,
        SignRefusal::WrongFork,
        SignRefusal::Overloaded,
        SignRefusal::Failed,
    ] {
        assert_eq!(serde_json::to_value(refusal).unwrap(), refusal.name());
        let refused = json!({"status": "refused", "reason": refusal, "message": "why"});
        let read: SigningOutcome = serde_json::from_value(refused).unwrap();
        assert_eq!(read, SigningOutcome::Refused { reason: refusal, message: "why".to_owned() });
    }
}
