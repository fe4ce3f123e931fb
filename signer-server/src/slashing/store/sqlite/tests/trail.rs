//! The audit trail: what SQL reads is what [`Filter::matches`] says, and what expires goes.

use std::net::IpAddr;

use super::*;
use crate::{
    audit::{Entry, Outcome, RowClass},
    duty::DutyType,
    slashing::store::audit_retention::AuditRetention,
};

const DAY_US: i64 = 86_400_000_000;

/// Small pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.below(2) == 0 { None } else { Some(value(self)) }
    }
}

const TYPES: [DutyType; 4] = [
    DutyType::Attestation,
    DutyType::BlockV2,
    DutyType::AggregationSlot,
    DutyType::ValidatorRegistration,
];
const OUTCOMES: [Outcome; 3] = [Outcome::Signed, Outcome::Refused, Outcome::Malformed];
const NAMES: [&str; 2] = ["teku-1", "10.0.0.1"];
const FINGERPRINTS: [&str; 2] = ["AB:CD", "ab:ce"];
const NUMBERS: [u64; 5] = [0, 1, 5, i64::MAX.cast_unsigned(), u64::MAX];

fn random_entry(random: &mut Random, id: i64) -> Entry {
    let address =
        |random: &mut Random| IpAddr::from([10, 0, 0, u8::try_from(random.below(3)).unwrap()]);
    Entry {
        id,
        received_at_us: random.below(10).cast_signed(),
        instance: "test".into(),
        client: Client {
            address: random.maybe(address),
            name: random.maybe(|random| random.one_of(&NAMES).into()),
            fingerprint: random.maybe(|random| random.one_of(&FINGERPRINTS).into()),
        },
        key: random.maybe(|random| PublicKey([u8::try_from(random.below(3)).unwrap(); 48])),
        identifier: None,
        duty_type: random.maybe(|random| random.one_of(&TYPES)),
        slot: random.maybe(|random| Slot(random.one_of(&NUMBERS))),
        epoch: random.maybe(|random| Epoch(random.one_of(&NUMBERS))),
        signing_root: None,
        outcome: random.one_of(&OUTCOMES),
        reason: None,
        queue_us: None,
        database_us: None,
        bls_us: None,
    }
}

fn random_filter(random: &mut Random) -> Filter {
    let range = |random: &mut Random| {
        let (a, b) = (random.one_of(&NUMBERS), random.one_of(&NUMBERS));
        a.min(b)..=a.max(b)
    };
    // Mostly few conditions, so that most filters match something.
    let mut some = |chance: u64| random.below(chance) == 0;
    let wanted: Vec<bool> = (0..9).map(|_| some(4)).collect();
    let mut wanted = wanted.into_iter();
    let mut if_wanted = || wanted.next().unwrap().then_some(());
    Filter {
        limit: 1_000,
        before_id: if_wanted().map(|()| random.below(400).cast_signed()),
        key: if_wanted().map(|()| PublicKey([u8::try_from(random.below(3)).unwrap(); 48])),
        client: if_wanted()
            .map(|()| random.one_of(&["teku-1", "10.0.0.1", "10.0.0.2", "ab:cd", "AB:CE"]).into()),
        duty_type: if_wanted().map(|()| random.one_of(&TYPES)),
        outcome: if_wanted().map(|()| random.one_of(&OUTCOMES)),
        since_us: if_wanted().map(|()| random.below(10).cast_signed()),
        until_us: if_wanted().map(|()| random.below(11).cast_signed()),
        slots: if_wanted().map(|()| range(random)),
        epochs: if_wanted().map(|()| range(random)),
    }
}

async fn write(store: &mut SqliteStore, entries: &[Entry]) {
    for chunk in entries.chunks(1_000) {
        store.write_audit(&chunk.iter().collect::<Vec<_>>()).await.unwrap();
    }
}

#[tokio::test]
async fn filters_mean_the_same_in_sql_and_in_rust() {
    let Scene { folder: _folder, mut store } = scene().await;
    let mut random = Random(1);
    let entries: Vec<Entry> = (1..=400).map(|id| random_entry(&mut random, id)).collect();
    write(&mut store, &entries).await;
    let mut found = 0;
    for _ in 0..600 {
        let filter = random_filter(&mut random);
        let expected: Vec<i64> = entries
            .iter()
            .rev()
            .filter(|entry| filter.matches(entry))
            .map(|entry| entry.id)
            .collect();
        let part = store.read_audit(&filter).await.unwrap();
        let ids: Vec<i64> = part.entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
        found += ids.len();
    }
    assert!(found > 10_000, "the filters let something through: {found}");
}

