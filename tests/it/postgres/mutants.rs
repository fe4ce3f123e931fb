//! The functions of the schema, each weakened in one place, in a database of its own: for every
//! weakness that has cost signers a slashing or a stop, a check that fails on it and holds on the
//! real function.

use midslot_tests::released::{Vote, slashable_votes};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::*;
use crate::both_databases::{Place, histories};

/// A function of the schema and what becomes of its text.
struct Mutant {
    name: &'static str,
    function: &'static str,
    /// Passages, each of which occurs once, and what takes their place.
    changes: &'static [(&'static str, &'static str)],
}

const FLOOR_ITSELF_ALLOWED: Mutant = Mutant {
    name: "the floor itself is allowed",
    function: "sp_attest_by_history",
    changes: &[("tgt <= floor_target", "tgt < floor_target")],
};
const NO_FLOORS: Mutant = Mutant {
    name: "floors are not looked at",
    function: "sp_attest_by_history",
    changes: &[("tgt <= floor_target OR src < floor_source", "false")],
};
const REPEAT_BY_ROOT_ALONE: Mutant = Mutant {
    name: "a repeat is told by its root alone",
    function: "sp_attest_by_history",
    changes: &[("earlier.source_epoch = src AND earlier.signing_root", "earlier.signing_root")],
};
const FLOORS_NEVER_SET: Mutant = Mutant {
    name: "the first vote sets no floor",
    function: "sp_attest",
    changes: &[
        ("CASE WHEN s.floor_source < 0 THEN r.src ELSE s.floor_source END", "s.floor_source"),
        ("CASE WHEN s.floor_target < 0 THEN r.tgt ELSE s.floor_target END", "s.floor_target"),
    ],
};
const SOURCE_OF_SHORT_WAY_IGNORED: Mutant = Mutant {
    name: "the short way looks at the target alone",
    function: "sp_attest",
    changes: &[("t.src >= s.max_source AND t.src >= s.floor_source", "true")],
};
const BLOCK_FLOOR_ITSELF_ALLOWED: Mutant = Mutant {
    name: "the floor itself is allowed for blocks",
    function: "sp_block",
    changes: &[("t.slot <= s.floor_slot THEN 4", "t.slot < s.floor_slot THEN 4")],
};

/// Locks and judges in one statement: it sees the history as it was before it waited.
const ONE_STATEMENT: [Mutant; 2] = [
    Mutant {
        name: "one statement locks and judges",
        function: "sp_attest",
        changes: &[
            (
                "PERFORM FROM att_state s WHERE s.validator_id = ANY (vids)\n    \
                 ORDER BY s.validator_id FOR NO KEY UPDATE;",
                "",
            ),
            (
                "WITH r AS MATERIALIZED (",
                "WITH locked AS MATERIALIZED (SELECT * FROM att_state s \
                 WHERE s.validator_id = ANY (vids) ORDER BY s.validator_id FOR NO KEY UPDATE), \
                 r AS MATERIALIZED (",
            ),
            ("LEFT JOIN att_state s ON", "LEFT JOIN locked s ON"),
        ],
    },
    Mutant {
        name: "the history is part of that statement",
        function: "sp_attest_by_history",
        changes: &[("LANGUAGE plpgsql", "LANGUAGE plpgsql STABLE")],
    },
];

/// Locks in the order in which the keys came.
const LOCKS_AS_THEY_COME: Mutant = Mutant {
    name: "locks are taken in any order",
    function: "sp_attest",
    changes: &[(
        "PERFORM FROM att_state s WHERE s.validator_id = ANY (vids)\n    ORDER BY s.validator_id",
        "PERFORM FROM att_state s WHERE s.validator_id = ANY (vids)\n    \
         ORDER BY array_position(vids, s.validator_id)",
    )],
};

/// Puts a weakened function in place of the real one, whose text it gives back.
async fn weaken(connection: &mut PgConnection, mutant: &Mutant) -> String {
    let Mutant { name, function, changes } = mutant;
    let real: String = sqlx::query_scalar("SELECT pg_get_functiondef($1::text::regproc)")
        .bind(*function)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let mut text = real.clone();
    for (passage, weaker) in *changes {
        assert_eq!(text.matches(passage).count(), 1, "{name}: {passage:?} in\n{text}");
        text = text.replace(passage, weaker);
    }
    connection.execute(AssertSqlSafe(text)).await.unwrap();
    real
}

/// A database with the schema, of which these functions are weakened.
async fn database_with(mutants: &[Mutant]) -> TestDatabase {
    let database = database().await;
    open(&database.url()).await.close().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    for mutant in mutants {
        weaken(&mut connection, mutant).await;
    }
    database
}

/// Some answer in the random lives is not that of the plain rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weakened_rules_are_noticed() {
    let database = database_with(&[]).await;
    let mut connection = database.connect().await.unwrap();
    let place = Place::Postgres(database);
    let mutants = [
        FLOOR_ITSELF_ALLOWED,
        NO_FLOORS,
        REPEAT_BY_ROOT_ALONE,
        FLOORS_NEVER_SET,
        SOURCE_OF_SHORT_WAY_IGNORED,
        BLOCK_FLOOR_ITSELF_ALLOWED,
    ];
    let mut first_key = 0;
    for mutant in mutants {
        let real = weaken(&mut connection, &mutant).await;
        let lives = histories::live(&place, first_key, |life| life < 60).await;
        assert!(lives.disagreement.is_some(), "not noticed: {}", mutant.name);
        connection.execute(AssertSqlSafe(real)).await.unwrap();
        first_key += 100;
    }
    let lives = histories::live(&place, first_key, |life| life < 3).await;
    assert_eq!(lives.disagreement, None, "the real functions are back");
}

