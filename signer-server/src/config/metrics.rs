//! Where metrics are served, and which.

use super::{
    error::ParameterError,
    host_allow_list::HostAllowList,
    options::root::{
        METRICS_CATEGORIES, METRICS_ENABLED, METRICS_HOST, METRICS_HOST_ALLOWLIST, METRICS_PORT,
    },
    values::Values,
};
use crate::telemetry::metrics::Category;

/// The metrics interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether metrics are served.
    pub enabled: bool,
    /// Address or host name to listen on.
    pub host: String,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Groups of metrics that are served.
    pub categories: Vec<Category>,
    /// Hosts that a request may name.
    pub host_allow_list: HostAllowList,
}

impl MetricsConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self {
            enabled: values.boolean(&METRICS_ENABLED)?,
            host: values.non_empty_text(&METRICS_HOST)?,
            port: values.integer(&METRICS_PORT)?,
            categories: values.choices(&METRICS_CATEGORIES)?,
            host_allow_list: HostAllowList::from_values(values, &METRICS_HOST_ALLOWLIST)?,
        })
    }
}
