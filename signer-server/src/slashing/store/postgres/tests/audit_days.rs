//! Whole days of the audit go when every class has expired, rows of one class before that.

use super::*;
use crate::{
    audit::{Entry, Ids, Outcome, RowClass},
    duty::DutyType,
    slashing::store::audit_retention::AuditRetention,
};

const DAY_US: i64 = 86_400_000_000;

/// A row of each class in turn, one every six minutes: 240 a day, beginning with day 20,000.
fn entry(number: i64) -> Entry {
    let received_at_us = (20_000 * 240 + number) * DAY_US / 240;
    Entry {
        id: Ids::first_at(received_at_us) + 1,
        received_at_us,
        instance: "test".into(),
        client: crate::audit::Client::default(),
        key: None,
        identifier: None,
        duty_type: (number % 2 == 0).then_some(DutyType::Attestation),
        slot: None,
        epoch: None,
        signing_root: None,
        outcome: Outcome::Signed,
        reason: None,
        queue_us: None,
        database_us: None,
        bls_us: None,
    }
}

/// Deletes until nothing that has expired is left; says how many rows went.
async fn sweep(store: &mut PostgresStore, class: RowClass, day: i64) -> u64 {
    let mut deleted = 0;
    for _ in 0..1_000 {
        let swept = store.delete_expired_audit(class, (20_000 + day) * DAY_US).await.unwrap();
        deleted += swept.deleted;
        if swept.finished {
            return deleted;
        }
    }
    panic!("the sweep does not end");
}

const ROWS: &str = "SELECT count(*) FROM audit";
const DAYS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit'::regclass \
     AND inhrelid::regclass::text < 'audit_d20250101'";

#[tokio::test]
async fn expired_rows_go_class_by_class_and_whole_days_at_once() {
    let mut scene = Scene::new().await;
    let entries: Vec<Entry> = (0..2_400).map(entry).collect();
    for chunk in entries.chunks(500) {
        let chunk: Vec<&Entry> = chunk.iter().collect();
        scene.stores.general.write_audit(&chunk).await.unwrap();
    }
    assert_eq!((scene.number(ROWS).await, scene.number(DAYS).await), (2_400, 10));

    // Evidence is kept for ever, as far as the store knows.
    assert_eq!(sweep(&mut scene.stores.general, RowClass::Bulk, 8).await, 8 * 120);
    assert_eq!((scene.number(ROWS).await, scene.number(DAYS).await), (1_440, 10));
    assert_eq!(sweep(&mut scene.stores.general, RowClass::Evidence, 3).await, 3 * 120);
    assert_eq!((scene.number(ROWS).await, scene.number(DAYS).await), (1_080, 7));
    // Half a day goes by rows.
    let half = (20_000 * 2 + 17) * DAY_US / 2;
    for _ in 0..10 {
        scene.stores.general.delete_expired_audit(RowClass::Bulk, half).await.unwrap();
    }
    assert_eq!(scene.number(ROWS).await, 1_080 - 60);
    assert_eq!(sweep(&mut scene.stores.general, RowClass::Bulk, 9).await, 60);
    let left = "SELECT count(*) FROM audit WHERE duty_type IS NULL";
    assert_eq!(scene.number(left).await, 120);

    // A day that is being read goes row by row, and its table the next time.
    let mut reader = scene.database.connect().await.unwrap();
    let mut reading = sqlx::Connection::begin(&mut reader).await.unwrap();
    sqlx::query(ROWS).fetch_all(&mut *reading).await.unwrap();
    assert_eq!(sweep(&mut scene.stores.general, RowClass::Evidence, 5).await, 2 * 120);
    assert_eq!(scene.number(DAYS).await, 7);
    drop(reading);
    sqlx::Connection::close(reader).await.unwrap();
    sweep(&mut scene.stores.general, RowClass::Evidence, 5).await;
    assert_eq!(scene.number(DAYS).await, 5);
    assert_eq!(scene.number(ROWS).await, 5 * 120 + 120);
}
