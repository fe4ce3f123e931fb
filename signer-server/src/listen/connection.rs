//! One client connection: HTTP/1.1, or HTTP/2 in clear text by prior knowledge. An `Upgrade: h2c`
//! header is ignored, as RFC 9113 allows: the connection stays at HTTP/1.1.
//!
//! A client that closes its side, even only for writing, has gone: its requests are dropped.

use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpStream, sync::watch, time::Instant};
use tower::ServiceExt;

use super::{Shutdown, activity::Activity, streamed_body::StreamedBody};
use crate::http::normalise_path;

/// Streams that one HTTP/2 connection may have open: Go opens a second connection above it.
const MAX_CONCURRENT_STREAMS: u32 = 4096;

/// What is read of an HTTP/1.1 connection at a time, in bytes. A head that is not complete after
/// that, or at most after twice as much, is refused.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// How long a connection without an idle timeout sleeps between two looks at it.
const NEVER: Duration = Duration::from_hours(24);

/// How long an idle connection stays open at a shutdown, for a request that is on its way.
const LAST_CALL: Duration = Duration::from_millis(250);

/// How long a client may take to end a connection that is closing and carries no request.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a connection without a request stays open while others wait for its place. Long enough
/// that a client under load, which has connected and not sent its request yet, is not cut.
const IDLE_WHEN_FULL: Duration = Duration::from_secs(5);

/// How long connections without requests stay open.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// Usually; `None` for ever.
    pub(super) idle_timeout: Option<Duration>,
    /// Whether all places are taken.
    pub(super) is_full: watch::Receiver<bool>,
}

impl Patience {
    fn now(&self) -> Option<Duration> {
        let when_full = self.is_full.borrow().then_some(IDLE_WHEN_FULL);
        match (self.idle_timeout, when_full) {
            (Some(usual), Some(when_full)) => Some(usual.min(when_full)),
            (usual, when_full) => usual.or(when_full),
        }
    }

    /// Resolves when [`Self::now`] may have changed.
    async fn changed(&mut self) {
        if self.is_full.changed().await.is_err() {
            // The port is closed: it stays as it is.
            std::future::pending::<()>().await;
        }
    }
}

/// Who is at the other end of a connection. Every request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Address and port of the client.
    pub address: SocketAddr,
}

/// Where a connection is in its life.
#[derive(Clone, Copy)]
enum Phase {
    /// Requests may come.
    Open,
    /// The signer shuts down: one more request may come.
    LastCall { until: Instant },
    /// Running requests end, no more may come.
    Closing { since: Instant },
}

/// Serves one connection until the client closes it, it has been idle for too long, or the signer
/// shuts down and the last running request has been answered.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut patience: Patience,
    shutdown: Shutdown,
) {
    // Answers are small: waiting to fill a segment would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let activity = Activity::new();
    let service = {
        let activity = activity.clone();
        hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let activity = activity.clone();
            let running = activity.request();
            let router = router.clone();
            async move {
                let mut request = normalise_path(request.map(Body::new));
                request.extensions_mut().insert(Peer { address: peer });
                let response: Result<_, Infallible> = router.oneshot(request).await;
                response.map(|response| match response.size_hint().exact() {
                    Some(_) => response,
                    None => response.map(|body| {
                        Body::new(StreamedBody { body, activity, running: Some(running) })
                    }),
                })
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle_timeout)
        .max_buf_size(READ_BUFFER_BYTES);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_CONCURRENT_STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut phase = Phase::Open;
    loop {
        let wait = match phase {
            Phase::Open => patience.now().unwrap_or(NEVER).saturating_sub(activity.idle_for()),
            Phase::LastCall { until } => until.saturating_duration_since(Instant::now()),
            Phase::Closing { since } => CLOSING.saturating_sub(quiet_for(&activity, since)),
        };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = shutdown.cut.cancelled() => return,
            () = shutdown.drain.cancelled(), if matches!(phase, Phase::Open) => {
                phase = Phase::LastCall { until: Instant::now() + LAST_CALL };
            }
            () = patience.changed(), if matches!(phase, Phase::Open) => {}
            () = activity.request_began(), if matches!(phase, Phase::LastCall { .. }) => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
        }
        let is_over = match phase {
            Phase::Open => patience.now().is_some_and(|timeout| activity.idle_for() >= timeout),
            Phase::LastCall { until } => activity.is_running() || Instant::now() >= until,
            Phase::Closing { since } if quiet_for(&activity, since) >= CLOSING => return,
            Phase::Closing { .. } => false,
        };
        if is_over {
            connection.as_mut().graceful_shutdown();
            phase = Phase::Closing { since: Instant::now() };
        }
    }
}

/// How long a closing connection has carried no request.
fn quiet_for(activity: &Activity, closing_since: Instant) -> Duration {
    activity.idle_for().min(closing_since.elapsed())
}
