//! The SSZ form against the bytes that another implementation has written (`tests/fixtures`).

use super::*;

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/aggregation/snapshots.json");

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn each<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}

/// `None` for a kind of group that the typed client does not have.
fn subject(group: &Value) -> Option<AggregationSubject> {
    Some(match group["kind"].as_str().unwrap() {
        "attestation" if group["data"].is_null() => return None,
        "attestation" => AggregationSubject::Attestation {
            data: read(&group["data"]),
            committee_index: read(&group["committee_index"]),
            committee_len: read(&group["committee_len"]),
        },
        "sync_contribution" => AggregationSubject::SyncContribution {
            beacon_block_root: read(&group["beacon_block_root"]),
            subcommittee_index: read(&group["subcommittee_index"]),
        },
        _ => AggregationSubject::Raw {
            signing_root: read(&group["signing_root"]),
            bits_len: read(&group["bits_len"]),
        },
    })
}

fn single(single: &Value) -> AggregationSingle {
    AggregationSingle {
        pos: match &single["pos"] {
            Value::Array(_) => GroupPositions::Several(read(&single["pos"])),
            pos => GroupPositions::One(read(pos)),
        },
        signature: read(&single["signature"]),
        pubkey: read(&single["pubkey"]),
        tag: read(&single["tag"]),
    }
}

fn child(child: &Value) -> AggregationChild {
    AggregationChild {
        bits: read(&child["bits"]),
        signature: read(&child["signature"]),
        tag: read(&child["tag"]),
    }
}

fn request(job: &Value) -> Option<AggregationRequest> {
    let group = |group: &Value| {
        Some(AggregationGroup {
            pubkeys: each(&group["pubkeys"], read),
            singles: each(&group["singles"], single),
            children: each(&group["children"], child),
            sign: read(&group["sign"]),
            ..AggregationGroup::new(subject(group)?)
        })
    };
    let groups = each(&job["groups"], group).into_iter().collect::<Option<_>>()?;
    let after = read::<Option<_>>(&job["deadline_ms"]).map(AggregationDeadline::AfterMs);
    let at = read::<Option<_>>(&job["deadline_unix_ms"]).map(AggregationDeadline::AtUnixMs);
    Some(AggregationRequest {
        fork_name: read(&job["fork_name"]),
        attempt: read(&job["attempt"]),
        deadline: after.or(at),
        lane: read(&job["lane"]),
        on_busy: read(&job["on_busy"]),
        options: read(&job["options"]),
        ..AggregationRequest::new(read(&job["fork_info"]), read(&job["slot"]), groups)
    })
}

#[test]
fn requests_have_the_bytes_of_another_implementation() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let mut compared = 0;
    for case in cases {
        let Some(request) = request(&case["json"]) else { continue };
        let bytes = request.to_ssz_bytes().unwrap();
        assert_eq!(
            const_hex::encode_prefixed(bytes),
            case["ssz"].as_str().unwrap(),
            "{}",
            case["name"]
        );
        compared += 1;
    }
    assert_eq!((compared, cases.len()), (3, 4), "all but the vote by its signing root");
}

#[test]
fn what_only_json_can_say_has_no_ssz_form() {
    let group = AggregationGroup {
        pubkeys: vec![Some(PublicKey([4; 48])), None],
        singles: vec![AggregationSingle::new(0, Signature([5; 96]))],
        children: vec![AggregationChild {
            bits: HexBytes(vec![0b110]),
            signature: Signature([6; 96]),
            tag: None,
        }],
        sign: Some(SignAggregate {
            aggregator_pubkey: PublicKey([7; 48]),
            aggregator_index: QuotedU64(9),
            selection_proof: Some(Signature([8; 96])),
            resign: false,
        }),
        ..AggregationGroup::new(AggregationSubject::Raw {
            signing_root: Root([9; 32]),
            bits_len: QuotedU64(2),
        })
    };
    let plain = AggregationRequest::new(fork_info(), Slot(130), vec![group]);
    assert!(plain.to_ssz_bytes().is_some());
    let changes: [&dyn Fn(&mut AggregationRequest); 9] = [
        &|it| it.deadline = Some(AggregationDeadline::AfterMs(QuotedU64(0))),
        &|it| it.deadline = Some(AggregationDeadline::AtUnixMs(QuotedU64(0))),
        &|it| it.lane = Some(String::new()),
        &|it| it.groups[0].pubkeys[0] = Some(PublicKey([0; 48])),
        &|it| it.groups[0].singles[0].pubkey = Some(PublicKey([0; 48])),
        &|it| it.groups[0].singles[0].tag = Some(String::new()),
        &|it| it.groups[0].children[0].tag = Some(String::new()),
        &|it| {
            it.groups[0].sign.as_mut().unwrap().selection_proof = Some(Signature([0; 96]));
        },
        &|it| it.groups.push(it.groups[0].clone()),
    ];
    for (place, change) in changes.iter().enumerate() {
        let mut other = plain.clone();
        change(&mut other);
        // The last one is only another request.
        assert_eq!(other.to_ssz_bytes().is_some(), place == 8, "{place}");
    }
}
