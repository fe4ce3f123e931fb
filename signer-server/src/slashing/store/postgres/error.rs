//! From PostgreSQL's error codes (its manual, appendix A) to causes, and from causes to remedies.

use sqlx::postgres::PgDatabaseError;

use crate::slashing::StoreError;

/// What an error of PostgreSQL means.
pub(in crate::slashing::store) fn cause(error: sqlx::Error) -> StoreError {
    let Some(database_error) = error.as_database_error() else { return StoreError::Driver(error) };
    let Some(server) = database_error.try_downcast_ref::<PgDatabaseError>() else {
        return StoreError::Driver(error);
    };
    // A check of a table has a name; a row without a partition breaks a check without one.
    let has_no_partition = server.code() == "23514" && server.constraint().is_none();
    match server.code() {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => StoreError::NotCommitted(error),
        _ if has_no_partition => StoreError::NoPartition(error),
        // read_only_sql_transaction
        "25006" => StoreError::ReadOnly(error),
        // invalid_catalog_name
        "3D000" => StoreError::NoDatabase(error),
        // disk_full
        "53100" => StoreError::Full(error),
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => StoreError::Corrupt(error),
        code => match &code[..code.len().min(2)] {
            // Connection exceptions; the server stops, crashed or is not up yet. 57014 is a
            // statement that was cancelled, which ends nothing but itself.
            "08" | "57" if code != "57014" => StoreError::NoConnection(error),
            // Data exceptions, broken constraints
            "22" | "23" => StoreError::Constraint(error),
            // Invalid authorization
            "28" => StoreError::Login(error),
            // System errors
            "58" => StoreError::InputOutput(error),
            _ => StoreError::Driver(error),
        },
    }
}

/// What to do with a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing was recorded, and others were to blame: send it again.
    Retry,
    /// Somebody holds the state of a key for long: leave out the keys that are locked.
    LeaveOutLocked,
    /// It may have been recorded: connect again and send the same batch again.
    Resend,
    /// Make the tables that it needs and send it again.
    MakePartitions,
    /// One record may be to blame: send each alone.
    Singly,
    /// None.
    GiveUp,
}

impl Remedy {
    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::NotCommitted(cause) if is_lock_timeout(cause) => Self::LeaveOutLocked,
            StoreError::NotCommitted(_) => Self::Retry,
            StoreError::NoConnection(_) | StoreError::NoAnswer => Self::Resend,
            StoreError::NoPartition(_) => Self::MakePartitions,
            StoreError::Constraint(_) | StoreError::Corrupt(_) => Self::Singly,
            _ => Self::GiveUp,
        }
    }
}

/// Whether it is `lock_not_available`.
fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03")
}
