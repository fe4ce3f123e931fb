//! Slashing protection: nothing slashable is ever signed, and what is signed is on record first.
//!
//! A block or attestation is *cleared* before its signature may leave: the pure rules of EIP-3076
//! ([`rules`]) allow it and its record is durable. [`Cleared`] is the proof; only
//! [`SlashingProtection::clear`] makes it.
//!
//! The way of a request: [`SlashingProtection::clear`] -> `lane` (bounded queues, batches of
//! whatever waits, blocks first) -> `store` (one transaction per batch: on SQLite by the rules on
//! the state in memory, on PostgreSQL by the same rules in SQL) -> its own answer. The same task writes the audit trail when no block or attestation
//! waits.

mod administration;
mod audit_reader;
mod cleared;
mod database_url;
mod error;
mod far_future;
pub(crate) mod interchange;
mod lane;
mod marker;
mod migration;
mod postgres_url;
mod protection;
mod refusal;
pub mod rules;
mod safe_start;
mod state;
mod store;

pub use administration::{Administration, AdministrationOptions};
pub use audit_reader::AuditReader;
pub use cleared::Cleared;
pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use error::{
    CONFIRM_OPTION, NotCleared, OpenError, RegisterError, SAFE_START_OPTION, Unavailable,
};
pub use interchange::{
    ExportError, FileError, ImportError, ImportOptions, ImportReport, KeyFailure, KeyOutcome,
    Survey, SurveyedFile,
};
pub use lane::PruningSchedule;
pub use marker::{FILE_NAME as MARKER_FILE_NAME, MarkerError};
pub use migration::{
    Compared, Gap, Inspection, Lack, MoveError, MoveReport, Problem, Web3SignerError,
};
pub use postgres_url::{PostgresUrl, TlsMode};
pub use protection::{OpenOptions, SlashingProtection};
pub use refusal::{RecordedAttestation, RecordedBlock, Refusal};
pub use safe_start::SafeFloors;
pub use state::{ProtectionState, PruningTotals};
pub use store::{
    HighWatermark, PruningPolicy, RolledBack, StoreError,
    postgres::{MigrateMode, PostgresOptions},
    records::{LowWatermark, RecordsError, Selection, WatermarkPlace},
};
