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

fn strict_buffer() -> std::sync::Arc<Buffer> {
    let options = AuditOptions {
        durability: Durability::Strict,
        timeout: Duration::from_millis(200),
        ..AuditOptions::default()
    };
    Buffer::open("test", 1, options)
}

/// Whether a signature is released, while the database does `work` with the rows.
async fn released(buffer: &std::sync::Arc<Buffer>, work: impl FnOnce(&Buffer)) -> bool {
    let ticket = Writer::new(buffer.clone()).begin(Client::default(), KEY_TEXT);
    let release = tokio::spawn(ticket.release(Outcome::Signed));
    while buffer.len() == 0 {
        tokio::task::yield_now().await;
    }
    work(buffer);
    release.await.unwrap().is_ok()
}

#[tokio::test]
async fn strict_signature_leaves_once_its_row_is_durable() {
    let buffer = strict_buffer();
    assert!(!buffer.has_urgent());
    let write = |buffer: &Buffer| {
        assert!(buffer.has_urgent(), "nothing waits for a timer");
        let rows = buffer.take();
        assert!(!buffer.has_urgent());
        buffer.written(rows, Duration::ZERO);
    };
    assert!(released(&buffer, write).await);
    assert_eq!(buffer.len(), 0);
}

#[tokio::test]
async fn strict_signature_does_not_leave_without_its_row_which_says_so() {
    let failed_write = |buffer: &Buffer| buffer.put_back(buffer.take());
    let outage = |buffer: &Buffer| buffer.set_available(false);
    let hanging: fn(&Buffer) = |_| {};
    for work in [&failed_write as &dyn Fn(&Buffer), &outage, &hanging] {
        let buffer = strict_buffer();
        assert!(!released(&buffer, work).await);
        let rows = buffer.take();
        let last = &rows.last().unwrap().entry;
        assert_eq!((rows.len(), rows[0].entry.id), (2, last.id), "two states of one row");
        assert_eq!(last.outcome, Outcome::Failed);
        assert!(last.reason.as_ref().unwrap().contains("--audit-durability"), "{last:?}");
    }
}

#[tokio::test]
async fn strict_signature_is_refused_at_once_while_the_database_is_away_or_full() {
    let away = strict_buffer();
    away.set_available(false);
    assert!(!released(&away, |_| {}).await);
    let closed = strict_buffer();
    closed.close();
    let ticket = Writer::new(closed.clone()).begin(Client::default(), KEY_TEXT);
    assert_eq!(ticket.release(Outcome::Signed).await, Err(NotDurable));
    let none = Writer::new(Buffer::discarding()).begin(Client::default(), KEY_TEXT);
    assert_eq!(none.release(Outcome::Signed).await, Ok(()), "no audit was asked for");
}

#[tokio::test]
async fn signature_with_a_recorded_row_waits_for_nothing() {
    let buffer = strict_buffer();
    let mut ticket = Writer::new(buffer.clone()).begin(Client::default(), KEY_TEXT);
    ticket.is_recorded();
    assert_eq!(ticket.release(Outcome::Signed).await, Ok(()));
    assert_eq!(only_row(&buffer).outcome, Outcome::Signed);
}

#[test]
fn conditions_as_people_write_them() {
    const NOW_US: i64 = 1_772_366_404_000_000; // 2026-03-01T12:00:04Z
    let text = |text: &str| Some(text.to_owned());
    let read = |conditions: FilterText| conditions.parse(NOW_US);
    for (time, since_us) in [
        ("2026-03-01T12:00:04Z", NOW_US),
        ("2026-03-01T13:00:04+01:00", NOW_US),
        ("2026-03-01", NOW_US - 43_204_000_000),
        ("4s", NOW_US - 4_000_000),
        ("90m", NOW_US - 5_400_000_000),
        ("2h", NOW_US - 7_200_000_000),
        ("7d", NOW_US - 604_800_000_000),
    ] {
        let filter = read(FilterText { since: text(time), ..FilterText::default() }).unwrap();
        assert_eq!(filter.since_us, Some(since_us), "{time}");
    }
    for (range, slots) in
        [("5", 5..=5), ("100-200", 100..=200), ("100-", 100..=u64::MAX), ("-200", 0..=200)]
    {
        let filter = read(FilterText { slot: text(range), ..FilterText::default() }).unwrap();
        assert_eq!(filter.slots, Some(slots), "{range}");
    }
    let filter = FilterText {
        key: text(KEY_TEXT),
        client: text("0:0:0:0:0:0:0:1"),
        duty_type: text("attestation"),
        outcome: text("refused"),
        until: text("1h"),
        epoch: text("3-4"),
        ..FilterText::default()
    };
    let filter = read(filter).unwrap();
    assert_eq!(filter.client.as_deref(), Some("::1"), "as it is stored");
    assert_eq!(filter.duty_type, Some(DutyType::Attestation));
    assert_eq!((filter.outcome, filter.epochs.clone()), (Some(Outcome::Refused), Some(3..=4)));

    // What is sent to a running signer means the same there, later.
    let parameters: std::collections::HashMap<_, _> = filter.to_parameters().into_iter().collect();
    let sent = |name| parameters.get(name).cloned();
    let again = FilterText {
        key: sent("key"),
        client: sent("client"),
        duty_type: sent("type"),
        outcome: sent("outcome"),
        since: sent("since"),
        until: sent("until"),
        slot: sent("slot"),
        epoch: sent("epoch"),
    };
    assert_eq!(again.parse(NOW_US + 1_000_000), Ok(filter));
}

#[test]
fn conditions_that_mean_nothing_are_named() {
    let text = |text: &str| Some(text.to_owned());
    let none = FilterText::default;
    for (conditions, name) in [
        (FilterText { key: text("0x12"), ..none() }, "key"),
        (FilterText { client: text(" "), ..none() }, "client"),
        (FilterText { duty_type: text("VOTE"), ..none() }, "type"),
        (FilterText { outcome: text("SIGNED?"), ..none() }, "outcome"),
        (FilterText { since: text("yesterday"), ..none() }, "since"),
        (FilterText { since: text("2026-03-01T12:00:04"), ..none() }, "since"),
        (FilterText { since: text("+5d"), ..none() }, "since"),
        (FilterText { until: text("5é"), ..none() }, "until"),
        (FilterText { slot: text("-"), ..none() }, "slot"),
        (FilterText { slot: text("200-100"), ..none() }, "slot"),
        (FilterText { slot: text("+5"), ..none() }, "slot"),
        (FilterText { slot: text(""), ..none() }, "slot"),
        (FilterText { epoch: text("18446744073709551616"), ..none() }, "epoch"),
    ] {
        let error = conditions.parse(0).unwrap_err();
        assert_eq!(error.name, name, "{conditions:?}");
        assert!(error.to_string().starts_with(name) && !error.expected.is_empty(), "{error}");
    }
}

#[test]
fn rows_of_what_can_be_slashed_or_not_undone_are_kept_longest() {
    let evidence: Vec<_> = DutyType::ALL
        .iter()
        .filter(|duty_type| RowClass::of(Some(**duty_type)) == RowClass::Evidence)
        .map(|duty_type| duty_type.name())
        .collect();
    assert_eq!(
        evidence,
        ["BLOCK", "BLOCK_V2", "ATTESTATION", "VOLUNTARY_EXIT", "DEPOSIT", "GENERIC"]
    );
    assert_eq!(RowClass::of(None), RowClass::Bulk);
}
