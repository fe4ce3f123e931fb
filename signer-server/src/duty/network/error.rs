//! Why a network can't be used.

use std::{io, path::PathBuf};

use signer_client::wire::Fork;

use super::{FAR_FUTURE_EPOCH, ScheduledFork};

/// Why a network can't be used. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Neither an embedded network nor a file.
    #[error("unknown network {name:?}: it is neither one of {known} nor the path of a file")]
    Unknown {
        /// What was given.
        name: String,
        /// The embedded networks.
        known: String,
    },
    /// The configuration has to be fetched by the operator.
    #[error(
        "the configuration of network {name:?} is not built in and not downloaded: save it and \
         pass the path of that file"
    )]
    NeedsFile {
        /// What was given.
        name: String,
    },
    /// The file can't be read.
    #[error("can't read the network configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's content is not a usable configuration.
    #[error("network configuration {}: {error}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: Box<Self>,
    },
    /// The text is not the YAML of a configuration.
    #[error("{reason}")]
    Yaml {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A key that must be there is not.
    #[error("missing key {key}")]
    MissingKey {
        /// The key, or the alternatives.
        key: String,
    },
    /// A value is not what its key needs.
    #[error("key {key}: expected {expected}, found {found:?}")]
    InvalidValue {
        /// The key.
        key: String,
        /// What is needed.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A key of the preset has another value than the preset.
    #[error("key {key}: {found:?} is not the preset's {expected}; it can't be changed here")]
    NotThePresets {
        /// The key.
        key: &'static str,
        /// What the preset says.
        expected: usize,
        /// What the file says.
        found: String,
    },
    /// Two forks have one version, so a request's version would not tell them apart.
    #[error("{first} and {second} have the same fork version")]
    SameVersion {
        /// One fork.
        first: Fork,
        /// The other.
        second: Fork,
    },
    /// A fork begins before the one that it builds on.
    #[error(
        "fork {} is scheduled for epoch {} although {} comes first and {}",
        later.fork, later.epoch, earlier.fork, begins(*earlier)
    )]
    Disordered {
        /// The fork that must come first.
        earlier: ScheduledFork,
        /// The fork that must come after it.
        later: ScheduledFork,
    },
    /// An override names a fork that the network has no version for.
    #[error("network {network} has no fork {fork} whose epoch could be overridden")]
    NoSuchFork {
        /// The fork.
        fork: Fork,
        /// The network.
        network: String,
    },
}

fn begins(scheduled: ScheduledFork) -> String {
    if scheduled.epoch == FAR_FUTURE_EPOCH {
        "is not scheduled".to_owned()
    } else {
        format!("begins at epoch {}", scheduled.epoch)
    }
}
