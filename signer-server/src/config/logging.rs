//! What is logged, and in which form.

use super::{
    error::ParameterError,
    options::root::{LOGGING_FORMAT, LOGGING_LEVEL},
    values::Values,
};
use crate::telemetry::logs::{LogFormat, LogLevel};

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggingConfig {
    /// The least severe messages.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

impl LoggingConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self { level: values.choice(&LOGGING_LEVEL)?, format: values.choice(&LOGGING_FORMAT)? })
    }
}
