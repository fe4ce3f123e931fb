//! From SQLite's result codes to causes.

use crate::slashing::StoreError;

/// The low byte of an extended result code is the primary one (sqlite.org/rescode.html).
fn primary_code(error: &sqlx::Error) -> Option<u8> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    u8::try_from(code & 0xff).ok()
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match primary_code(&error) {
            // SQLITE_BUSY, SQLITE_LOCKED
            Some(5 | 6) => Self::Busy(error),
            // SQLITE_READONLY
            Some(8) => Self::ReadOnly(error),
            // SQLITE_IOERR, SQLITE_CANTOPEN
            Some(10 | 14) => Self::InputOutput(error),
            // SQLITE_CORRUPT, SQLITE_NOTADB
            Some(11 | 26) => Self::Corrupt(error),
            // SQLITE_FULL
            Some(13) => Self::Full(error),
            // SQLITE_CONSTRAINT
            Some(19) => Self::Constraint(error),
            _ => Self::Driver(error),
        }
    }
}
