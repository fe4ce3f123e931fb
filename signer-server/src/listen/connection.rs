//! One client connection: HTTP/1.1, or HTTP/2 in clear text by prior knowledge. An `Upgrade: h2c`
//! header is ignored, as RFC 9113 allows: the connection stays at HTTP/1.1.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::http::normalise_path;

/// Streams that one HTTP/2 connection may have open: Go opens a second connection above it.
const MAX_CONCURRENT_STREAMS: u32 = 4096;

/// How long a connection without an idle timeout sleeps between two looks at it.
const NEVER: Duration = Duration::from_hours(24);

/// Who is at the other end of a connection. Every request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Address and port of the client.
    pub address: SocketAddr,
}

/// How long a connection has carried no request.
struct Activity {
    opened: Instant,
    running: AtomicUsize,
    last_end_ms: AtomicU64,
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            running: AtomicUsize::new(0),
            last_end_ms: AtomicU64::new(0),
        })
    }

    fn request(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Zero while a request runs.
    fn idle_for(&self) -> Duration {
        if self.running.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last_end = Duration::from_millis(self.last_end_ms.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last_end)
    }
}

/// A request in flight; ends when dropped.
struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let since_opened = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end_ms.store(since_opened, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection until the client closes it, it has been idle for too long, or the signer
/// shuts down and the last running request has been answered.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    idle_timeout: Option<Duration>,
    shutdown: CancellationToken,
) {
    // Answers are small: waiting to fill a segment would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let activity = Activity::new();
    let service = {
        let activity = activity.clone();
        hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let running = activity.request();
            let router = router.clone();
            async move {
                let mut request = normalise_path(request.map(Body::new));
                request.extensions_mut().insert(Peer { address: peer });
                let response = router.oneshot(request).await;
                drop(running);
                response
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_CONCURRENT_STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut closing = false;
    loop {
        let idle_left = idle_timeout.unwrap_or(NEVER).saturating_sub(activity.idle_for());
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = shutdown.cancelled(), if !closing => {
                connection.as_mut().graceful_shutdown();
                closing = true;
            }
            () = tokio::time::sleep(idle_left.max(Duration::from_millis(10))), if !closing => {
                if idle_timeout.is_some_and(|timeout| activity.idle_for() >= timeout) {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
            }
        }
    }
}
