//! The audit trail that several signers write together.

use signer_server::audit::{Entry, Filter, MAX_PAGE};

use super::*;

async fn settled(protection: &SlashingProtection, filter: &Filter) -> Vec<Entry> {
    // Rows that a batch has taken are not counted as waiting, until it is written.
    while protection.audit().waiting_rows() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    protection.read_audit(filter).await.unwrap().entries
}

fn all() -> Filter {
    Filter { limit: MAX_PAGE, ..Filter::default() }
}

#[tokio::test]
async fn every_request_leaves_one_row_and_pages_miss_none() {
    let database = database().await;
    let named =
        |instance: &str| OpenOptions { instance: instance.to_owned(), ..options(&database.url()) };
    let one = SlashingProtection::open(named("one")).await.unwrap();
    let other = SlashingProtection::open(named("other")).await.unwrap();
    one.register(&[key(0)]).await.unwrap();
    assert_eq!(said(&one, 0, &attestation(1, 2, 1)).await, "new");
    assert_eq!(said(&other, 0, &attestation(1, 2, 1)).await, "repeat");
    assert_eq!(said(&other, 0, &attestation(1, 2, 2)).await, "double_vote");
    for number in 0..30 {
        let signer = if number % 2 == 0 { &one } else { &other };
        // A name with a character that the database's texts can't hold.
        let ticket = signer.audit().begin(Client::default(), &format!("a\0{number}"));
        ticket.finish(Outcome::UnknownKey, None);
    }
    one.close().await.unwrap();
    let mut rows = settled(&other, &all()).await;
    while rows.len() < 33 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rows = settled(&other, &all()).await;
    }
    assert_eq!(rows.len(), 33);
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first, none twice");
    for instance in ["one", "other"] {
        // Between two signers the clock's last microsecond may lie either way.
        let own = rows.iter().filter(|row| &*row.instance == instance);
        let times: Vec<i64> = own.map(|row| row.received_at_us).collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older), "ids ascend with time");
    }
    assert!(rows.iter().any(|row| row.identifier.as_deref() == Some("a\u{fffd}29")));
    assert_eq!(rows.iter().filter(|row| &*row.instance == "one").count(), 16);
    let outcomes: Vec<Outcome> = rows[30..].iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Repeated, Outcome::Signed]);
    assert_eq!(rows[32].reason, None, "the row of the record was completed");

    let mut paged = Vec::new();
    let mut before_id = None;
    loop {
        let filter = Filter { limit: 7, before_id, ..Filter::default() };
        let page = other.read_audit(&filter).await.unwrap();
        paged.extend(page.entries.iter().map(|row| row.id));
        before_id = page.next_before_id;
        if before_id.is_none() {
            break;
        }
    }
    assert_eq!(paged, ids);
    let of_key = Filter { key: Some(key(0)), ..all() };
    assert_eq!(other.read_audit(&of_key).await.unwrap().entries.len(), 3);
    let signed = Filter { outcome: Some(Outcome::Signed), ..all() };
    assert_eq!(other.read_audit(&signed).await.unwrap().entries.len(), 1);
}
