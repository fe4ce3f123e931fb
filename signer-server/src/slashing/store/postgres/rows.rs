//! Values as the tables hold them.

use signer_client::wire::Root;
use sqlx::{Row, postgres::PgRow};

use crate::slashing::StoreError;

/// A slot or epoch; -1 and NULL mean none.
pub(super) fn stored_number(row: &PgRow, column: &'static str) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = row.try_get(column)?;
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => {
            u64::try_from(number).map(Some).map_err(|_| StoreError::ImpossibleValue { column })
        }
    }
}

/// A slot or epoch as a column takes it; what does not fit becomes the largest that does.
pub(super) fn to_stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn stored_root(row: &PgRow, column: &'static str) -> Result<Option<Root>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| fixed(bytes, column).map(Root)).transpose()
}

pub(super) fn fixed<const N: usize>(
    bytes: &[u8],
    column: &'static str,
) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::ImpossibleValue { column })
}

/// `NULL` for a zero root, so that it equals no root ever.
pub(super) fn root_column(root: &Root) -> Option<&[u8]> {
    (*root != Root::ZERO).then_some(root.as_bytes().as_slice())
}