/// Deletes until nothing that has expired is left; says how many rows went.
async fn sweep(store: &mut SqliteStore, class: RowClass, cutoff_us: i64) -> u64 {
    let mut deleted = 0;
    for _ in 0..1_000 {
        let swept = store.delete_expired_audit(class, cutoff_us).await.unwrap();
        assert!(swept.deleted <= 1_000, "a step is short");
        deleted += swept.deleted;
        if swept.finished {
            return deleted;
        }
    }
    panic!("the sweep does not end");
}

/// The ids that are left, oldest first.
async fn ids(store: &mut SqliteStore) -> Vec<i64> {
    let connection = store.connection().unwrap();
    sqlx::query_scalar("SELECT id FROM audit ORDER BY id").fetch_all(connection).await.unwrap()
}

/// A row of each class in turn, one a minute: 1,440 a day.
fn aged(id: i64) -> Entry {
    let duty_type = if id % 2 == 0 { Some(DutyType::Attestation) } else { None };
    let received_at_us = id * DAY_US / 1_440;
    Entry { received_at_us, duty_type, ..random_entry(&mut Random(7), id) }
}

#[tokio::test]
async fn expired_rows_go_class_by_class_and_nothing_else() {
    let Scene { folder, mut store } = scene().await;
    store.clear_attestations(&[vote(1, 3, 4, 1)]).await.unwrap();
    sqlx::query("DELETE FROM audit").execute(store.connection().unwrap()).await.unwrap();
    // Ten days.
    let entries: Vec<Entry> = (1..=14_400).map(aged).collect();
    write(&mut store, &entries).await;
    let left = |bulk_us: i64, evidence_us: i64| -> Vec<i64> {
        let cutoff = |entry: &Entry| match RowClass::of(entry.duty_type) {
            RowClass::Evidence => evidence_us,
            RowClass::Bulk => bulk_us,
        };
        let kept = |entry: &&Entry| entry.received_at_us >= cutoff(entry) || entry.id == 14_400;
        entries.iter().filter(kept).map(|entry| entry.id).collect()
    };

    assert_eq!(sweep(&mut store, RowClass::Bulk, 8 * DAY_US).await, 8 * 720);
    assert_eq!(ids(&mut store).await, left(8 * DAY_US, 0));
    assert_eq!(sweep(&mut store, RowClass::Evidence, 2 * DAY_US).await, 2 * 720 - 1);
    assert_eq!(ids(&mut store).await, left(8 * DAY_US, 2 * DAY_US));
    // A later sweep goes on where the last one ended; so does one after a restart.
    assert_eq!(sweep(&mut store, RowClass::Bulk, 9 * DAY_US).await, 720);
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();
    assert_eq!(sweep(&mut store, RowClass::Evidence, 3 * DAY_US).await, 720);
    assert_eq!(ids(&mut store).await, left(9 * DAY_US, 3 * DAY_US));
    // The newest row stays, so that its id is not given out again.
    sweep(&mut store, RowClass::Bulk, 99 * DAY_US).await;
    sweep(&mut store, RowClass::Evidence, 99 * DAY_US).await;
    assert_eq!(ids(&mut store).await, [14_400]);
    let opened = store.clear_attestations(&[vote(1, 3, 4, 1)]).await.unwrap();
    assert_eq!(opened, [Decision::Repeat], "the records of slashing protection are as they were");
}

#[tokio::test]
async fn rows_of_a_wrong_clock_hold_up_no_sweep() {
    let Scene { folder: _folder, mut store } = scene().await;
    let mut entries: Vec<Entry> = (1..=14_400).map(aged).collect();
    // An hour in another century.
    for entry in &mut entries[3_000..3_060] {
        entry.received_at_us += 40_000 * DAY_US;
    }
    write(&mut store, &entries).await;
    assert_eq!(sweep(&mut store, RowClass::Bulk, 5 * DAY_US).await, 5 * 720 - 30);
    assert_eq!(sweep(&mut store, RowClass::Bulk, 6 * DAY_US).await, 720);
    assert_eq!(sweep(&mut store, RowClass::Bulk, 6 * DAY_US).await, 0);
}
