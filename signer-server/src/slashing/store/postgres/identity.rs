//! Whether the server that answers is the one that answered before, and knows all it knew.
//!
//! A restored backup, a replaced volume and a standby that was promoted without the last records
//! all answer as if nothing had happened. Each shows in one of four values: the cluster's system
//! identifier, its timeline, the identity of our database in it, and the transaction counter.

use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::rows::stored_number;
use crate::slashing::{
    StoreError,
    store::{HighWatermark, RolledBack},
};
use signer_client::wire::{Epoch, Slot};

/// A durable write, and what the server says about itself beside it.
const PROBE: &str = "UPDATE sp_meta SET one = one \
     RETURNING cluster::text AS cluster, high_epoch, high_slot, txid_current() AS xid";

/// Needs no rights; engines that are no PostgreSQL lack these functions. The name of the log file
/// begins with the timeline in eight digits.
const CLUSTER: &str = "SELECT system_identifier::text AS system, \
     left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline FROM pg_control_system()";

/// What must not change while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster: Uuid,
    /// Of the server, `None` when the engine tells none.
    pub(super) server: Option<(String, String)>,
}

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
        let server = server(connection).await?;
        let row = sqlx::query(PROBE).fetch_one(connection).await?;
        Ok(Self {
            identity: Identity { cluster: cluster(&row)?, server },
            high_watermark: high_watermark(&row)?,
            xid: row.try_get("xid")?,
        })
    }

    /// Compares with what was there at the start and was durable since.
    pub(super) fn check(&self, expected: &Identity, durable_xid: i64) -> Result<(), RolledBack> {
        if self.identity.cluster != expected.cluster {
            let (expected, found) = (expected.cluster, self.identity.cluster);
            return Err(RolledBack::AnotherDatabase { expected, found });
        }
        let none = || ("unknown".to_owned(), "unknown".to_owned());
        if self.identity.server != expected.server {
            let (system, timeline) = expected.server.clone().unwrap_or_else(none);
            let (found_system, found_timeline) = self.identity.server.clone().unwrap_or_else(none);
            return Err(if system == found_system {
                RolledBack::AnotherTimeline { expected: timeline, found: found_timeline }
            } else {
                RolledBack::AnotherServer { expected: system, found: found_system }
            });
        }
        if self.xid <= durable_xid {
            return Err(RolledBack::TransactionsLost { durable: durable_xid, found: self.xid });
        }
        Ok(())
    }
}

async fn server(connection: &mut PgConnection) -> Result<Option<(String, String)>, StoreError> {
    match sqlx::query(CLUSTER).fetch_one(connection).await {
        Ok(row) => Ok(Some((row.try_get("system")?, row.try_get("timeline")?))),
        // undefined_function, insufficient_privilege, feature_not_supported
        Err(error)
            if error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .is_some_and(|code| matches!(code.as_ref(), "42883" | "42501" | "0A000")) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn cluster(row: &PgRow) -> Result<Uuid, StoreError> {
    let text: &str = row.try_get("cluster")?;
    text.parse().map_err(|_| StoreError::ImpossibleValue { column: "cluster" })
}

pub(super) fn high_watermark(row: &PgRow) -> Result<Option<HighWatermark>, StoreError> {
    let epoch = stored_number(row, "high_epoch")?;
    let slot = stored_number(row, "high_slot")?;
    Ok(epoch.zip(slot).map(|(epoch, slot)| HighWatermark { epoch: Epoch(epoch), slot: Slot(slot) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(cluster: u128, system: &str, timeline: &str, xid: i64) -> Probe {
        let server = Some((system.to_owned(), timeline.to_owned()));
        let identity = Identity { cluster: Uuid::from_u128(cluster), server };
        Probe { identity, high_watermark: None, xid }
    }

    #[test]
    fn every_step_back_has_its_name() {
        let first = probe(1, "7", "00000001", 10);
        let check = |later: Probe| later.check(&first.identity, first.xid);
        assert_eq!(check(probe(1, "7", "00000001", 11)), Ok(()));
        assert!(matches!(
            check(probe(2, "7", "00000001", 11)),
            Err(RolledBack::AnotherDatabase { .. })
        ));
        assert!(matches!(
            check(probe(1, "8", "00000002", 11)),
            Err(RolledBack::AnotherServer { .. })
        ));
        assert!(matches!(
            check(probe(1, "7", "00000002", 11)),
            Err(RolledBack::AnotherTimeline { .. })
        ));
        let lost = RolledBack::TransactionsLost { durable: 10, found: 10 };
        assert_eq!(check(probe(1, "7", "00000001", 10)), Err(lost));
    }
}
