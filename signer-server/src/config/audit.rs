//! Who may read the audit.

use super::{error::ParameterError, options::own::AUDIT_API_ENABLED, values::Values};

/// The audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Whether `GET /midslot/v1/audit` is served.
    pub api_enabled: bool,
}

impl AuditConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self { api_enabled: values.boolean(&AUDIT_API_ENABLED)? })
    }
}
