//! From a snapshot of the database to a file, some keys at a time.

use std::io::{self, Write};

use signer_client::wire::Root;

use super::render::{FileWriter, KeyExport};
use crate::slashing::store::{
    StoreError,
    records::{Records, RecordsError, Selection, Snapshot, named_keys},
};

/// Keys whose records are in memory at once.
const KEYS_AT_ONCE: usize = 256;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database does not give it.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A file must name its chain.
    #[error(
        "the database belongs to no chain yet, so its records can't be exported; name the network"
    )]
    NoChain,
    /// The file can't be written.
    #[error("can't write the file: {0}")]
    Unwritable(#[from] io::Error),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Records(error.into())
    }
}

/// Writes the records of the selected keys and returns their number. `network_root` is the chain of
/// the network, when it is known; a database of another chain is refused.
pub(crate) async fn export(
    records: &mut impl Records,
    selection: Selection<'_>,
    network_root: Option<Root>,
    output: &mut (impl Write + Send),
) -> Result<usize, ExportError> {
    let mut snapshot = records.begin_export().await?;
    let chain = match (snapshot.genesis_validators_root(), network_root) {
        (Some(pinned), Some(claimed)) if pinned != claimed => {
            return Err(RecordsError::OtherChain { pinned, claimed }.into());
        }
        (pinned, network) => pinned.or(network).ok_or(ExportError::NoChain)?,
    };
    let keys = match selection {
        Selection::All => snapshot.keys().to_vec(),
        Selection::Keys(named) => {
            named_keys(named, |key| snapshot.keys().binary_search(key).is_ok())?
        }
    };
    let mut writer = FileWriter::new(output, &chain)?;
    for some in keys.chunks(KEYS_AT_ONCE) {
        for key in snapshot.read(some).await? {
            writer.write(&KeyExport::from(key))?;
        }
    }
    writer.finish()?;
    Ok(keys.len())
}
