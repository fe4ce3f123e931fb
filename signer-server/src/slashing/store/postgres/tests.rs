//! The store on a real server, where a test must stop between two steps or look behind its border.
//! What can be shown from outside is shown in the end-to-end tests.

mod audit_days;
mod locked;
mod moved;
mod pruning;
mod snapshots;

use std::sync::atomic::{AtomicI64, Ordering};

use midslot_tests::postgres::{PostgresCluster, TestDatabase};
use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::PgConnection;
use uuid::Uuid;

use super::*;
use crate::{
    audit::{Buffer, Writer},
    slashing::{
        rules::VoteEpochs,
        store::{Decision, Request},
    },
};

const CHAIN: Root = Root([0x11; 32]);

/// A database with its signer's stores. The database is dropped last.
struct Scene {
    stores: Opened,
    connection: PgConnection,
    database: TestDatabase,
}

async fn open(database: &TestDatabase) -> Opened {
    PostgresStore::open(OpenRequest {
        url: &database.url().parse().unwrap(),
        options: &PostgresOptions::default(),
        places: None,
        network_root: Some(CHAIN),
        accept_new_database: false,
        create: true,
        safe_start: None,
    })
    .await
    .unwrap()
}

impl Scene {
    async fn new() -> Self {
        let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
        let stores = open(&database).await;
        let connection = database.connect().await.unwrap();
        Self { stores, connection, database }
    }

    async fn execute(&mut self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.connection).await.unwrap();
    }

    async fn number(&mut self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Registers keys 1, 2, .. of which each has voted for every target from 1 to the number given,
    /// and proposed a block for each, without a signature for it.
    async fn with_votes(&mut self, last_targets: &[i64]) {
        for (number, last) in (1..).zip(last_targets) {
            let key = PublicKey([number; 48]);
            self.stores.general.register(&[key]).await.unwrap();
            let first_to_last: Vec<i64> =
                (0..=partitions::attestation_partition(Epoch(last.unsigned_abs()))).collect();
            partitions::make(&mut self.connection, &first_to_last, &[]).await.unwrap();
            for statement in [
                "INSERT INTO signed_attestation SELECT v.id, t, t - 1, \
                 decode(repeat('01', 32), 'hex') FROM validator v, generate_series(1, $2) AS t \
                 WHERE v.pubkey = $1",
                "INSERT INTO signed_block SELECT v.id, t, decode(repeat('01', 32), 'hex') \
                 FROM validator v, generate_series(1, $2) AS t WHERE v.pubkey = $1",
                "UPDATE att_state SET floor_source = 0, floor_target = 1, max_source = $2 - 1, \
                 max_target = $2 WHERE validator_id = (SELECT id FROM validator WHERE pubkey = $1)",
                "UPDATE blk_state SET floor_slot = 1, max_slot = $2 \
                 WHERE validator_id = (SELECT id FROM validator WHERE pubkey = $1)",
            ] {
                sqlx::query(statement)
                    .bind(key.as_bytes().as_slice())
                    .bind(last)
                    .execute(&mut self.connection)
                    .await
                    .unwrap();
            }
        }
    }

    async fn attest(&mut self, key: u8, source: u64, target: u64, root: u8) -> Decision {
        attest(&mut self.stores.attestations[0], key, source, target, root).await
    }
}

async fn attest(
    store: &mut PostgresStore,
    key: u8,
    source: u64,
    target: u64,
    root: u8,
) -> Decision {
    let subject = VoteEpochs { source: Epoch(source), target: Epoch(target) };
    store.clear_attestations(&[request(key, subject, root)]).await.unwrap()[0]
}

fn request<Subject>(key: u8, subject: Subject, root: u8) -> Request<Subject> {
    /// Rows of the audit trail need different ids, of today.
    static NEXT_ID: AtomicI64 = AtomicI64::new(0);
    let today = crate::audit::Ids::first_at(clock::now_unix_micros());
    let id = today + NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let ticket = Writer::new(Buffer::new("test", id)).begin(crate::audit::Client::default(), "");
    Request {
        key: PublicKey([key; 48]),
        subject,
        signing_root: Root([root; 32]),
        genesis_validators_root: CHAIN,
        audit: ticket.unconfirmed().unwrap(),
    }
}
