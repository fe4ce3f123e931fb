//! How much one client may ask for.

use super::{
    error::ParameterError,
    options::own::{BATCH_MAX_KEYS, HTTP_MAX_BODY_SIZE},
    values::Values,
};

/// The limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Largest body, in bytes.
    pub max_body_size_bytes: usize,
    /// Most keys of one batch request.
    pub max_batch_keys: usize,
}

impl LimitsConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self {
            max_body_size_bytes: values.integer(&HTTP_MAX_BODY_SIZE)?,
            max_batch_keys: values.integer(&BATCH_MAX_KEYS)?,
        })
    }
}