/// The ids of keys 0 to `count` - 1, ascending.
async fn registered(database: &TestDatabase, count: u32) -> Vec<i32> {
    let protection = open(&database.url()).await;
    let keys: Vec<PublicKey> = (0..count).map(key).collect();
    protection.register(&keys).await.unwrap();
    // Pins the chain.
    assert_eq!(said(&protection, 0, &attestation(1, 1, 1)).await, "new");
    protection.close().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    sqlx::query_scalar("SELECT id FROM validator ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

/// One vote of each of these keys in one batch; the verdicts.
async fn attest(
    connection: &mut PgConnection,
    keys: &[i32],
    source: u64,
    target: u64,
    root: u8,
) -> Result<Vec<i16>, sqlx::Error> {
    let number = |number: u64| i64::try_from(number).unwrap();
    sqlx::query_scalar("SELECT verdict FROM sp_attest($1, $2, $3, $4, $5, false)")
        .bind(keys)
        .bind(vec![number(source); keys.len()])
        .bind(vec![number(target); keys.len()])
        .bind(vec![vec![root; 32]; keys.len()])
        .bind(vec![CHAIN.0.to_vec(); keys.len()])
        .fetch_all(connection)
        .await
}

/// Waits until this many sessions of the database wait for a lock.
async fn until_waiting(database: &TestDatabase, sessions: i64) {
    let mut observer = database.superuser().await.unwrap();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut observer)
        .await
        .unwrap();
        if waiting >= sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Two votes of one key of which the second arrives while the first is not yet committed. What both
/// released.
async fn overlapping_votes(database: &TestDatabase) -> Vec<Vote> {
    let keys = registered(database, 2).await;
    let outer = Vote { key: 1, source: 3, target: 10, root: 1 };
    let inner = Vote { key: 1, source: 5, target: 8, root: 2 };
    let mut first = database.connect().await.unwrap();
    let mut second = database.connect().await.unwrap();
    let mut released = Vec::new();
    // Sets the floors below both.
    assert_eq!(attest(&mut first, &keys[1..], 1, 2, 1).await.unwrap(), [1]);
    let mut transaction = first.begin().await.unwrap();
    let verdicts = attest(&mut transaction, &keys[1..], outer.source, outer.target, 1).await;
    assert_eq!(verdicts.unwrap(), [1]);
    released.push(outer);
    let key = keys[1];
    let waiting = tokio::spawn(async move {
        attest(&mut second, &[key], inner.source, inner.target, 2).await.unwrap()
    });
    until_waiting(database, 1).await;
    transaction.commit().await.unwrap();
    if waiting.await.unwrap() == [1] {
        released.push(inner);
    }
    released
}

#[tokio::test]
async fn votes_that_overlap_in_time_need_two_statements() {
    let real = overlapping_votes(&database().await).await;
    assert_eq!(slashable_votes(&real), None);
    assert_eq!(real.len(), 1);
    let weak = overlapping_votes(&database_with(&ONE_STATEMENT).await).await;
    assert!(slashable_votes(&weak).is_some(), "one statement was as good: {weak:?}");
}

/// Two batches of the same keys, the second in the opposite order. Both have begun to lock before
/// either has all of its keys. How many deadlocks the server had to break.
async fn opposite_batches(database: &TestDatabase) -> usize {
    let ascending = registered(database, 9).await;
    let descending: Vec<i32> = ascending.iter().rev().copied().collect();
    // Both come as far as the key in the middle.
    let mut holder = database.connect().await.unwrap();
    let mut hold = holder.begin().await.unwrap();
    sqlx::query("SELECT FROM att_state WHERE validator_id = $1 FOR UPDATE")
        .bind(ascending[4])
        .execute(&mut *hold)
        .await
        .unwrap();
    let batches = [(ascending, 1), (descending, 2)];
    let mut tasks = Vec::new();
    for (place, (keys, root)) in batches.into_iter().enumerate() {
        let mut connection = database.connect().await.unwrap();
        tasks.push(tokio::spawn(async move { attest(&mut connection, &keys, 2, 3, root).await }));
        until_waiting(database, i64::try_from(place).unwrap() + 1).await;
    }
    hold.rollback().await.unwrap();
    let (mut deadlocks, mut winners) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(verdicts) => winners += usize::from(verdicts == [1; 9]),
            Err(error) => {
                let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
                assert_eq!(code.as_deref(), Some("40P01"), "{error}");
                deadlocks += 1;
            }
        }
    }
    assert_eq!(winners, 1, "one of both batches wins");
    deadlocks
}

#[tokio::test]
async fn batches_in_opposite_orders_need_ordered_locks() {
    assert_eq!(opposite_batches(&database().await).await, 0);
    let weak = database_with(&[LOCKS_AS_THEY_COME]).await;
    assert_eq!(opposite_batches(&weak).await, 1, "any order was as good");
}
