//! The handle of the commands that work on records while no signer of this process runs.

use std::{
    fs,
    io::{Read, Seek, Write},
    path::PathBuf,
};

use signer_client::wire::{PublicKey, Root};

use super::{
    DatabaseUrl, ExportError, HighWatermark, ImportError, ImportOptions, ImportReport,
    LowWatermark, OpenError, RecordsError, Selection, StoreError, SurveyedFile,
    interchange::{export, import},
    marker::{self, Places},
    store::{
        Store,
        records::Records,
        sqlite::{OpenRequest, SqliteStore},
    },
};

/// How to open a database for its operator.
#[derive(Clone, Debug)]
pub struct AdministrationOptions {
    /// Which database.
    pub database: DatabaseUrl,
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
    store: SqliteStore,
    path: PathBuf,
    places: Places,
}

impl Administration {
    /// Opens the database. On SQLite no signer may be running on it.
    pub async fn open(options: AdministrationOptions) -> Result<Self, OpenError> {
        let path = match options.database {
            DatabaseUrl::Sqlite(path) => path,
            DatabaseUrl::Postgres(url) => {
                return Err(OpenError::PostgresNotAvailable { url: url.to_string() });
            }
        };
        let places = Places::new(options.marker_directories, marker::directory_of(&path));
        let is_absent = fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0);
        if is_absent && !options.create {
            return Err(OpenError::NoDatabase { database: path });
        }
        let opened = SqliteStore::open(OpenRequest {
            path: &path,
            places: Some(&places),
            // What the records say is the chain; an operator's command pins no other.
            network_root: None,
            accept_new_database: options.accept_new_database,
            safe_start: None,
        })
        .await?;
        Ok(Self { store: opened.store, path, places })
    }

    /// Refuses a database of another chain than the network's. One of no chain yet is fine.
    pub async fn check_network(&mut self, claimed: Root) -> Result<(), RecordsError> {
        match self.store.genesis_validators_root().await? {
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
        let transactions = self.store.transactions().unwrap_or(0);
        self.places.write(&self.store.identity(), transactions, &self.path)?;
        import::import(&mut self.store, source, options).await
    }

    /// Writes the records of the selected keys and returns their number. `network_root` is the
    /// chain of the network, when it is known.
    pub async fn export(
        &mut self,
        keys: Selection<'_>,
        network_root: Option<Root>,
        output: &mut (impl Write + Send),
    ) -> Result<usize, ExportError> {
        export::export(&mut self.store, keys, network_root, output).await
    }

    /// Raises low watermarks; none goes down. Returns how many keys there were.
    pub async fn raise_floors(
        &mut self,
        keys: Selection<'_>,
        low: LowWatermark,
    ) -> Result<usize, RecordsError> {
        self.store.raise_floors(keys, low).await
    }

    /// Sets the high watermark, or removes it.
    pub async fn set_high_watermark(
        &mut self,
        high: Option<HighWatermark>,
    ) -> Result<(), RecordsError> {
        self.store.set_high_watermark(high).await
    }

    /// Switches keys on or off for blocks and attestations.
    pub async fn set_enabled(
        &mut self,
        keys: &[PublicKey],
        enabled: bool,
    ) -> Result<(), RecordsError> {
        self.store.set_enabled(keys, enabled).await
    }

    /// Puts everything in order and lets go of the database.
    pub async fn close(self) -> Result<(), StoreError> {
        let identity = self.store.identity();
        let transactions = self.store.transactions().unwrap_or(0);
        self.store.close().await?;
        // An older copy would lack what was imported.
        self.places.advance(&identity, transactions, &self.path);
        Ok(())
    }
}

#[cfg(test)]
mod for_tests;
