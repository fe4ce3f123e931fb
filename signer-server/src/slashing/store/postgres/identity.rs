//! Whether the server that answers is the one that answered before, and knows all it knew.
//!
//! A restored backup, a replaced volume and a standby that was promoted without the last records
//! all answer as if nothing had happened. Each shows in one of five values: the cluster's system
//! identifier, its timeline, the identity of our database in it, the server's number for our table,
//! and the transaction counter. They are compared at every new connection, from time to time on
//! those that stay, and at a start with what the markers remember.

use std::cmp::Ordering;

use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::slashing::{
    StoreError,
    marker::{History, Identity, Marker, Memory, Server},
    store::{HighWatermark, RolledBack, rows::high_watermark},
};

/// A durable write, and what the server says about itself and our tables beside it.
const PROBE: &str = "UPDATE sp_meta SET one = one \
     RETURNING cluster::text AS cluster, high_epoch, high_slot, txid_current() AS xid, \
     tableoid::bigint AS number, (SELECT count(to_regclass(name)) FROM unnest(ARRAY['validator', \
     'att_state', 'blk_state', 'signed_attestation', 'signed_block']) AS name) AS tables";

/// Tables that a probe looks for.
const TABLES: i64 = 5;

/// Needs no rights; engines that are no PostgreSQL lack these functions. The name of the log file
/// begins with the timeline in eight digits.
const HISTORY: &str = "SELECT system_identifier::text AS system, \
     left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline FROM pg_control_system()";

/// An answer to a probe.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) identity: Identity,
    pub(super) high_watermark: Option<HighWatermark>,
    /// The probe's own transaction. It is durable now, so the counter never goes below it.
    pub(super) xid: i64,
}

impl Probe {
    /// Proves that a record could be written now, and asks who answers.
    pub(super) async fn take(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let history = history(connection).await?;
        let row = match sqlx::query(PROBE).fetch_optional(connection).await {
            Ok(row) => row.ok_or(RolledBack::TablesLost)?,
            // undefined_table
            Err(error) if has_code(&error, &["42P01"]) => {
                return Err(RolledBack::TablesLost.into());
            }
            Err(error) => return Err(error.into()),
        };
        if row.try_get::<i64, _>("tables")? != TABLES {
            return Err(RolledBack::TablesLost.into());
        }
        let server = Server { table: row.try_get("number")?, history };
        Ok(Self {
            identity: Identity { cluster: cluster(&row)?, server: Some(server) },
            high_watermark: high_watermark(&row)?,
            xid: row.try_get("xid")?,
        })
    }

    /// Whether the server tells of restores and fail-overs.
    pub(super) fn tells_history(&self) -> bool {
        self.identity.server.as_ref().is_some_and(|server| server.history.is_some())
    }

    /// Compares with what was there at the start and was durable since.
    pub(super) fn check(&self, expected: &Identity, durable_xid: i64) -> Result<(), RolledBack> {
        if self.identity.cluster != expected.cluster {
            let (expected, found) = (expected.cluster, self.identity.cluster);
            return Err(RolledBack::AnotherDatabase { expected, found });
        }
        let (expected_history, expected_table) = parts(expected);
        let (history, table) = parts(&self.identity);
        if history != expected_history {
            let (expected, found) = (texts(expected_history), texts(history));
            return Err(if expected.0 == found.0 {
                RolledBack::AnotherTimeline { expected: expected.1, found: found.1 }
            } else {
                RolledBack::AnotherServer { expected: expected.0, found: found.0 }
            });
        }
        if let Some((expected, found)) = expected_table.zip(table)
            && expected != found
        {
            return Err(RolledBack::AnotherTable { expected, found });
        }
        match self.xid.cmp(&durable_xid) {
            Ordering::Greater => Ok(()),
            _ => Err(RolledBack::TransactionsLost { durable: durable_xid, found: self.xid }),
        }
    }

