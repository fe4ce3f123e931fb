//! Values as the tables of both databases hold them, and how they are read back.
//!
//! Nothing that a database says is taken on trust: a number, a root or a key that the schema would not
//! allow is an error that names its column.

use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use sqlx::{Row, postgres::PgRow, sqlite::SqliteRow};

use super::{HighWatermark, StoreError};
use crate::slashing::{
    refusal::{RecordedAttestation, RecordedBlock},
    rules::VoteEpochs,
};

/// A row of either database, as far as both have the same types. NULL is `None`.
pub(super) trait StoredRow {
    fn integer(&self, column: &'static str) -> Result<Option<i64>, StoreError>;
    fn bytes(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError>;
    fn text(&self, column: &'static str) -> Result<Option<&str>, StoreError>;
}

macro_rules! stored_row {
    ($($row:ty),*) => {$(
        impl StoredRow for $row {
            fn integer(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
                Ok(self.try_get(column)?)
            }

            fn bytes(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
                Ok(self.try_get(column)?)
            }

            fn text(&self, column: &'static str) -> Result<Option<&str>, StoreError> {
                Ok(self.try_get(column)?)
            }
        }
    )*};
}

stored_row!(PgRow, SqliteRow);

/// A value that must be there.
pub(super) fn present<T>(value: Option<T>, column: &'static str) -> Result<T, StoreError> {
    value.ok_or(StoreError::ImpossibleValue { column })
}

/// A slot, an epoch or a count; -1 and NULL mean none.
pub(super) fn stored_number(
    row: &impl StoredRow,
    column: &'static str,
) -> Result<Option<u64>, StoreError> {
    match row.integer(column)? {
        None | Some(-1) => Ok(None),
        Some(number) => present(u64::try_from(number).ok(), column).map(Some),
    }
}

/// So many bytes, or NULL.
pub(super) fn stored_bytes<const N: usize>(
    row: &impl StoredRow,
    column: &'static str,
) -> Result<Option<[u8; N]>, StoreError> {
    let bytes = row.bytes(column)?;
    bytes.map(|bytes| present(bytes.try_into().ok(), column)).transpose()
}

/// A root; NULL is an unknown one.
pub(super) fn stored_root(
    row: &impl StoredRow,
    column: &'static str,
) -> Result<Option<Root>, StoreError> {
    Ok(stored_bytes(row, column)?.map(Root))
}

/// The key in the column `pubkey`.
pub(super) fn public_key(row: &impl StoredRow) -> Result<PublicKey, StoreError> {
    present(stored_bytes(row, "pubkey")?, "pubkey").map(PublicKey)
}

/// A pair of columns; `None` where either is none.
pub(super) fn vote_epochs(
    row: &impl StoredRow,
    source: &'static str,
    target: &'static str,
) -> Result<Option<VoteEpochs>, StoreError> {
    let pair = stored_number(row, source)?.zip(stored_number(row, target)?);
    Ok(pair.map(|(source, target)| VoteEpochs { source: Epoch(source), target: Epoch(target) }))
}

/// A row of `signed_attestation`.
pub(super) fn recorded_attestation(
    row: &impl StoredRow,
) -> Result<RecordedAttestation, StoreError> {
    let epoch = |column| present(stored_number(row, column)?, column).map(Epoch);
    Ok(RecordedAttestation {
        source: epoch("source_epoch")?,
        target: epoch("target_epoch")?,
        signing_root: stored_root(row, "signing_root")?,
    })
}

/// A row of `signed_block`.
pub(super) fn recorded_block(row: &impl StoredRow) -> Result<RecordedBlock, StoreError> {
    Ok(RecordedBlock {
        slot: present(stored_number(row, "slot")?, "slot").map(Slot)?,
        signing_root: stored_root(row, "signing_root")?,
    })
}

/// The high watermark of `sp_meta`: both columns or none.
pub(super) fn high_watermark(row: &impl StoredRow) -> Result<Option<HighWatermark>, StoreError> {
    let pair = stored_number(row, "high_epoch")?.zip(stored_number(row, "high_slot")?);
    Ok(pair.map(|(epoch, slot)| HighWatermark { epoch: Epoch(epoch), slot: Slot(slot) }))
}

/// A slot or epoch as a column takes it. The rules let nothing pass that does not fit; elsewhere the
/// largest number that does takes its place.
pub(super) fn to_stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The same where there may be none.
pub(super) fn to_stored_or_none(number: Option<u64>) -> i64 {
    number.map_or(-1, to_stored)
}

/// `NULL` for a zero root, so that it equals no root ever.
pub(super) fn root_column(root: &Root) -> Option<&[u8]> {
    (*root != Root::ZERO).then_some(root.as_bytes().as_slice())
}
