//! Records in a PostgreSQL database that several signers share.
//!
//! Other signers move the state at any time, so nothing is decided from memory: the functions of
//! the schema (migrations/postgres) lock the states of a batch, judge it and record it in one round
//! trip and one transaction. What this process remembers may only refuse ([`veto`]).
//!
//! One store is one connection. Attestations are divided among some of them by key, blocks have
//! one, registration, audit and health have one; a pool would only add waiting.
//!
//! A lost connection leaves the outcome of a batch unknown. The same batch is then sent again: what
//! had been recorded comes back as a repeat. Before anything else a new connection proves that the
//! server still knows what it confirmed ([`identity`]).

mod audit;
mod audit_reader;
mod audit_retention;
mod clear;
mod columns;
mod copy;
mod error;
mod history;
mod identity;
mod import;
mod kind;
mod moves;
mod open;
mod partitions;
mod prune;
mod records;
mod register;
mod safe_start;
mod schema;
mod session;
mod snapshot;
mod states;
mod veto;

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use signer_client::wire::{Epoch, PublicKey, Slot};
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::Instant;

use self::{
    identity::Probe,
    kind::{Attestations, Blocks},
    prune::PruningRun,
    session::{Server, in_time},
    veto::Veto,
};
use super::{AuditPart, Decision, HighWatermark, Request, RolledBack, Store, StoreError};
use crate::{
    audit::{Entry, Filter},
    clock,
    slashing::{marker::Identity, rules::VoteEpochs},
};

pub(super) use self::error::cause;
pub use self::schema::MigrateMode;
pub(crate) use self::{
    audit_reader::PostgresAuditReader,
    open::{OpenRequest, Opened},
};

/// How PostgreSQL is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Whether the schema is brought up to date at the start.
    pub migrate: MigrateMode,
    /// Connections that record attestations, at least one. Two more are used for the rest.
    pub attestation_connections: usize,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            migrate: MigrateMode::Auto,
            attestation_connections: 2,
            connect_timeout: Duration::from_secs(3),
        }
    }
}

/// How often the connection that does the rest looks after the database, however busy it is.
const CARE_INTERVAL: Duration = Duration::from_secs(30);

/// What all connections of a process have in common.
#[derive(Debug)]
struct Shared {
    server: Server,
    identity: Identity,
    /// Registered keys; an id never changes.
    ids: RwLock<HashMap<PublicKey, i32>>,
    /// A transaction that is durable, the newest known.
    durable_xid: AtomicI64,
    /// What this process has released last.
    newest: Mutex<Option<Newest>>,
    /// Highest target of any record, as far as this process knows.
    highest_target: AtomicU64,
    /// Once the database went back, nothing is signed until the process starts again.
    halted: OnceLock<RolledBack>,
}

/// A record of this process. A database that went back has lost it, or nothing of this process, and
/// unlike the transaction counter it does not come back with the work of others.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// The transaction that recorded it.
    xid: i64,
    key: PublicKey,
    /// The key's id in the database.
    validator: i32,
    /// Its target epoch or slot.
    height: i64,
    /// The question whether the key's maximum has reached it.
    has_reached: &'static str,
}

impl Newest {
    async fn is_on(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let asked = sqlx::query_scalar(self.has_reached).bind(self.validator).bind(self.height);
        Ok(asked.fetch_one(connection).await?)
    }
}

impl Shared {
    fn check_not_halted(&self) -> Result<(), StoreError> {
        self.halted.get().map_or(Ok(()), |why| Err(why.clone().into()))
    }

    /// Stops all connections for good.
    fn halt(&self, why: RolledBack) -> StoreError {
        self.halted.get_or_init(|| why).clone().into()
    }

    /// Stops all connections for good if this error is a reason to.
    fn heed(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::RolledBack(why) => self.halt(why),
            other => other,
        }
    }

    fn note_newest(&self, record: Newest) {
        let mut newest = self.newest.lock();
        if newest.is_none_or(|newest| newest.xid < record.xid) {
            *newest = Some(record);
        }
    }

    fn note_durable(&self, xid: i64) {
        self.durable_xid.fetch_max(xid, Ordering::Relaxed);
    }

    /// Commits an operator's change; a server that does not know of it later has gone back.
    async fn commit(&self, mut change: Transaction<'_, Postgres>) -> Result<(), StoreError> {
        let xid = sqlx::query_scalar("SELECT txid_current()").fetch_one(&mut *change).await?;
        change.commit().await?;
        self.note_durable(xid);
        Ok(())
    }

    /// Takes a probe on this connection, which fails for good when the server went back.
    async fn probe(&self, connection: &mut PgConnection) -> Result<Probe, StoreError> {
        in_time(self.probe_patiently(connection)).await
    }

    /// The same, limited by the connection's settings alone.
    async fn probe_patiently(&self, connection: &mut PgConnection) -> Result<Probe, StoreError> {
        self.check_not_halted()?;
        // Before the probe: meanwhile other connections move it on.
        let durable_xid = self.durable_xid.load(Ordering::Relaxed);
        let probe = Probe::take(connection).await.map_err(|error| self.heed(error))?;
        probe.check(&self.identity, durable_xid).map_err(|why| self.halt(why))?;
        let newest = *self.newest.lock();
        if let Some(newest) = newest
            && !newest.is_on(connection).await?
        {
            return Err(self.halt(RolledBack::RecordsLost { key: newest.key }));
        }
        // Each probe takes a number, so that this one may hide what another connection has seen.
        self.check_not_halted()?;
        self.note_durable(probe.xid);
        Ok(probe)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    shared: Arc<Shared>,
    /// `None` between a failure and the next successful recovery.
    connection: Option<PgConnection>,
    veto: Veto,
    high_watermark: Option<HighWatermark>,
    /// Whether this is the connection that looks after the database.
    cares: bool,
    next_care: Instant,
    next_partitions: Instant,
    /// Some keys are locked by an operator's work.
    contended_until: Option<Instant>,
    pruning: Option<PruningRun>,
    audit_sweep: audit_retention::Sweep,
}

