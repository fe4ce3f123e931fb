//! No body makes the classifier panic, and no accident makes a slashable duty unprotected.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{classify, network, samples::sample};
use crate::duty::{DutyType, Protection};

/// One change to a body.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    /// Cuts out a part and puts it elsewhere.
    Move(Index, Index, Index),
    Truncate(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Bytes that mean something in JSON are likelier to reach deeper code.
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(b"{}[],:\"0123456789x-".to_vec())];
    prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        2 => (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => any::<Index>().prop_map(Mutation::Remove),
        1 => any::<(Index, Index, Index)>().prop_map(|(a, b, to)| Mutation::Move(a, b, to)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ]
}

fn apply(body: &mut Vec<u8>, mutation: &Mutation) {
    if body.is_empty() {
        return;
    }
    let length = body.len();
    match mutation {
        Mutation::Replace(at, byte) => body[at.index(length)] = *byte,
        Mutation::Insert(at, byte) => body.insert(at.index(length), *byte),
        Mutation::Remove(at) => drop(body.remove(at.index(length))),
        Mutation::Move(from, until, to) => {
            let (from, until) = (from.index(length), until.index(length));
            let part: Vec<u8> = body.drain(from.min(until)..from.max(until)).collect();
            let to = to.index(body.len());
            body.splice(to..to, part);
        }
        Mutation::Truncate(at) => body.truncate(at.index(length)),
    }
}

fn check(body: &[u8]) {
    for name in ["mainnet", "minimal"] {
        match classify(body, &network(name)) {
            Ok(duty) => {
                let slashable = matches!(
                    duty.duty_type,
                    DutyType::Block | DutyType::BlockV2 | DutyType::Attestation
                );
                assert_eq!(slashable, duty.protection != Protection::Unprotected);
            }
            Err(failure) => {
                let message = failure.to_string();
                assert!(!message.contains('\n') && message.len() < 2000, "{message}");
            }
        }
    }
}

/// Replaces every integer of a request.
fn replace(value: &mut serde_json::Value, numbers: &mut impl Iterator<Item = u64>) {
    match value {
        serde_json::Value::Object(members) => {
            members.values_mut().for_each(|member| replace(member, numbers));
        }
        serde_json::Value::String(text) if text.parse::<u64>().is_ok() => {
            *text = numbers.next().unwrap().to_string();
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn mutated_requests_never_panic(
        duty_type in prop::sample::select(DutyType::ALL),
        mutations in vec(mutation(), 1..4),
    ) {
        let mut body = sample(duty_type).to_string().into_bytes();
        for mutation in &mutations {
            apply(&mut body, mutation);
        }
        check(&body);
    }

    #[test]
    fn random_bytes_never_panic(body in vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn random_objects_never_panic(
        duty_type in prop::sample::select(DutyType::ALL),
        numbers in vec(any::<u64>(), 8),
    ) {
        let mut request = sample(duty_type);
        let mut numbers = numbers.into_iter().cycle();
        replace(&mut request, &mut numbers);
        check(request.to_string().as_bytes());
    }
}
