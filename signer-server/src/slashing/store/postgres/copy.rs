//! Rows for `COPY ... FROM STDIN (FORMAT binary)`: the fastest way to put many rows into a table.
//!
//! The format is that of PostgreSQL's manual, page COPY: a header, then for each row the number of
//! its fields and for each field its length and its bytes, everything big-endian.

use sqlx::PgConnection;

use crate::slashing::StoreError;

/// Signature, no flags, no extension.
const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// In place of the number of fields: no more rows.
const END: i16 = -1;

/// In place of a length: the field is NULL.
const NULL: i32 = -1;

/// Rows on their way to a table.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    fields: i16,
    count: u64,
}

impl Rows {
    /// For rows of so many fields.
    pub(super) fn new(fields: i16) -> Self {
        Self { bytes: HEADER.to_vec(), fields, count: 0 }
    }

    /// Begins a row; its fields follow in their order.
    pub(super) fn row(&mut self) -> &mut Self {
        self.count += 1;
        self.bytes.extend(self.fields.to_be_bytes());
        self
    }

    /// A field of type `integer`.
    pub(super) fn integer(&mut self, value: i32) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// A field of type `bigint`.
    pub(super) fn bigint(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// A field of type `smallint`.
    pub(super) fn smallint(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    /// A field of type `bytea` with a root, or NULL.
    pub(super) fn root(&mut self, value: Option<&[u8]>) -> &mut Self {
        if let Some(root) = value {
            return self.field(root);
        }
        self.bytes.extend(NULL.to_be_bytes());
        self
    }

    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes);
        self
    }

    /// Sends all rows by `statement`, a `COPY`.
    pub(super) async fn send(
        mut self,
        connection: &mut PgConnection,
        statement: &'static str,
    ) -> Result<(), StoreError> {
        if self.count == 0 {
            return Ok(());
        }
        self.bytes.extend(END.to_be_bytes());
        let mut copy = connection.copy_in_raw(statement).await?;
        copy.send(self.bytes).await?;
        let copied = copy.finish().await?;
        match self.count.checked_sub(copied) {
            Some(0) => Ok(()),
            _ => Err(StoreError::ImpossibleValue { column: "count of copied rows" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_laid_out_as_the_manual_says() {
        let mut rows = Rows::new(4);
        rows.row().integer(1).bigint(-2).smallint(3).root(None);
        rows.row().integer(1).bigint(2).smallint(3).root(Some(&[9; 2]));
        let expected = [
            &b"PGCOPY\n\xff\r\n\0"[..],
            &[0; 8],
            &[0, 4, 0, 0, 0, 4, 0, 0, 0, 1],
            &[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 254],
            &[0, 0, 0, 2, 0, 3, 255, 255, 255, 255],
            &[0, 4, 0, 0, 0, 4, 0, 0, 0, 1],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 2, 0, 3, 0, 0, 0, 2, 9, 9],
        ];
        assert_eq!(rows.bytes, expected.concat());
    }
}
