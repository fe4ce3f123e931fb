//! Pruning killed at every point: what is gone is forbidden by the floors, and these never fall.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::Signer;
use sqlx::{Connection, Row};

use super::*;

const KEYS: u64 = 3;
const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
/// Targets of each key in one life: more than two partitions of PostgreSQL.
const TARGETS: u64 = 500;
/// How long a start with its pruning may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the database says of one key.
#[derive(Clone, Copy, Debug)]
struct Key {
    floor_source: i64,
    floor_target: i64,
    floor_slot: i64,
    lowest_target: i64,
    records: i64,
    lowest_slot: i64,
    blocks: i64,
}

/// The same on both databases.
const KEYS_SQL: &str = "SELECT s.validator_id, s.floor_source, s.floor_target, b.floor_slot, \
     (SELECT min(target_epoch) FROM signed_attestation a \
        WHERE a.validator_id = s.validator_id AND a.target_epoch >= $1) AS lowest_target, \
     (SELECT count(*) FROM signed_attestation a \
        WHERE a.validator_id = s.validator_id AND a.target_epoch >= $1) AS records, \
     (SELECT min(slot) FROM signed_block a \
        WHERE a.validator_id = s.validator_id AND a.slot >= $1 * 32) AS lowest_slot, \
     (SELECT count(*) FROM signed_block a \
        WHERE a.validator_id = s.validator_id AND a.slot >= $1 * 32) AS blocks \
     FROM att_state s JOIN blk_state b ON b.validator_id = s.validator_id";

/// Reads a row of [`KEYS_SQL`], whose numbers are of other widths in either database.
macro_rules! keys_of {
    ($rows:expr, $id:ty) => {
        $rows
            .iter()
            .map(|row| {
                let number = |name: &str| -> i64 { row.get(name) };
                let id: $id = row.get("validator_id");
                let key = Key {
                    floor_source: number("floor_source"),
                    floor_target: number("floor_target"),
                    floor_slot: number("floor_slot"),
                    lowest_target: number("lowest_target"),
                    records: number("records"),
                    lowest_slot: number("lowest_slot"),
                    blocks: number("blocks"),
                };
                (i64::from(id), key)
            })
            .collect()
    };
}

/// All keys, with their records from this target on.
async fn read(
    options: &SignerOptions,
    database: Option<&TestDatabase>,
    from: u64,
) -> BTreeMap<i64, Key> {
    let from = i64::try_from(from).unwrap();
    if let Some(database) = database {
        let mut connection = database.connect().await.unwrap();
        let rows = sqlx::query(KEYS_SQL).bind(from).fetch_all(&mut connection).await.unwrap();
        return keys_of!(rows, i32);
    }
    let file = options.data_folder().join("slashing-protection.sqlite");
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::SqliteConnection::connect_with(&file).await.unwrap();
    let rows = sqlx::query(KEYS_SQL).bind(from).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    keys_of!(rows, i64)
}

