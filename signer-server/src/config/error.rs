//! What can be wrong with the parameters. The text of an error always names the option, where its
//! value came from, and why it cannot be used; the value of a secret option never appears.

use std::{fmt, path::PathBuf};

/// Where the value of an option came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An argument.
    CommandLine,
    /// The environment variable of this name.
    Environment(String),
    /// A key of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The key, with dots between its parts.
        key: String,
    },
    /// No layer gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => formatter.write_str("command line"),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::File { path, key } => write!(formatter, "{}, key {key}", path.display()),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A parameter error: the start is refused with exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParameterError {
    /// The value cannot be used.
    #[error("{option} ({origin}): {reason}")]
    Invalid {
        /// The option with its dashes.
        option: String,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// The option was asked for and its function does not exist.
    #[error("{option} ({origin}): {function} is not available in this version")]
    Unavailable {
        /// The option with its dashes.
        option: String,
        /// Where it was asked for.
        origin: Origin,
        /// What is missing.
        function: &'static str,
    },
    /// No layer gives an option that is needed.
    #[error("{option}: {reason}")]
    Missing {
        /// The option with its dashes.
        option: String,
        /// Why it is needed and what to give.
        reason: String,
    },
    /// The same option is given under two names of one layer, with different values.
    #[error("{option}: {first} and {second} give it different values")]
    Ambiguous {
        /// The option with its dashes.
        option: String,
        /// One place.
        first: Origin,
        /// The other place.
        second: Origin,
    },
    /// The configuration file as a whole cannot be used.
    #[error("--config-file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the key or the line where there is one.
        reason: String,
    },
}
