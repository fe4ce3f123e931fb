use std::time::Duration;

use signer_client::wire::{Root, Slot};
use tokio::time::timeout;

use super::*;
use crate::{
    duty::{Duty, DutyType, Position, Protection},
    scheduler::Class,
};

const KEY_TEXT: &str = "0xAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn duty() -> Duty {
    Duty {
        duty_type: DutyType::RandaoReveal,
        signing_root: Root([7; 32]),
        position: Some(Position::Slot(Slot(12))),
        protection: Protection::Unprotected,
    }
}

fn only_row(buffer: &Buffer) -> Entry {
    let mut rows = buffer.take();
    assert_eq!(rows.len(), 1);
    *rows.remove(0).entry
}

#[test]
fn finished_ticket_leaves_one_row_with_everything_it_learned() {
    let buffer = Buffer::new("signer-1", 40);
    let writer = Writer::new(buffer.clone());
    let client = Client { address: Some([127, 0, 0, 1].into()), ..Client::default() };
    let mut ticket = writer.begin(client.clone(), KEY_TEXT);
    ticket.describe(&duty());
    ticket.waited_in_queue(Duration::from_micros(5));
    ticket.spent_signing(Duration::from_micros(400));
    ticket.finish(Outcome::Signed, None);

    let entry = only_row(&buffer);
    assert_eq!((entry.id, &*entry.instance, &entry.client), (40, "signer-1", &client));
    assert_eq!(entry.key, KEY_TEXT.parse().ok());
    assert_eq!(entry.identifier, None);
    assert_eq!(entry.duty_type, Some(DutyType::RandaoReveal));
    assert_eq!((entry.slot, entry.epoch), (Some(Slot(12)), None));
    assert_eq!(entry.outcome, Outcome::Signed);
    assert_eq!((entry.queue_us, entry.database_us, entry.bls_us), (Some(5), None, Some(400)));
}

#[test]
fn dropped_ticket_leaves_an_abandoned_row() {
    let buffer = Buffer::new("", 1);
    drop(Writer::new(buffer.clone()).begin(Client::default(), "12345"));
    let entry = only_row(&buffer);
    assert_eq!(entry.outcome, Outcome::Abandoned);
    assert_eq!((entry.key, entry.identifier.as_deref()), (None, Some("12345")));
}

#[test]
fn long_identifiers_are_cut() {
    let buffer = Buffer::new("", 1);
    drop(Writer::new(buffer.clone()).begin(Client::default(), &"é".repeat(10_000)));
    assert_eq!(only_row(&buffer).identifier.unwrap().chars().count(), 128);
}

#[test]
fn entry_as_json() {
    let buffer = Buffer::new("signer-1", 1);
    let mut ticket = Writer::new(buffer.clone()).begin(Client::default(), KEY_TEXT);
    ticket.describe(&duty());
    ticket.finish(Outcome::Refused, Some("why".to_owned()));
    let mut entry = only_row(&buffer);
    entry.received_at_us = 1_700_000_000_000_001;
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(json["time"], "2023-11-14T22:13:20.000001Z");
    assert_eq!(json["type"], "RANDAO_REVEAL");
    assert_eq!(json["slot"], "12");
    assert_eq!(json["key"], KEY_TEXT.to_lowercase());
    assert_eq!((&json["outcome"], &json["reason"]), (&"refused".into(), &"why".into()));
    assert!(json["queue_us"].is_null());
}

#[test]
fn every_outcome_has_its_own_name() {
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_name(outcome.name()), Some(*outcome));
    }
    assert_eq!(Outcome::from_name("other"), None);
}

#[tokio::test]
async fn low_classes_wait_for_room_and_blocks_and_attestations_do_not() {
    let buffer = Buffer::with_small_room(1, 1);
    let writer = Writer::new(buffer.clone());
    let begin = || writer.begin(Client::default(), KEY_TEXT);

    let mut first = begin();
    first.wait_for_room(Class::SelectionProof).await;
    first.finish(Outcome::Signed, None);

    let soon = Duration::from_millis(20);
    let mut second = begin();
    assert!(timeout(soon, second.wait_for_room(Class::SelectionProof)).await.is_err());
    for class in [Class::Block, Class::Attestation, Class::Aggregate, Class::Background] {
        let mut other = begin();
        assert!(timeout(soon, other.wait_for_room(class)).await.is_ok(), "{class:?}");
        other.finish(Outcome::Signed, None);
    }
    let rows = buffer.take();
    assert_eq!(rows.len(), 5, "nothing is dropped");
    drop(rows);
    assert!(timeout(soon, second.wait_for_room(Class::SelectionProof)).await.is_ok());
}

#[tokio::test]
async fn nobody_waits_while_the_database_is_away() {
    let buffer = Buffer::with_small_room(1, 0);
    let mut ticket = Writer::new(buffer.clone()).begin(Client::default(), KEY_TEXT);
    let waiting = ticket.wait_for_room(Class::Background);
    let outage = async { buffer.set_available(false) };
    let both = async { tokio::join!(waiting, outage) };
    assert!(timeout(Duration::from_secs(5), both).await.is_ok());
}

#[test]
fn rows_after_the_end_are_counted_as_lost() {
    let buffer = Buffer::new("", 1);
    let writer = Writer::new(buffer.clone());
    let open = writer.begin(Client::default(), KEY_TEXT);
    writer.begin(Client::default(), KEY_TEXT).finish(Outcome::Signed, None);
    buffer.close();
    drop(open);
    assert_eq!((writer.lost_rows(), writer.waiting_rows()), (2, 0));
}

#[test]
fn unwritten_rows_keep_their_order() {
    let buffer = Buffer::new("", 1);
    let writer = Writer::new(buffer.clone());
    for _ in 0..3 {
        writer.begin(Client::default(), KEY_TEXT).finish(Outcome::Signed, None);
    }
    let taken = buffer.take();
    writer.begin(Client::default(), KEY_TEXT).finish(Outcome::Signed, None);
    buffer.put_back(taken);
    let ids: Vec<i64> = buffer.take().iter().map(|row| row.entry.id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}
