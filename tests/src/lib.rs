//! Harness for end-to-end tests: the real signer binary, real sockets, real key files.

pub mod beacon_node;
pub mod binary;
pub mod dice;
pub mod fixtures;
pub mod http_client;
pub mod interchange_case;
pub mod interchange_file;
pub mod key_files;
pub mod ledger;
pub mod postgres;
pub mod preload;
pub mod process;
pub mod raw_http;
pub mod released;
pub mod requests;
pub mod signer;
pub mod signing_roots;
pub mod soak;
pub mod spans;
pub mod system_calls;
pub mod wall_clock;

pub use beacon_node::{BeaconNode, BeaconNodeBuilder, Fault};
pub use dice::Dice;
pub use http_client::{Answer, HttpClient};
pub use ledger::{Ledger, Slashable};
pub use raw_http::RawConnection;
pub use signer::{Signer, SignerOptions};
pub use soak::soak;
