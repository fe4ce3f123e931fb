//! Why the signer could not start.

use std::path::PathBuf;

use crate::{
    duty::NetworkError,
    listen::ListenError,
    reload::ReloadError,
    slashing::{OpenError, SAFE_START_OPTION},
};

/// Why the signer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network is unknown or its file is bad.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The data folder can't be made.
    #[error("the data folder {} can't be made (--data-path): {source}", path.display())]
    DataPath {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A port can't be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Slashing protection can't be opened.
    #[error(transparent)]
    Slashing(#[from] OpenError),
    /// An option needs to know the present slot, and the network does not tell when it began.
    #[error(
        "{option} needs the genesis time of the network, and {network} has none: add \
         MIDSLOT_GENESIS_TIME (Unix seconds) to the network's file"
    )]
    GenesisTimeUnknown {
        /// The option.
        option: &'static str,
        /// The network.
        network: String,
    },
    /// Prefetch needs to know the chain, and the network does not tell it.
    #[error(
        "--prefetch-beacon-nodes needs the genesis time and the genesis validators root of the \
         network, because a beacon node is not believed about them, and {network} does not tell \
         both: add MIDSLOT_GENESIS_TIME (Unix seconds) and MIDSLOT_GENESIS_VALIDATORS_ROOT to the \
         network's file"
    )]
    GenesisUnknown {
        /// The network.
        network: String,
    },
    /// Beacon nodes can't be asked over HTTPS.
    #[error("--prefetch-beacon-nodes: no HTTPS client can be made: {0}")]
    BeaconClient(#[source] reqwest::Error),
    /// The wall clock stands before the network's genesis.
    #[error(
        "{SAFE_START_OPTION}: the clock of this machine stands before the genesis of {network}; \
         set the clock right"
    )]
    BeforeGenesis {
        /// The network.
        network: String,
    },
    /// The signing threads can't be started.
    #[error("the signing threads can't be started: {0}")]
    Threads(#[source] std::io::Error),
    /// The aggregation threads can't be started.
    #[error("the aggregation threads can't be started: {0}")]
    AggregationThreads(#[source] std::io::Error),
    /// The keys can't be registered.
    #[error(transparent)]
    Keys(#[from] ReloadError),
    /// The operating system refuses signal handlers.
    #[error("signals can't be received: {0}")]
    Signals(#[source] std::io::Error),
    /// The file that names the ports can't be written.
    #[error("the ports file can't be written to {}: {source}", folder.display())]
    PortsFile {
        /// The data folder.
        folder: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
