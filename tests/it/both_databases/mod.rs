//! Slashing protection through its public interface, the same tests on SQLite and on PostgreSQL.

mod cancelled;
mod gates;
pub(crate) mod histories;
pub(crate) mod reference;

use midslot_tests::postgres::TestDatabase;
use signer_client::wire::{Epoch, PublicKey, Slot};
use signer_server::slashing::{
    Administration, AdministrationOptions, LowWatermark, OpenOptions, PostgresOptions, Selection,
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

    /// Closes the protection, changes a key and opens it again. On PostgreSQL the change is made
    /// beside the signer and nothing is closed.
    pub(crate) async fn change(
        &self,
        protection: SlashingProtection,
        key: PublicKey,
        change: Change,
    ) -> SlashingProtection {
        match self {
            Self::Sqlite(_) => {
                protection.close().await.unwrap();
                self.administer(key, change).await;
                self.open().await
            }
            Self::Postgres(_) => {
                self.administer(key, change).await;
                protection
            }
        }
    }

    async fn administer(&self, key: PublicKey, change: Change) {
        let mut administration = Administration::open(AdministrationOptions {
            database: self.options().database,
            postgres: PostgresOptions::default(),
            marker_directories: Vec::new(),
            accept_new_database: false,
            create: false,
        })
        .await
        .unwrap();
        match change {
            Change::Enabled(enabled) => {
                administration.set_enabled(&[key], enabled).await.unwrap();
            }
            Change::Floors { epoch, slot } => {
                let low = LowWatermark { epoch: Epoch(epoch), slot: Slot(slot) };
                administration.raise_floors(Selection::Keys(&[key]), low).await.unwrap();
            }
        }
        administration.close().await.unwrap();
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
