//! From a TCP port to requests: the accept loop, idle connections, and the drain at the end.

mod connection;
mod server;

pub use connection::Peer;
pub use server::{ListenError, Listener, OpenListener, serve};
