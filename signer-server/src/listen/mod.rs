//! From a TCP port to requests: the accept loop, idle connections, and the drain at the end.

mod activity;
mod connection;
mod descriptors;
mod server;
mod streamed_body;

pub use connection::Peer;
pub use descriptors::{affordable_connections, allow_many_connections};
pub use server::{Limits, ListenError, Listener, OpenListener, serve};
use tokio_util::sync::CancellationToken;

/// How ports and their connections are told to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// No new connections; those that are open end with their running requests.
    pub drain: CancellationToken,
    /// Connections end now, whatever they carry.
    pub cut: CancellationToken,
}
