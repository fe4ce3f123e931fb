//! From a snapshot of one database into another, all keys in one transaction, some at a time.

use signer_client::wire::Root;

use crate::slashing::{
    interchange::{KeyOutcome, merge::KeyImport},
    store::records::{ImportTransaction, KeyRecords, Records, RecordsError, Snapshot},
};

/// Keys whose records are in memory at once.
pub(super) const KEYS_AT_ONCE: usize = 256;

/// Copies every key. What is there stays; copying again changes nothing. Whether keys may sign is
/// not touched.
pub(super) async fn copy(
    source: &mut impl Snapshot,
    chain: Root,
    target: &mut impl Records,
) -> Result<Vec<KeyOutcome>, RecordsError> {
    let keys = source.keys().to_vec();
    let mut outcomes = Vec::with_capacity(keys.len());
    let mut transaction = target.begin_import(chain, &keys).await?;
    for some in keys.chunks(KEYS_AT_ONCE) {
        let imports: Vec<KeyImport> =
            source.read(some).await?.into_iter().map(KeyImport::from).collect();
        outcomes.extend(transaction.merge(&imports).await?);
    }
    transaction.commit().await?;
    Ok(outcomes)
}

impl From<KeyRecords> for KeyImport {
    /// Unlike those of a file, whose lowest entries stand for them, floors are known here.
    fn from(records: KeyRecords) -> Self {
        let KeyRecords { key, attestation, block, attestations, blocks } = records;
        let mut import = Self::new(key, attestations, blocks);
        import.set_attestation_limits(attestation.floor, attestation.max);
        import.set_block_limits(block.floor, block.max);
        import
    }
}
