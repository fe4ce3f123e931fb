//! The audit trail of clearances, up to a killed process.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use super::*;
use crate::audit::UNCONFIRMED;

#[tokio::test]
async fn every_ticket_leaves_one_row_with_its_outcome() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    sign(&protection, key(1), &attestation(3, 4, 2)).await.unwrap_err();
    sign(&protection, key(1), &randao()).await.unwrap();
    protection.audit().begin(Client::default(), "12345").finish(Outcome::UnknownKey, None);
    drop(protection.audit().begin(Client::default(), "67890"));
    // Cleared and then abandoned.
    let mut ticket = protection.audit().begin(Client::default(), "");
    protection.clear(&key(2), &attestation(3, 4, 1), &mut ticket).await.unwrap();
    drop(ticket);

    let rows = settled_audit_rows(&protection).await;
    let outcomes: Vec<_> = rows.iter().rev().map(|row| row.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Signed,
            Outcome::Repeated,
            Outcome::Refused,
            Outcome::Signed,
            Outcome::UnknownKey,
            Outcome::Abandoned,
            Outcome::Abandoned
        ]
    );
    let signed = &rows[6];
    assert_eq!((signed.key, signed.epoch), (Some(key(1)), Some(Epoch(4))));
    assert_eq!((signed.duty_type, &signed.reason), (Some(DutyType::Attestation), &None));
    assert_eq!(signed.bls_us, Some(400));
    assert!(signed.database_us.is_some());
    assert!(rows[4].reason.as_ref().unwrap().contains("double vote"));
}

#[tokio::test]
async fn audit_is_read_by_page_and_filter() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    for target in 2..12 {
        sign(&protection, key(1), &attestation(1, target, 1)).await.unwrap();
        sign(&protection, key(2), &randao()).await.unwrap();
    }
    settled_audit_rows(&protection).await;
    let mut filter = Filter { limit: 8, key: Some(key(1)), ..Filter::default() };
    let first = protection.read_audit(&filter).await.unwrap();
    filter.before_id = first.next_before_id;
    let second = protection.read_audit(&filter).await.unwrap();
    assert_eq!((first.entries.len(), second.entries.len()), (8, 2));
    assert_eq!(second.next_before_id, None);
    let mut ids: Vec<i64> = first.entries.iter().chain(&second.entries).map(|row| row.id).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older));
    ids.dedup();
    assert_eq!(ids.len(), 10);

    let count = async |filter: Filter| protection.read_audit(&filter).await.unwrap().entries.len();
    let all = Filter { limit: 100, ..Filter::default() };
    assert_eq!(count(Filter { duty_type: Some(DutyType::RandaoReveal), ..all.clone() }).await, 10);
    assert_eq!(count(Filter { outcome: Some(Outcome::Signed), ..all.clone() }).await, 20);
    assert_eq!(count(Filter { outcome: Some(Outcome::Refused), ..all.clone() }).await, 0);
    assert_eq!(count(Filter { limit: 0, ..all }).await, 0);
}

