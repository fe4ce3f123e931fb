//! Single requests with the headers and connections of a given client.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{LoadError, profile::Manners, stats::Failure};
use crate::wire::{PublicKey, SignResponse, Signature};

/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;
/// How long an idle connection is kept: less than any signer's limit.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// First pause before a further try; each is ten times the one before (Nimbus).
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Over which connections a request goes. Proofs have connections of their own, so that a duty does
/// not wait for one inside the generator, whose own delays are not what is measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    Duties,
    Proofs,
}

/// The way to the signer.
pub(super) struct Wire {
    duties: Connections,
    proofs: Connections,
    paths: Vec<Uri>,
    probe: Option<Uri>,
    accept: Option<HeaderValue>,
    tries: u32,
    duty_timeout: Duration,
    proof_timeout: Duration,
}

enum Connections {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Wire {
    /// `scale` is the length of a slot, as a multiple of 12 s.
    pub(super) fn new(
        url: &str,
        keys: &[PublicKey],
        manners: &Manners,
        scale: f64,
    ) -> Result<Arc<Self>, LoadError> {
        let base = url.trim_end_matches('/');
        let address =
            |path: String| format!("{base}{path}").parse::<Uri>().map_err(|_| LoadError::Address);
        let paths = keys
            .iter()
            .map(|key| address(format!("/api/v1/eth2/sign/{key}")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Self {
            duties: Connections::new(base, manners)?,
            proofs: Connections::new(base, manners)?,
            paths,
            probe: manners.probe.map(|(path, _)| address(path.to_owned())).transpose()?,
            accept: manners.accept.map(HeaderValue::from_static),
            tries: manners.tries,
            duty_timeout: manners.duty_timeout.mul_f64(scale),
            proof_timeout: manners.proof_timeout.mul_f64(scale),
        }))
    }

    /// Has one object signed by the key in this place.
    pub(super) async fn sign(
        &self,
        lane: Lane,
        key: usize,
        body: &Bytes,
    ) -> Result<Signature, Failure> {
        let path = self.paths.get(key).ok_or(Failure::Malformed)?;
        let (connections, patience) = match lane {
            Lane::Duties => (&self.duties, self.duty_timeout),
            Lane::Proofs => (&self.proofs, self.proof_timeout),
        };
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        let mut tries_left = self.tries;
        loop {
            tries_left = tries_left.saturating_sub(1);
            let exchange = self.exchange(connections, Method::POST, path, body.clone());
            let result = match timeout_at(deadline, exchange).await {
                Err(_) => return Err(Failure::Timeout),
                Ok(result) => result.and_then(|answer| signature(&answer)),
            };
            let may_repeat = match &result {
                Err(Failure::Connection) => true,
                Err(Failure::Status(status)) => matches!(status, 404 | 412 | 500),
                _ => false,
            };
            if tries_left == 0 || !may_repeat {
                return result;
            }
            sleep(pause).await;
            pause *= 10;
        }
    }

    /// Asks for what the client asks for besides signatures.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let Some(path) = &self.probe else { return Ok(()) };
        let exchange = self.exchange(&self.duties, Method::GET, path, Bytes::new());
        match tokio::time::timeout(self.duty_timeout, exchange).await {
            Err(_) => Err(Failure::Timeout),
            Ok(answer) => answer.map(|_| ()),
        }
    }

    async fn exchange(
        &self,
        connections: &Connections,
        method: Method,
        path: &Uri,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let has_body = method == Method::POST;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.clone();
        let headers = request.headers_mut();
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(accept) = &self.accept {
            headers.insert(ACCEPT, accept.clone());
        }
        let sent = match connections {
            Connections::Plain(client) => client.request(request).await,
            Connections::Tls(client) => client.request(request).await,
        };
        let (head, body) = sent.map_err(|_| Failure::Connection)?.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|_| Failure::Connection)?
            .to_bytes();
        match head.status {
            StatusCode::OK => Ok(body),
            status => Err(Failure::Status(status.as_u16())),
        }
    }
}

impl Connections {
    fn new(base: &str, manners: &Manners) -> Result<Self, LoadError> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(manners.idle_connections);
        if !base.starts_with("https://") {
            return Ok(Self::Plain(builder.build(tcp)));
        }
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(LoadError::Authorities)?
            .https_only();
        let connector = if manners.speaks_http2 {
            tls.enable_all_versions().wrap_connector(tcp)
        } else {
            tls.enable_http1().wrap_connector(tcp)
        };
        Ok(Self::Tls(builder.build(connector)))
    }
}

/// The signature in either form: `{"signature":"0x.."}` or the bare text.
fn signature(body: &Bytes) -> Result<Signature, Failure> {
    let body = body.trim_ascii();
    if body.starts_with(b"{") {
        let answer: SignResponse = serde_json::from_slice(body).map_err(|_| Failure::Malformed)?;
        return Ok(answer.signature);
    }
    let text = std::str::from_utf8(body).map_err(|_| Failure::Malformed)?;
    text.parse().map_err(|_| Failure::Malformed)
}
