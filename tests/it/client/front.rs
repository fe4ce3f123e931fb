//! A server in front of a signer: it keeps its address when the signer is started again, can lack
//! paths as other makes of signers do, and can lose answers.

use std::{
    collections::BTreeSet,
    io::{Error, ErrorKind},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use midslot_tests::{HttpClient, Signer};
use signer_client::client::Endpoint;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// How the front treats requests now.
#[derive(Clone, Default)]
pub(super) struct Manners {
    /// Where requests go; `None` while there is no signer.
    pub(super) signer: Option<SocketAddr>,
    /// Paths that are answered with 404, though not those below them.
    pub(super) lacks: Vec<&'static str>,
    /// Answers after so many requests for many keys are lost: the signer has made them.
    pub(super) loses_after: Option<usize>,
}

/// One request for many keys or one, as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) body: String,
}

/// The running server.
pub(super) struct Front {
    address: SocketAddr,
    pub(super) manners: watch::Sender<Manners>,
    seen: Arc<watch::Sender<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    /// In front of this signer, without these paths.
    pub(super) async fn of(signer: &Signer, lacks: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signer = Some(signer.client.address());
        let (manners, now) =
            watch::channel(Manners { signer, lacks: lacks.to_vec(), loses_after: None });
        let seen: Arc<watch::Sender<Vec<Seen>>> = Arc::default();
        let log = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (now, log) = (now.clone(), log.clone());
                let service = service_fn(move |request| answer(request, now.clone(), log.clone()));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { address, manners, seen, task }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&format!("http://{}", self.address)).unwrap()
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// The paths that were asked for, each once.
    pub(super) fn paths(&self) -> BTreeSet<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// Waits until there have been so many requests.
    pub(super) async fn has_seen(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        let enough = seen.wait_for(|seen| seen.len() >= count);
        tokio::time::timeout(super::PATIENCE, enough).await.expect("a request").unwrap();
    }
}

async fn answer(
    request: Request<Incoming>,
    manners: watch::Receiver<Manners>,
    log: Arc<watch::Sender<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Error> {
    let gone = || Error::from(ErrorKind::ConnectionReset);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| gone())?.to_bytes();
    let path = parts.uri.path().to_owned();
    let now = manners.borrow().clone();
    let mut response = Response::new(Full::default());
    if now.lacks.contains(&path.as_str()) {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let headers: Vec<_> = ["accept", "x-signing-deadline-ms"]
        .into_iter()
        .filter_map(|name| Some((name, parts.headers.get(name)?.to_str().ok()?)))
        .collect();
    let signer = HttpClient::new(now.signer.ok_or_else(gone)?);
    let made = signer.send(parts.method, &path, &headers, body.clone()).await;
    let body = String::from_utf8_lossy(&body).into_owned();
    let is_lost = now.loses_after.is_some_and(|count| log.borrow().len() >= count);
    log.send_modify(|seen| seen.push(Seen { path, body }));
    let made = made.map_err(|_| gone())?;
    if is_lost {
        return Err(gone());
    }
    *response.status_mut() = made.status;
    *response.headers_mut() = made.headers;
    *response.body_mut() = Full::new(made.body);
    Ok(response)
}
