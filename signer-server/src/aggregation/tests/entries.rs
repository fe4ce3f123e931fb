//! Entries that are no good: each is named with its reason, and the others are aggregated.

use serde_json::{Value, json};
use signer_client::wire::Fork;

use super::{
    groups::{
        ROOT, child, infinity, job_in, negative, outside_the_group, point, public_key, public_keys,
        root, signature, singles, sum, sync_contribution, text,
    },
    *,
};

/// Four keys, and signatures of the first three.
fn three_of_four() -> Value {
    json!({
        "kind": "raw", "signing_root": root(ROOT), "bits_len": 4, "pubkeys": public_keys(4),
        "singles": singles(&[0, 1, 2], &ROOT),
    })
}

fn with_verify(verify: &str, group: Value) -> Value {
    let mut job = job(9, &[group]);
    job["options"] = json!({ "verify": verify });
    job
}

/// The rejected entries of a job's first group: kind, place and reason.
fn rejected(done: &Value) -> Vec<(String, u64, String)> {
    let entries = done["groups"][0]["rejected"]["entries"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let summary = |entry: &Value| {
        (text(&entry["kind"]), entry["index"].as_u64().unwrap(), text(&entry["reason"]))
    };
    entries.iter().map(summary).collect()
}

fn entry(kind: &str, index: u64, reason: &str) -> (String, u64, String) {
    (kind.to_owned(), index, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_are_no_signatures_are_named() {
    let service = service(1, &metrics());
    let mut uncompressed = const_hex::decode(signature(0, &ROOT)).unwrap();
    uncompressed[0] &= 0x7f;
    let cases = [
        (infinity(), "infinity"),
        (text(&outside_the_group()), "not_in_group"),
        (const_hex::encode_prefixed(uncompressed), "bad_encoding"),
        ("0x1234".to_owned(), "bad_length"),
        (signature(1, &[0; 32]), "invalid_signature"),
    ];
    for (bad, reason) in cases {
        for verify in ["aggregate", "each"] {
            let mut group = three_of_four();
            group["singles"][1]["signature"] = bad.as_str().into();
            group["children"] = json!([{ "bits": "0x18", "signature": bad }]);
            let done = run(&service, &with_verify(verify, group)).await;
            let expected = [entry("single", 1, reason), entry("child", 0, reason)];
            assert_eq!(rejected(&done), expected, "{verify}: {done}");
            assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x15", "positions 0 and 2");
            assert_eq!(done["groups"][0]["aggregate"]["verified"], true);
        }
    }
    service.close();
}

/// No key can be used for such a position, whoever signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_without_a_good_key_are_named() {
    let service = service(1, &metrics());
    let mut at_infinity = [0; 48];
    at_infinity[0] = 0xc0;
    let cases = [
        (json!(const_hex::encode_prefixed(at_infinity)), "pubkey_invalid"),
        (json!("0xzz"), "pubkey_invalid"),
        (json!(5), "pubkey_invalid"),
        (Value::Null, "pubkey_missing"),
    ];
    for (key, reason) in cases {
        let mut group = three_of_four();
        group["pubkeys"][1] = key;
        let done = run(&service, &with_verify("aggregate", group)).await;
        assert_eq!(rejected(&done), [entry("single", 1, reason)], "{done}");
        assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x15");
    }
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bits_of_a_wrong_length_are_named() {
    let service = service(1, &metrics());
    // Three, five, no end, no bytes, no hexadecimal; the last is right.
    let bits = ["0x0c", "0x28", "0x00", "0x", "0xzz", "0x18"];
    let mut group = three_of_four();
    let children = bits.map(|bits| child(bits, &[3], &ROOT));
    group["children"] = children.to_vec().into();
    let done = run(&service, &job(9, &[group])).await;
    let expected: Vec<_> = (0..5).map(|place| entry("child", place, "child_bits_length")).collect();
    assert_eq!(rejected(&done), expected, "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x1f");

    let mut group = sync_contribution(Fork::Electra, 9);
    for bits in ["0x0401", "0x", "0x00"] {
        let children = group["children"].as_array_mut().unwrap();
        let mut wrong = children[0].clone();
        wrong["bits"] = bits.into();
        children.push(wrong);
    }
    let done = run(&service, &job_in(Fork::Electra, 9, &[group])).await;
    let expected = [
        entry("child", 1, "child_bits_length"),
        entry("child", 2, "child_bits_length"),
        entry("child", 3, "child_empty"),
    ];
    assert_eq!(rejected(&done), expected, "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["coverage"], 4);
    service.close();
}

/// Neither is a signature; their sum is that of the right ones. So the aggregate is good, but who
/// wants to know of each must learn the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_bad_signatures_that_cancel_each_other_are_found_one_by_one() {
    let service = service(1, &metrics());
    let other = signature(3, &[0; 32]);
    let minus = text(&negative(&point(&other)));
    let mut group = three_of_four();
    group["singles"][0]["signature"] = sum(&[signature(0, &ROOT), other]).into();
    group["singles"][1]["signature"] = sum(&[signature(1, &ROOT), minus]).into();
    let done = run(&service, &with_verify("each", group.clone())).await;
    let both = [entry("single", 0, "invalid_signature"), entry("single", 1, "invalid_signature")];
    assert_eq!(rejected(&done), both, "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x14");

    let done = run(&service, &with_verify("aggregate", group)).await;
    let aggregate = &done["groups"][0]["aggregate"];
    let right = sum(&[0, 1, 2].map(|signer| signature(signer, &ROOT)));
    assert_eq!((&aggregate["bits"], &aggregate["signature"]), (&json!("0x17"), &json!(right)));
    assert_eq!(aggregate["verified"], true);
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_contradict_each_other_are_named() {
    let service = service(1, &metrics());
    let mut group = three_of_four();
    // The list is right where it says something.
    group["singles"][0]["pubkey"] = public_key(3).into();
    group["singles"][1]["pubkey"] = public_key(1).into();
    let done = run(&service, &job(9, &[group])).await;
    assert_eq!(rejected(&done), [entry("single", 0, "conflict")], "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x16");

    // Where it does not, nobody knows who of two is right.
    let mut group = three_of_four();
    group["pubkeys"][0] = Value::Null;
    group["singles"][0]["pubkey"] = public_key(0).into();
    let mut contradiction = group["singles"][0].clone();
    contradiction["pubkey"] = public_key(3).into();
    contradiction["signature"] = signature(3, &ROOT).into();
    group["singles"].as_array_mut().unwrap().push(contradiction);
    let done = run(&service, &job(9, &[group.clone()])).await;
    let both = [entry("single", 0, "conflict"), entry("single", 3, "conflict")];
    assert_eq!(rejected(&done), both, "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x16");

    group["singles"].as_array_mut().unwrap().pop();
    let done = run(&service, &job(9, &[group])).await;
    assert_eq!(rejected(&done), []);
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x17", "the key that a single brings");
    service.close();
}

/// Whoever can bring an entry in must not be able to take a good one out by the key beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_single_that_is_no_good_anyway_contradicts_nobody() {
    let service = service(1, &metrics());
    let mut group = three_of_four();
    group["pubkeys"][0] = Value::Null;
    group["singles"][0]["pubkey"] = public_key(0).into();
    let bad = [
        (json!("0xzz"), signature(3, &ROOT), "pubkey_invalid"),
        (json!("0x1234"), signature(0, &ROOT), "pubkey_invalid"),
        (json!(public_key(3)), "0x1234".to_owned(), "bad_length"),
        (json!(public_key(3)), "0xzz".to_owned(), "bad_encoding"),
    ];
    for (pubkey, signature, _) in &bad {
        let single = json!({ "pos": 0, "pubkey": pubkey, "signature": signature });
        // Before the good one and behind it.
        group["singles"].as_array_mut().unwrap().insert(0, single);
    }
    let late = json!({ "pos": 0, "pubkey": "", "signature": signature(0, &ROOT) });
    group["singles"].as_array_mut().unwrap().push(late);
    let done = run(&service, &job(9, &[group])).await;
    let mut expected: Vec<_> = (0..)
        .zip(bad.iter().rev())
        .map(|(place, (_, _, reason))| entry("single", place, reason))
        .collect();
    expected.push(entry("single", 7, "pubkey_invalid"));
    assert_eq!(rejected(&done), expected, "{done}");
    assert_eq!(done["groups"][0]["aggregate"]["bits"], "0x17");
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_digit_in_a_body_of_sixteen_mebibytes_costs_one_entry() {
    const GROUPS: u8 = 25;
    const SINGLES: usize = 2048;
    let service = service(2, &metrics());
    let key = public_key(0);
    let group = |message: u8| {
        let signature = signature(0, &[message; 32]);
        let single = |pos| json!({ "pos": pos, "signature": signature });
        json!({
            "kind": "raw", "signing_root": root([message; 32]), "bits_len": SINGLES,
            "pubkeys": vec![&key; SINGLES], "singles": (0..SINGLES).map(single).collect::<Vec<_>>(),
        })
    };
    let mut large = job(9, &(0..GROUPS).map(group).collect::<Vec<_>>());
    let spoiled = &mut large["groups"][17]["singles"][1000]["signature"];
    let mut digits = spoiled.as_str().unwrap().to_owned();
    digits.replace_range(100..101, "g");
    *spoiled = digits.into();
    let mut body = large.to_string();
    let missing = (16 << 20) - body.len();
    body.push_str(&" ".repeat(missing));
    let id = service.submit(body, Format::Json, Client::default()).await.unwrap().id;
    let done = service.ended_job(id, PATIENCE).await.unwrap();
    let done = serde_json::to_value(done).unwrap();
    assert_eq!((&done["status"], &done["complete"]), (&json!("done"), &json!(true)));
    let entries = usize::from(GROUPS) * SINGLES;
    assert_eq!(
        (&done["entries"], &done["accepted_entries"]),
        (&json!(entries), &json!(entries - 1))
    );
    for (place, group) in done["groups"].as_array().unwrap().iter().enumerate() {
        let is_spoiled = place == 17;
        assert_eq!(group["aggregate"]["coverage"], SINGLES - usize::from(is_spoiled), "{place}");
        assert_eq!(group["aggregate"]["verified"], true);
        assert_eq!(group["rejected"]["count"], usize::from(is_spoiled), "{place}");
    }
    let rejected = &done["groups"][17]["rejected"]["entries"][0];
    assert_eq!((&rejected["index"], &rejected["reason"]), (&json!(1000), &json!("bad_encoding")));
    service.close();
}
