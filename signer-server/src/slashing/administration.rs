//! The handle of the commands that work on records while no signer of this process runs.

use std::{
    fs,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use signer_client::wire::{PublicKey, Root};

use super::{
    DatabaseUrl, ExportError, HighWatermark, ImportError, ImportOptions, ImportReport, Inspection,
    LowWatermark, MoveError, MoveReport, OpenError, PostgresOptions, PostgresUrl, RecordsError,
    Selection, StoreError, SurveyedFile,
    interchange::{export, import},
    marker::{self, Identity, Marker, Places},
    migration,
    store::{
        Store,
        postgres::{self, PostgresStore},
        records::Records,
        sqlite::{self, SqliteStore},
    },
};

/// How to open a database for its operator.
#[derive(Clone, Debug)]
pub struct AdministrationOptions {
    /// Which database.
    pub database: DatabaseUrl,
    /// How it is used, when it is PostgreSQL.
    pub postgres: PostgresOptions,
    /// Folders, usually those of the keys, that keep the marker of earlier registrations.
    pub marker_directories: Vec<PathBuf>,
    /// The operator confirms a database that the markers do not know.
    pub accept_new_database: bool,
    /// Make the database when there is none.
    pub create: bool,
}

/// An open database. Dropped without [`Self::close`] it is safe, too, and the next start takes a
/// little longer.
#[derive(Debug)]
pub struct Administration {
    store: AnyStore,
    identity: Identity,
    /// Its file, or its address without credentials.
    name: PathBuf,
    places: Places,
}

/// A database of either kind.
#[derive(Debug)]
enum AnyStore {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// Does the same with a store of either kind.
macro_rules! with_store {
    ($any:expr, $store:ident => $work:expr) => {
        match $any {
            AnyStore::Sqlite($store) => $work,
            AnyStore::Postgres($store) => $work,
        }
    };
}

impl Administration {
    /// Opens the database. On SQLite no signer may be running on it; on PostgreSQL signers may.
    pub async fn open(options: AdministrationOptions) -> Result<Self, OpenError> {
        match &options.database {
            DatabaseUrl::Sqlite(path) => Self::open_sqlite(path, &options).await,
            DatabaseUrl::Postgres(url) => Self::open_postgres(url, &options).await,
        }
    }

    async fn open_sqlite(path: &Path, options: &AdministrationOptions) -> Result<Self, OpenError> {
        let directories = options.marker_directories.clone();
        let places = Places::new(directories, marker::directory_of(path));
        let is_absent = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        if is_absent && !options.create {
            return Err(OpenError::NoDatabase { database: path.to_owned() });
        }
        let opened = SqliteStore::open(sqlite::OpenRequest {
            path,
            places: Some(&places),
            // What the records say is the chain; an operator's command pins no other.
            network_root: None,
            accept_new_database: options.accept_new_database,
            safe_start: None,
        })
        .await?;
        let identity = opened.store.identity();
        Ok(Self { store: AnyStore::Sqlite(opened.store), identity, name: path.to_owned(), places })
    }

    async fn open_postgres(
        url: &PostgresUrl,
        options: &AdministrationOptions,
    ) -> Result<Self, OpenError> {
        let places = Places::of_server(options.marker_directories.clone());
        let (store, identity) = PostgresStore::open_for_operator(postgres::OpenRequest {
            url,
            options: &options.postgres,
            places: Some(&places),
            network_root: None,
            accept_new_database: options.accept_new_database,
            create: options.create,
            safe_start: None,
        })
        .await?;
        let name = PathBuf::from(url.to_string());
        Ok(Self { store: AnyStore::Postgres(store), identity, name, places })
    }

    /// Refuses a database of another chain than the network's. One of no chain yet is fine.
    pub async fn check_network(&mut self, claimed: Root) -> Result<(), RecordsError> {
        let pinned = with_store!(&mut self.store, store => store.genesis_validators_root().await?);
        match pinned {
            Some(pinned) if pinned != claimed => Err(RecordsError::OtherChain { pinned, claimed }),
            _ => Ok(()),
        }
    }

    /// Imports a file in one transaction: all of its keys or, with `allow_partial`, all that can be
    /// taken. Never enables a disabled key.
    pub async fn import<F: Read + Seek + Send + 'static>(
        &mut self,
        source: SurveyedFile<F>,
        options: ImportOptions,
    ) -> Result<ImportReport, ImportError> {
        // The import registers keys. First the marker: a crash in between leaves one too many.
        let transactions = with_store!(&self.store, store => store.transactions()).unwrap_or(0);
        self.places.write(&self.identity, transactions, &self.name)?;
        with_store!(&mut self.store, store => import::import(store, source, options).await)
    }

    /// Writes the records of the selected keys and returns their number. `network_root` is the
    /// chain of the network, when it is known.
    pub async fn export(
        &mut self,
        keys: Selection<'_>,
        network_root: Option<Root>,
        output: &mut (impl Write + Send),
    ) -> Result<usize, ExportError> {
        with_store!(&mut self.store, store => {
            export::export(store, keys, network_root, output).await
        })
    }

    /// Raises low watermarks; none goes down. Returns how many keys there were.
    pub async fn raise_floors(
        &mut self,
        keys: Selection<'_>,
        low: LowWatermark,
    ) -> Result<usize, RecordsError> {
        with_store!(&mut self.store, store => store.raise_floors(keys, low).await)
    }

    /// Sets the high watermark, or removes it.
    pub async fn set_high_watermark(
        &mut self,
        high: Option<HighWatermark>,
    ) -> Result<(), RecordsError> {
        with_store!(&mut self.store, store => store.set_high_watermark(high).await)
    }

    /// Switches keys on or off for blocks and attestations.
    pub async fn set_enabled(
        &mut self,
        keys: &[PublicKey],
        enabled: bool,
    ) -> Result<(), RecordsError> {
        with_store!(&mut self.store, store => store.set_enabled(keys, enabled).await)
    }

    /// Looks at Web3Signer's database and changes nothing, neither there nor here.
    pub async fn inspect_web3signer(
        url: &PostgresUrl,
        network: Option<Root>,
    ) -> Result<Inspection, MoveError> {
        migration::inspect(url, network).await
    }

    /// Moves Web3Signer's records in here, or goes on where an earlier run stopped. At its end
    /// Web3Signer is fenced off, and the keys that were enabled there may sign here.
    pub async fn move_from_web3signer(
        &mut self,
        url: &PostgresUrl,
        network: Option<Root>,
    ) -> Result<MoveReport, MoveError> {
        // As with an import: first the marker.
        let transactions = with_store!(&self.store, store => store.transactions()).unwrap_or(0);
        self.places.write(&self.identity, transactions, &self.name)?;
        with_store!(&mut self.store, store => migration::move_in(store, url, network).await)
    }

    /// Switches the keys off here and takes Web3Signer's fence away. Without `force` it is refused
    /// when there are records here that Web3Signer does not know. Returns how many there are.
    pub async fn give_back_to_web3signer(
        &mut self,
        url: &PostgresUrl,
        force: bool,
    ) -> Result<u64, MoveError> {
        with_store!(&mut self.store, store => migration::undo(store, url, force).await)
    }

    /// Moves everything to another database of ours, or goes on where an earlier run stopped. At
    /// its end nothing is signed here any more, the keys that were on may sign there, and the
    /// markers in `marker_directories` name the other database.
    pub async fn move_to(
        &mut self,
        target: &mut Self,
        marker_directories: Vec<PathBuf>,
        network: Option<Root>,
    ) -> Result<MoveReport, MoveError> {
        let places = target.places.with_directories(marker_directories);
        let (from, to) = (self.identity.cluster, target.identity.cluster);
        for Marker { path, memory } in places.read()? {
            let cluster = memory.identity.cluster;
            if cluster != from && cluster != to {
                let marker = path.display().to_string();
                return Err(MoveError::ForeignMarker { marker, found: cluster });
            }
        }
        let report = with_store!(&mut self.store, from => with_store!(&mut target.store, to => {
            migration::relocate(from, to, network).await?
        }));
        let transactions = with_store!(&target.store, store => store.transactions()).unwrap_or(0);
        // The old database's markers may remember that it halted; that is not this one's story.
        places.confirm(&target.identity, transactions, &target.name)?;
        // What closing says about the database goes to these markers, too.
        target.places = places;
        Ok(report)
    }

    /// Puts everything in order and lets go of the database.
    pub async fn close(self) -> Result<(), StoreError> {
        let transactions = with_store!(&self.store, store => store.transactions()).unwrap_or(0);
        with_store!(self.store, store => store.close().await)?;
        // An older copy would lack what was imported.
        self.places.advance(&self.identity, transactions, &self.name);
        Ok(())
    }
}

#[cfg(test)]
mod for_tests;