/// What is missing of the life's records lies below the floors. Returns how many there are.
fn check_floors(keys: &BTreeMap<i64, Key>, first: u64) -> i64 {
    let first = i64::try_from(first).unwrap();
    assert_eq!(keys.len() as u64, KEYS);
    for key in keys.values() {
        assert_eq!(
            key.records,
            first + TARGETS.cast_signed() - key.lowest_target,
            "a gap: {key:?}"
        );
        assert_eq!(key.blocks, first + TARGETS.cast_signed() - key.lowest_slot / 32, "{key:?}");
        if key.lowest_target > first {
            assert!(key.floor_target >= key.lowest_target - 1, "{key:?}");
            assert!(key.floor_source >= key.lowest_target - 2, "{key:?}");
        }
        if key.lowest_slot > first * 32 {
            assert!(key.floor_slot >= key.lowest_slot - 32, "{key:?}");
        }
    }
    keys.values().map(|key| key.records + key.blocks).sum()
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

/// Imports the records of a life and lets a signer prune them until it has done so or is killed.
async fn life(options: &mut SignerOptions, watch: &Watch, first: u64) -> SystemCalls {
    let path = options.folder.path().join("life.json");
    std::fs::write(&path, interchange(0..KEYS, first..first + TARGETS)).unwrap();
    let ended = command(options, &["import", &format!("--from={}", path.display())]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);

    let calls = SystemCalls::watch(options, watch);
    let runs = |options: &SignerOptions| options.log().matches("pruned the slashing").count();
    let before = runs(options);
    // From the first call of the process on.
    calls.arm();
    let mut process = options.spawn_alone(&options.command_line(&[])).unwrap();
    let start = Instant::now();
    while runs(options) == before && process.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "{}", options.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill().await.unwrap();
    SystemCalls::forget(options);
    calls
}

/// The number of the call with which the pruning of a life begins.
async fn beginning(options: &mut SignerOptions, backend: Backend, kind: Kind) -> u64 {
    let calls = life(options, &Watch { with_bytes: true, kill: None }, 1_000).await;
    let mut calls = calls.records();
    calls.retain(|record| record.kind == kind);
    let place = match backend {
        // Its turn.
        Backend::Postgres => calls.iter().position(|call| call.holds(b"pg_try_advisory_lock")),
        // The start writes the small things that come before.
        Backend::Sqlite => Some(0),
    };
    1 + place.expect("pruning begins") as u64
}

async fn pruning_forgets_nothing_it_has_not_forbidden(backend: Backend, step: u64) {
    let (mut options, database) = folders(backend, KEYS).await;
    for option in ["enabled=true", "at-boot-enabled=true", "epochs-to-keep=10"] {
        options.eth2.push(format!("--slashing-protection-pruning-{option}"));
    }
    let moment = Moment::Before;
    let kind = if backend == Backend::Sqlite { Kind::Write } else { Kind::Send };
    let mut sweep = Sweep::new(Some(kind), moment, step);
    sweep.at = beginning(&mut options, backend, kind).await;
    let all = (2 * KEYS * TARGETS).cast_signed();
    let (mut first, mut kills, mut untouched, mut in_between) = (2_000, 0, 0, 0);
    let mut floors: BTreeMap<i64, Key> = BTreeMap::new();
    let done = loop {
        let calls = life(&mut options, &sweep.as_watch(), first).await;
        let killed_at = calls.killed_at();
        let keys = read(&options, database.as_ref(), first).await;
        let left = check_floors(&keys, first);
        for (id, before) in &floors {
            let now = keys[id];
            assert!(now.floor_source >= before.floor_source, "{before:?} {now:?}");
            assert!(now.floor_target >= before.floor_target, "{before:?} {now:?}");
            assert!(now.floor_slot >= before.floor_slot, "{before:?} {now:?}");
        }
        floors = keys;
        if killed_at.is_none() {
            break left;
        }
        kills += 1;
        if left == all {
            untouched += 1;
        } else {
            in_between += 1;
        }
        sweep.advance();
        first += 1_000;
    };
    println!(
        "{backend:?}: killed {kills} times, {untouched} before anything went; {done} are kept"
    );
    assert!(done < all, "nothing was pruned");
    assert!(untouched > 0 && in_between > 0, "{untouched} and {in_between} of {kills} kills");

    options.eth2.clear();
    if let Some(database) = &database {
        options = options.on_postgres(database);
    }
    let signer = options.start().await.unwrap();
    let last = first + TARGETS - 1;
    for key in 0..KEYS {
        for vote in [(first + 2, first + 3), (first + 1, last + 1), (last - 1, last)] {
            let vote = requests::attestation(vote.0, vote.1, 1);
            assert_eq!(status(&signer, key, &vote).await, REFUSED, "{vote}");
        }
        assert_eq!(status(&signer, key, &requests::block(first * 32, 1)).await, REFUSED);
        assert_eq!(status(&signer, key, &requests::attestation(last, last + 1, 1)).await, OK);
        assert_eq!(status(&signer, key, &requests::block(last * 32 + 1, 1)).await, OK);
    }
}

#[tokio::test]
async fn pruning_killed_at_any_write_forgets_nothing_on_sqlite() {
    pruning_forgets_nothing_it_has_not_forbidden(Backend::Sqlite, 13).await;
}

#[tokio::test]
async fn pruning_killed_at_any_statement_forgets_nothing_on_postgres() {
    pruning_forgets_nothing_it_has_not_forbidden(Backend::Postgres, 2).await;
}