    /// Compares with what a marker remembers, as far as it does.
    pub(super) fn check_marker(&self, marker: &Marker) -> Result<(), RolledBack> {
        let Memory { identity, transactions, halted } = &marker.memory;
        let server = identity.server.clone().or_else(|| self.identity.server.clone());
        let expected = Identity { cluster: identity.cluster, server };
        self.check(&expected, i64::try_from(*transactions).unwrap_or(i64::MAX))?;
        match halted {
            Some(reason) => Err(RolledBack::HaltedBefore { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

/// What a batch asks beside its answers, in the same statement: identity and number that are not
/// those of the parameters with these numbers.
macro_rules! other_identity {
    ($cluster:literal, $table:literal) => {
        concat!(
            "NULLIF((SELECT cluster FROM sp_meta), $",
            $cluster,
            "::uuid)::text AS other_cluster, NULLIF((SELECT tableoid::bigint FROM sp_meta), $",
            $table,
            "::bigint) AS other_table"
        )
    };
}
pub(super) use other_identity;

/// The parameters of [`other_identity`].
pub(super) fn parameters(expected: &Identity) -> (String, Option<i64>) {
    (expected.cluster.to_string(), parts(expected).1)
}

/// Reads the columns of [`other_identity`]. Only another connection's probe asks for the history.
pub(super) fn check_beside_answer(row: &PgRow, expected: &Identity) -> Result<(), StoreError> {
    if let Some(found) = row.try_get::<Option<&str>, _>("other_cluster")? {
        let impossible = StoreError::ImpossibleValue { column: "cluster" };
        let found = found.parse().map_err(|_| impossible)?;
        return Err(RolledBack::AnotherDatabase { expected: expected.cluster, found }.into());
    }
    match (parts(expected).1, row.try_get("other_table")?) {
        (Some(expected), Some(found)) => Err(RolledBack::AnotherTable { expected, found }.into()),
        _ => Ok(()),
    }
}

fn parts(identity: &Identity) -> (Option<&History>, Option<i64>) {
    let server = identity.server.as_ref();
    (server.and_then(|server| server.history.as_ref()), server.map(|server| server.table))
}

fn texts(history: Option<&History>) -> (String, String) {
    match history {
        Some(History { system, timeline }) => (system.clone(), timeline.clone()),
        None => ("unknown".to_owned(), "unknown".to_owned()),
    }
}

async fn history(connection: &mut PgConnection) -> Result<Option<History>, StoreError> {
    match sqlx::query(HISTORY).fetch_one(connection).await {
        Ok(row) => {
            let (system, timeline) = (row.try_get("system")?, row.try_get("timeline")?);
            Ok(Some(History { system, timeline }))
        }
        // undefined_function, insufficient_privilege, feature_not_supported
        Err(error) if has_code(&error, &["42883", "42501", "0A000"]) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| codes.contains(&code.as_ref()))
}

pub(super) fn cluster(row: &PgRow) -> Result<Uuid, StoreError> {
    let text: &str = row.try_get("cluster")?;
    text.parse().map_err(|_| StoreError::ImpossibleValue { column: "cluster" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: u128, system: &str, timeline: &str, table: i64) -> Identity {
        let history = History { system: system.to_owned(), timeline: timeline.to_owned() };
        let server = Some(Server { table, history: Some(history) });
        Identity { cluster: Uuid::from_u128(cluster), server }
    }

    fn probe(identity: Identity, xid: i64) -> Probe {
        Probe { identity, high_watermark: None, xid }
    }

    #[test]
    fn every_step_back_has_its_name() {
        let first = identity(1, "7", "00000001", 5);
        let check = |later: Identity, xid| probe(later, xid).check(&first, 10);
        assert_eq!(check(first.clone(), 11), Ok(()));
        assert!(matches!(
            check(identity(2, "7", "00000001", 5), 11),
            Err(RolledBack::AnotherDatabase { .. })
        ));
        assert!(matches!(
            check(identity(1, "8", "00000002", 5), 11),
            Err(RolledBack::AnotherServer { .. })
        ));
        assert!(matches!(
            check(identity(1, "7", "00000002", 5), 11),
            Err(RolledBack::AnotherTimeline { .. })
        ));
        assert!(matches!(
            check(identity(1, "7", "00000001", 6), 11),
            Err(RolledBack::AnotherTable { expected: 5, found: 6 })
        ));
        let lost = RolledBack::TransactionsLost { durable: 10, found: 10 };
        assert_eq!(check(first.clone(), 10), Err(lost));
        let mute = Identity { server: Some(Server { table: 5, history: None }), ..first.clone() };
        assert!(matches!(check(mute, 11), Err(RolledBack::AnotherServer { .. })));
    }

    #[test]
    fn markers_are_believed_as_far_as_they_tell() {
        let found = probe(identity(1, "7", "00000002", 5), 11);
        let marker = |identity, transactions| {
            let memory = Memory { identity, transactions, halted: None };
            Marker { path: "m".into(), memory }
        };
        let of_earlier_version = Identity::of_file(Uuid::from_u128(1));
        assert_eq!(found.check_marker(&marker(of_earlier_version.clone(), 0)), Ok(()));
        assert!(matches!(
            found.check_marker(&marker(of_earlier_version, 11)),
            Err(RolledBack::TransactionsLost { .. })
        ));
        assert!(matches!(
            found.check_marker(&marker(identity(1, "7", "00000001", 5), 3)),
            Err(RolledBack::AnotherTimeline { .. })
        ));
        assert_eq!(found.check_marker(&marker(found.identity.clone(), 10)), Ok(()));
        assert!(found.check_marker(&marker(found.identity.clone(), u64::MAX)).is_err());
        let mut halted = marker(found.identity.clone(), 10);
        halted.memory.halted = Some("lost".to_owned());
        let before = RolledBack::HaltedBefore { reason: "lost".to_owned() };
        assert_eq!(found.check_marker(&halted), Err(before));
    }
}
