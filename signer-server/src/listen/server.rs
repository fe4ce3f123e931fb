//! The accept loop of one port.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_util::task::TaskTracker;

use super::{
    Shutdown,
    connection::{self, Patience},
};

/// Connections that the kernel may hold before they are accepted. A validator client opens
/// hundreds at once when a slot's attestations are due.
const BACKLOG: u32 = 4096;
/// Pause after an accept that failed, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host name means no address.
    #[error("the host {host} can't be resolved ({option_host})")]
    UnknownHost {
        /// The configured host.
        host: String,
        /// The option that gave it.
        option_host: &'static str,
        /// What the resolver said.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The operating system refused the port.
    #[error("can't listen on {address} ({option_port}): {source}")]
    Bind {
        /// The address that was tried.
        address: SocketAddr,
        /// The option that gave the port.
        option_port: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A port that is ours but turns connections away until [`Listener::open`]. So a busy port is found
/// before minutes are spent on keystores, and no client waits on a signer that has no keys yet.
pub struct Listener {
    socket: TcpSocket,
    address: SocketAddr,
    option_port: &'static str,
}

/// A port that holds connections until they are served.
pub struct OpenListener(TcpListener);

impl Listener {
    /// Takes `host:port`; port 0 picks a free one. The option names go into errors.
    ///
    /// # Errors
    /// When the host means no address or the operating system refuses the port.
    pub fn bind(
        host: &str,
        port: u16,
        option_host: &'static str,
        option_port: &'static str,
    ) -> Result<Self, ListenError> {
        let unknown =
            |source| ListenError::UnknownHost { host: host.to_owned(), option_host, source };
        let take = |address: SocketAddr| {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address, option_port })
        };
        // `localhost` may mean an IPv6 address first, on a machine that has no IPv6.
        let mut refusal = unknown(None);
        for address in (host, port).to_socket_addrs().map_err(|source| unknown(Some(source)))? {
            match take(address) {
                Ok(listener) => return Ok(listener),
                Err(source) => refusal = ListenError::Bind { address, option_port, source },
            }
        }
        Err(refusal)
    }

    /// Lets connections in. Needs the runtime.
    ///
    /// # Errors
    /// When another process has opened the port meanwhile.
    pub fn open(self) -> Result<OpenListener, ListenError> {
        let Self { socket, address, option_port } = self;
        socket.listen(BACKLOG).map(OpenListener).map_err(|source| ListenError::Bind {
            address,
            option_port,
            source,
        })
    }

    /// The address that clients reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What the connections of one port may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most of them at a time. Further ones wait with the kernel until another one ends, and those
    /// that carry no request end soon.
    pub connections: usize,
    /// One without requests is closed after this time; `None` never closes it.
    pub idle_timeout: Option<Duration>,
}

/// Accepts connections until `shutdown`, then lets running requests end. Returns when the last
/// connection has ended; the caller limits how long it waits for that.
pub async fn serve(listener: OpenListener, router: Router, limits: Limits, shutdown: Shutdown) {
    let Limits { connections: most, idle_timeout } = limits;
    let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let (full, is_full) = watch::channel(false);
    let connections = TaskTracker::new();
    let spawn = |stream: TcpStream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>| {
        // A client of IPv4 looks like one of IPv6 to a port that serves both.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let patience = Patience { idle_timeout, is_full: is_full.clone() };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            connection::serve(stream, peer, router, patience, shutdown).await;
            drop(place);
        });
    };
    let mut is_failing = false;
    let mut has_warned = false;
    loop {
        let is_full = free.available_permits() == 0;
        full.send_if_modified(|was_full| std::mem::replace(was_full, is_full) != is_full);
        if is_full && !has_warned {
            // Once: at the limit every connection that ends makes room for one that fills it again.
            has_warned = true;
            tracing::warn!("all {most} connections are in use: new ones wait for one to end");
        }
        let (place, accepted) = tokio::select! {
            () = shutdown.drain.cancelled() => break,
            next = next(&listener.0, &free) => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                spawn(stream, peer, place);
            }
            Err(error) => {
                // One line for a row of failures, not one for each.
                if !is_failing {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                is_failing = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // These are at most as many as the kernel held, and end with their first answer.
    if let Err(error) = accept_waiting(listener, |stream, peer| spawn(stream, peer, None)) {
        tracing::warn!(%error, "connections that waited to be accepted were turned away");
    }
    connections.close();
    connections.wait().await;
}

/// Waits for a free place, then for a connection to take it.
async fn next(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, std::io::Result<(TcpStream, SocketAddr)>) {
    // Never closed, so there is always a permit in the end.
    let place = free.clone().acquire_owned().await.ok();
    (place, listener.accept().await)
}

/// Accepts what the kernel has already promised clients, who may have sent their request by now,
/// and closes the port.
fn accept_waiting(
    listener: OpenListener,
    spawn: impl Fn(TcpStream, SocketAddr),
) -> std::io::Result<()> {
    let listener = listener.0.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                spawn(TcpStream::from_std(stream)?, peer);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
