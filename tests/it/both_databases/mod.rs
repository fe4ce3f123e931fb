//! Slashing protection through its public interface, the same tests on SQLite and on PostgreSQL.

mod cancelled;
mod gates;
pub(crate) mod histories;
pub(crate) mod reference;

use midslot_tests::postgres::TestDatabase;
use signer_client::wire::{Epoch, PublicKey, Slot};
use signer_server::slashing::{
    Administration, AdministrationOptions, DatabaseUrl, LowWatermark, OpenOptions, Selection,
    SlashingProtection,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::postgres::{database, options};

/// A database that outlives the protection that is opened on it.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

/// What an operator changes about one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Enabled(bool),
    /// Low watermarks: source and target, and slot.
    Floors {
        epoch: u64,
        slot: u64,
    },
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    async fn postgres() -> Self {
        Self::Postgres(database().await)
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/slashing.sqlite", folder.path().display()),
            Self::Postgres(database) => database.url(),
        }
    }

    fn options(&self) -> OpenOptions {
        options(&self.url())
    }

    pub(crate) async fn open(&self) -> SlashingProtection {
        SlashingProtection::open(self.options()).await.unwrap()
    }

    /// Closes the protection, changes a key and opens it again. On PostgreSQL the change comes
    /// from somewhere else and nothing is closed.
    pub(crate) async fn change(
        &self,
        protection: SlashingProtection,
        key: PublicKey,
        change: Change,
    ) -> SlashingProtection {
        match self {
            Self::Sqlite(folder) => {
                protection.close().await.unwrap();
                let path = folder.path().join("slashing.sqlite");
                change_sqlite(DatabaseUrl::Sqlite(path), key, change).await;
                self.open().await
            }
            Self::Postgres(database) => {
                change_postgres(database, key, change).await;
                protection
            }
        }
    }

    /// The one number that a query gives. On SQLite only while no protection is open.
    async fn number(&self, sql: &'static str) -> i64 {
        match self {
            Self::Sqlite(folder) => {
                let path = folder.path().join("slashing.sqlite");
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                number
            }
            Self::Postgres(database) => {
                let mut connection = database.connect().await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }
}

async fn change_sqlite(database: DatabaseUrl, key: PublicKey, change: Change) {
    let mut administration = Administration::open(AdministrationOptions {
        database,
        marker_directories: Vec::new(),
        accept_new_database: false,
        create: false,
    })
    .await
    .unwrap();
    match change {
        Change::Enabled(enabled) => administration.set_enabled(&[key], enabled).await.unwrap(),
        Change::Floors { epoch, slot } => {
            let low = LowWatermark { epoch: Epoch(epoch), slot: Slot(slot) };
            administration.raise_floors(Selection::Keys(&[key]), low).await.unwrap();
        }
    }
    administration.close().await.unwrap();
}

/// What an administrator does by hand, beside signers that live.
async fn change_postgres(database: &TestDatabase, key: PublicKey, change: Change) {
    let mut connection = database.connect().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let statements: [&'static str; 2] = match change {
        Change::Enabled(_) => [
            "UPDATE att_state SET enabled = $2::bigint = 1 WHERE validator_id = \
             (SELECT id FROM validator WHERE pubkey = $1)",
            "UPDATE blk_state SET enabled = $2::bigint = 1 WHERE validator_id = \
             (SELECT id FROM validator WHERE pubkey = $1)",
        ],
        Change::Floors { .. } => [
            "UPDATE att_state SET floor_source = GREATEST(floor_source, $2), \
             floor_target = GREATEST(floor_target, $2), max_source = GREATEST(max_source, $2), \
             max_target = GREATEST(max_target, $2) WHERE validator_id = \
             (SELECT id FROM validator WHERE pubkey = $1)",
            "UPDATE blk_state SET floor_slot = GREATEST(floor_slot, $2), \
             max_slot = GREATEST(max_slot, $2) WHERE validator_id = \
             (SELECT id FROM validator WHERE pubkey = $1)",
        ],
    };
    let values = match change {
        Change::Enabled(enabled) => [i64::from(enabled); 2],
        Change::Floors { epoch, slot } => [epoch, slot].map(|n| i64::try_from(n).unwrap()),
    };
    for (statement, value) in statements.into_iter().zip(values) {
        let changed = sqlx::query(statement)
            .bind(key.as_bytes().as_slice())
            .bind(value)
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }
    transaction.commit().await.unwrap();
}

/// Makes of each function two tests, one on either database.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Place::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Place::postgres().await).await;
            })*
        }
    };
}
use on_both;