impl PostgresStore {
    fn new(
        shared: Arc<Shared>,
        connection: Option<PgConnection>,
        high_watermark: Option<HighWatermark>,
        cares: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            connection,
            veto: Veto::default(),
            high_watermark,
            cares,
            next_care: now + CARE_INTERVAL,
            next_partitions: now + partitions::LOOK_INTERVAL,
            contended_until: None,
            pruning: None,
            audit_sweep: audit_retention::Sweep::default(),
        }
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.connection.as_mut().ok_or(StoreError::NotOpen)
    }

    /// Gives the connection up and makes another one, to a server that knows what it knew.
    async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        self.shared.check_not_halted()?;
        let mut connection = self.shared.server.connect().await?;
        self.high_watermark = self.shared.probe(&mut connection).await?.high_watermark;
        self.connection = Some(connection);
        Ok(())
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        let connection = self.connection.as_mut().ok_or(StoreError::NotOpen)?;
        self.high_watermark = self.shared.probe(connection).await?.high_watermark;
        Ok(())
    }

    /// Notices a database that went back, a new high watermark, and partitions that will be needed.
    async fn care(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if !self.cares || now < self.next_care {
            return Ok(());
        }
        self.next_care = now + CARE_INTERVAL;
        self.probe().await?;
        if now >= self.next_partitions {
            self.next_partitions = now + partitions::LOOK_INTERVAL;
            let target = Epoch(self.shared.highest_target.load(Ordering::Relaxed));
            let now_us = clock::now_unix_micros();
            let made = partitions::make_ahead(self.connection()?, target, now_us);
            // A record that has nowhere to go makes its own.
            if let Err(error) = in_time(made).await {
                tracing::warn!(%error, "no partitions were made ahead");
                if matches!(error, StoreError::NoAnswer) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes audit rows, making their days where they are missing.
    async fn write_entries(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        let connection = self.connection()?;
        match in_time(audit::write(connection, entries)).await {
            Err(StoreError::NoPartition(_)) => {
                let ids = entries.iter().map(|entry| entry.id);
                let days: Vec<i64> = ids.map(partitions::audit_day).collect();
                in_time(partitions::make(connection, &[], &days)).await?;
                in_time(audit::write(connection, entries)).await
            }
            written => written,
        }
    }
}

impl Store for PostgresStore {
    async fn clear_attestations(
        &mut self,
        batch: &[Request<VoteEpochs>],
    ) -> Result<Vec<Decision>, StoreError> {
        let decisions = self.clear::<Attestations>(batch).await?;
        let recorded = batch.iter().zip(&decisions);
        let targets = recorded
            .filter(|(_, decision)| **decision == Decision::New)
            .map(|(request, _)| request.subject.target.0);
        if let Some(target) = targets.max() {
            self.shared.highest_target.fetch_max(target, Ordering::Relaxed);
        }
        Ok(decisions)
    }

    async fn clear_blocks(&mut self, batch: &[Request<Slot>]) -> Result<Vec<Decision>, StoreError> {
        self.clear::<Blocks>(batch).await
    }

    async fn register(&mut self, keys: &[PublicKey]) -> Result<(), StoreError> {
        self.shared.check_not_halted()?;
        let ids = in_time(register::register(self.connection()?, keys)).await?;
        self.shared.ids.write().extend(ids);
        Ok(())
    }

    fn high_watermark(&self) -> Option<HighWatermark> {
        self.high_watermark
    }

    fn transactions(&self) -> Option<u64> {
        // A counter that every batch writes would make them wait for each other; the server's own
        // transaction numbers take its place.
        u64::try_from(self.shared.durable_xid.load(Ordering::Relaxed)).ok()
    }

    async fn write_audit(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        self.shared.check_not_halted()?;
        self.write_entries(entries).await?;
        self.care().await
    }

    async fn read_audit(&mut self, filter: &Filter) -> Result<AuditPart, StoreError> {
        let part = in_time(audit::read(self.connection()?, filter)).await;
        if matches!(part, Err(StoreError::NoAnswer)) {
            // Half an answer may still come, and must not be taken for the next one.
            self.connection = None;
        }
        part
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        self.probe().await
    }

    async fn idle(&mut self) -> Result<(), StoreError> {
        self.care().await
    }

    async fn recover(&mut self) -> Result<(), StoreError> {
        self.reconnect().await
    }

    async fn close(mut self) -> Result<(), StoreError> {
        if let Some(connection) = self.connection.take() {
            session::close(connection).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
