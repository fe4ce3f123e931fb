//! Who a client is, as far as its connection tells.

use crate::{audit::Client, listen::Peer};

/// The client of a connection: its address, as long as connections carry no certificates.
pub(super) fn client(peer: Peer) -> Client {
    Client { address: Some(peer.address.ip()), ..Client::default() }
}
