//! A server that answers as a test says, and remembers what it was asked.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    client::{Deadline, Endpoint, HttpOptions, HttpSigner},
    wire::{
        AttestationData, Checkpoint, Epoch, ForkInfo, ForkVersion, ForkVersions, PublicKey,
        QuotedU64, Root, SignPayload, SignRequest, Slot,
    },
};

/// What the server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it answers.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) after: Duration,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
    }

    /// The signature of 96 times this byte.
    pub(super) fn signature(byte: u8) -> Self {
        Self::new(200, format!(r#"{{"signature":"{}"}}"#, signature_text(byte)))
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

pub(super) fn signature_text(byte: u8) -> String {
    const_hex::encode_prefixed([byte; 96])
}

#[derive(Default)]
struct Counts {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// A server on loopback; ends when dropped.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    counts: Arc<Counts>,
    // Dropping it ends the server.
    _tasks: JoinSet<()>,
}

type Rule = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

impl Fake {
    pub(super) async fn start(rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, Arc::new(rule)).await
    }

    pub(super) async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::start_with(Some(acceptor), Arc::new(|_| Reply::signature(1))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>, rule: Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let seen = counts.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let (tls, rule, seen) = (tls.clone(), rule.clone(), seen.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, rule, seen).await,
                        // A client that does not pass has no connection.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, rule, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, counts, _tasks: tasks }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.counts.asked.lock().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.counts.most_at_once.load(Ordering::Relaxed)
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&format!("http://{}", self.address)).unwrap()
    }

    pub(super) fn client(&self, options: HttpOptions) -> HttpSigner {
        HttpSigner::new(vec![self.endpoint()], options).unwrap()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    rule: Rule,
    counts: Arc<Counts>,
) {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (rule, counts) = (rule.clone(), counts.clone());
        async move {
            let (parts, body) = request.into_parts();
            let asked = Asked {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                headers: parts.headers,
                body: body.collect().await.unwrap().to_bytes(),
            };
            let reply = rule(&asked);
            counts.asked.lock().push(asked);
            let at_once = counts.at_once.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most_at_once.fetch_max(at_once, Ordering::Relaxed);
            tokio::time::sleep(reply.after).await;
            counts.at_once.fetch_sub(1, Ordering::Relaxed);
            let mut response =
                Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
            for (name, value) in reply.headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(reply.body))).unwrap())
        }
    });
    // It ends with an error when the client goes away.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

pub(super) fn keys(count: u8) -> Vec<PublicKey> {
    (1..=count).map(|byte| PublicKey([byte; 48])).collect()
}

pub(super) fn fork_info() -> ForkInfo {
    ForkInfo {
        fork: ForkVersions {
            previous_version: ForkVersion([5, 0, 0, 0]),
            current_version: ForkVersion([6, 0, 0, 0]),
            epoch: Epoch(1),
        },
        genesis_validators_root: Root([3; 32]),
    }
}

/// An unslashable request.
pub(super) fn proof_request() -> SignRequest {
    crate::client::Selection::Attestation.request(Slot(77), fork_info())
}

/// A slashable one.
pub(super) fn attestation() -> SignRequest {
    let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([4; 32]) };
    SignRequest {
        fork_info: Some(fork_info()),
        signing_root: None,
        payload: SignPayload::Attestation(AttestationData {
            slot: Slot(77),
            index: QuotedU64(0),
            beacon_block_root: Root([5; 32]),
            source: checkpoint(1),
            target: checkpoint(2),
        }),
    }
}

pub(super) fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

/// An address where nobody listens.
pub(super) async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}