/// The files as a killed process leaves them.
fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn record_and_audit_row_are_on_disk_before_the_signature_can_leave() {
    let (folders, after_kill) = (Folders::new(), Folders::new());
    let protection = folders.ready().await;
    let mut ticket = protection.audit().begin(Client::default(), "");
    let duty = attestation(3, 4, 1);
    let cleared = protection.clear(&key(1), &duty, &mut ticket).await.unwrap();
    copy_files(folders.data.path(), after_kill.data.path());
    drop((cleared, ticket));

    let protection = after_kill.open().await.unwrap();
    let rows = audit_rows(&protection).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].outcome, Outcome::Signed);
    assert_eq!(rows[0].reason.as_deref(), Some(UNCONFIRMED));
    assert_eq!((rows[0].key, rows[0].signing_root), (Some(key(1)), Some(duty.signing_root)));
    assert!(sign(&protection, key(1), &duty).await.unwrap().is_repeat());
    assert!(sign(&protection, key(1), &attestation(3, 4, 2)).await.is_err());
    // The row of the killed process keeps its id for itself.
    assert_eq!(settled_audit_rows(&protection).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_rows_and_votes_get_their_turn_beside_each_other() {
    const ROWS: usize = 20_000;
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(1, 2, 1)).await.unwrap();
    for number in 0..ROWS {
        protection
            .audit()
            .begin(Client::default(), &number.to_string())
            .finish(Outcome::Shed, None);
    }
    // Votes without a pause, so that the lane is never idle.
    let start = Instant::now();
    let mut waits = Vec::new();
    while protection.audit().waiting_rows() > crate::audit::WRITE_BATCH {
        let asked = Instant::now();
        let target = 3 + waits.len() as u64;
        sign(&protection, key(1), &attestation(1, target, 1)).await.unwrap();
        waits.push(asked.elapsed());
        assert!(start.elapsed() < Duration::from_mins(1), "audit rows starve");
    }
    waits.sort_unstable();
    let (count, slowest) = (waits.len(), waits[waits.len() - 1]);
    let p99 = waits[(count * 99 / 100).min(count - 1)];
    println!(
        "{ROWS} rows in {:?} beside {count} votes: p50 {:?}, p99 {p99:?}, slowest {slowest:?}",
        start.elapsed(),
        waits[count / 2]
    );
    assert!(slowest < Duration::from_secs(1), "votes wait for audit rows: {slowest:?}");
    assert_eq!(protection.audit().lost_rows(), 0);
}

#[tokio::test]
async fn pages_show_every_row_that_was_there_once_while_others_arrive() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    let arrive = |count: usize| {
        for _ in 0..count {
            protection.audit().begin(Client::default(), "a").finish(Outcome::Shed, None);
        }
    };
    arrive(500);
    let there: Vec<i64> = settled_audit_rows(&protection).await.iter().map(|row| row.id).collect();
    assert_eq!(there.len(), 500);
    let mut filter = Filter { limit: 7, ..Filter::default() };
    let mut read = Vec::new();
    loop {
        arrive(11);
        if filter.before_id.is_some_and(|before| before % 3 == 0) {
            settled_audit_rows(&protection).await;
        }
        let page = protection.read_audit(&filter).await.unwrap();
        read.extend(page.entries.iter().map(|row| row.id));
        filter.before_id = page.next_before_id;
        if page.next_before_id.is_none() {
            break;
        }
    }
    assert!(read.is_sorted_by(|newer, older| newer > older), "no row twice: {read:?}");
    read.retain(|id| there.contains(id));
    assert_eq!(read, there, "none missed");
}

#[tokio::test]
async fn rare_rows_are_found_beyond_many_others_and_no_page_looks_for_ever() {
    const ROWS: i64 = 2_500_000;
    let folders = Folders::new();
    let protection = folders.ready().await;
    protection.audit().begin(Client::default(), "needle").finish(Outcome::Forbidden, None);
    settled_audit_rows(&protection).await;
    protection.close().await.unwrap();
    // A wide gap of ids, as deleted rows leave it, is as much to look through as rows are.
    let url = format!("sqlite:{}", folders.database().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO audit (id, received_at, instance, outcome) VALUES ($1, 0, '', 'shed')",
    )
    .bind(ROWS)
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();

    let protection = folders.open().await.unwrap();
    let mut filter = Filter { limit: 10, outcome: Some(Outcome::Forbidden), ..Filter::default() };
    let first = protection.read_audit(&filter).await.unwrap();
    assert_eq!((first.entries.len(), first.next_before_id.is_some()), (0, true));
    filter.before_id = first.next_before_id;
    let second = protection.read_audit(&filter).await.unwrap();
    assert_eq!((second.entries.len(), second.next_before_id), (1, None));
}
