//! A real PostgreSQL for the tests: private clusters, a database per test, and faults.
//!
//! [`PostgresCluster::shared`] is one cluster for the whole test binary, where nothing can be broken;
//! [`PostgresCluster::start`] gives a test its own, to stop, kill, pause, and take back in time.
//! Both lie in a folder of their own that goes away with the process that made them, however that
//! process ends.

mod backup;
mod binaries;
mod cluster;
mod database;
mod folder;
mod processes;
mod proxy;
mod setup;
mod tls;
mod web3signer;

pub use backup::Backup;
pub use cluster::PostgresCluster;
pub use database::TestDatabase;
pub use proxy::{CutProxy, Fault, Moment};
pub use tls::{Authority, Identity};
pub use web3signer::{WEB3SIGNER_VERSION, Web3SignerWorker};
