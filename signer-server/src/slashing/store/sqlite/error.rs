//! From SQLite's result codes to causes.

use crate::slashing::StoreError;

/// The low byte of an extended result code is the primary one (sqlite.org/rescode.html).
fn primary_code(error: &sqlx::Error) -> Option<u8> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    u8::try_from(code & 0xff).ok()
}

/// What an error of SQLite means.
pub(in crate::slashing::store) fn cause(error: sqlx::Error) -> StoreError {
    match primary_code(&error) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Some(5 | 6) => StoreError::Busy(error),
        // SQLITE_READONLY
        Some(8) => StoreError::ReadOnly(error),
        // SQLITE_IOERR, SQLITE_CANTOPEN
        Some(10 | 14) => StoreError::InputOutput(error),
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => StoreError::Corrupt(error),
        // SQLITE_FULL
        Some(13) => StoreError::Full(error),
        // SQLITE_CONSTRAINT
        Some(19) => StoreError::Constraint(error),
        _ => StoreError::Driver(error),
    }
}
