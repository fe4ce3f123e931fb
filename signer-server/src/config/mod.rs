//! From the command line, the environment and a YAML file to one validated [`Config`].
//!
//! The tables in `options/` describe every option once; the layers read them, [`from_args`] merges
//! the layers (command line before environment before file before default), and each section
//! turns its options into types. After this, nothing else in the program reads options. Nothing is
//! printed and no file is written here.

mod aggregation;
mod audit;
mod command_line;
mod environment;
mod error;
mod host_allow_list;
mod http;
mod invocation;
mod keys;
mod limits;
mod logging;
mod metrics;
mod migration;
mod network;
mod option;
mod options;
mod pool_file;
mod prefetch;
mod proofs;
mod scheduler;
mod secret;
mod slashing;
#[cfg(test)]
mod tests;
mod treatment;
mod values;
mod yaml_file;
mod yaml_tree;

pub use aggregation::AggregationConfig;
pub use audit::{AuditConfig, AuditFormat, AuditQuery};
pub use host_allow_list::HostAllowList;
pub use http::{CorsOrigins, HttpConfig};
pub use invocation::{Command, Config, Exit, Invocation, WatermarkRepair, from_args};
pub use keys::{KeysConfig, KeystoreFolder, KeystorePasswords};
pub use limits::LimitsConfig;
pub use logging::LoggingConfig;
pub use metrics::MetricsConfig;
pub use migration::{Migration, Web3SignerAction};
pub use network::{ForkEpochOverrides, NetworkConfig};
pub use proofs::ProofsConfig;
pub use scheduler::{QueueBounds, SchedulerConfig};
pub use secret::Secret;
pub use slashing::{PruningConfig, SlashingConfig};
