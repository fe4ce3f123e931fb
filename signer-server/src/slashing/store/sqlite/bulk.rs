//! One statement for many rows: a statement costs more to hand over than a row to write.

use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

/// Rows per statement, largest first. Few sizes, so that every statement stays prepared.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

pub(super) type BulkQuery = Query<'static, Sqlite, SqliteArguments>;

/// The same statement in every size, with `VALUES (?, ...), ...` in its middle.
#[derive(Debug)]
pub(super) struct Bulk {
    statements: [String; SIZES.len()],
}

impl Bulk {
    /// `before` and `after` enclose the values of `columns` columns.
    pub(super) fn new(before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let statements = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(", ");
            format!("{before} VALUES {rows} {after}")
        });
        Self { statements }
    }

    /// Runs the statement over all rows, `bind` adding the columns of one row in order. Returns
    /// how many rows of the table were affected.
    pub(super) async fn execute<Row: Sync>(
        &'static self,
        connection: &mut SqliteConnection,
        mut rows: &[Row],
        bind: impl Fn(BulkQuery, &Row) -> BulkQuery + Send,
    ) -> Result<u64, sqlx::Error> {
        let mut affected = 0;
        while let Some((size, statement)) =
            SIZES.iter().zip(&self.statements).find(|(size, _)| **size <= rows.len())
        {
            let (now, later) = rows.split_at(*size);
            rows = later;
            let query = now.iter().fold(sqlx::query(statement.as_str()), &bind);
            affected += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(affected)
    }
}
