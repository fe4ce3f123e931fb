//! One HTTP exchange with one endpoint, and what its answer means.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    redirect,
};
use tokio::time::Instant;

use super::{Endpoint, HttpOptions, SetupError};
use crate::{
    client::{Deadline, SignError},
    wire::{SignResponse, Signature},
};

/// Milliseconds until the signature is worth nothing; Midslot refuses at once what it can't meet,
/// other signers ignore the header.
const DEADLINE_HEADER: &str = "X-Signing-Deadline-Ms";
pub(super) const JSON: &str = "application/json";
pub(super) const OCTETS: &str = "application/octet-stream";
const EVENT_STREAM: &str = "text/event-stream, application/json;q=0.5";
const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Largest answer that is read, in bytes: a batch of 16,384 keys has 6 MB.
const ANSWER_LIMIT: usize = 64 << 20;

/// What is sent.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Bytes,
    /// Of the body.
    pub(super) content_type: &'static str,
}

/// A complete answer.
pub(super) struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// The HTTP status.
    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// The body of a success.
    pub(super) fn success(&self) -> Result<&[u8], SignError> {
        match self.status {
            200..=299 => Ok(&self.body),
            status => Err(SignError::from_status(status, self.retry_after, &self.error_text())),
        }
    }

    /// The signature in either form: `{"signature":"0x.."}` or the bare text.
    pub(super) fn signature(&self) -> Result<Signature, SignError> {
        let body = self.success()?.trim_ascii();
        if body.starts_with(b"{") {
            return serde_json::from_slice::<SignResponse>(body)
                .map(|answer| answer.signature)
                .map_err(|_| SignError::Malformed("expected a JSON object with a signature"));
        }
        std::str::from_utf8(body)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(SignError::Malformed("expected a signature of 96 bytes"))
    }

    /// Whether the endpoint has no such path: an older signer, or another make.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self.status, 404 | 405 | 501)
    }

    /// Whether there was too much in the request.
    pub(super) const fn is_too_large(&self) -> bool {
        self.status == 413
    }

    /// The message of `{"code","message"}`, or the body as it is.
    pub(super) fn error_text(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        serde_json::from_slice::<Message>(&self.body)
            .map_or_else(|_| String::from_utf8_lossy(&self.body).into_owned(), |body| body.message)
    }
}

/// One endpoint with its pool of connections: one pool for each address and identity.
pub(super) struct Connection {
    endpoint: Endpoint,
    client: Client,
    rests_until: Mutex<Option<Instant>>,
}

impl Connection {
    pub(super) fn new(endpoint: Endpoint, options: &HttpOptions) -> Result<Self, SetupError> {
        // No proxy and no redirect: keys' traffic goes where the operator said and nowhere else.
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle_connections);
        if let Some(pem) = &endpoint.tls.authorities_pem {
            let authorities =
                Certificate::from_pem_bundle(pem).map_err(|_| SetupError::Authorities)?;
            if authorities.is_empty() {
                return Err(SetupError::Authorities);
            }
            builder = builder.tls_certs_only(authorities);
        }
        if let Some(identity) = &endpoint.tls.identity {
            builder = builder.identity(identity.get());
        }
        let client = builder.build().map_err(SetupError::Tls)?;
        Ok(Self { endpoint, client, rests_until: Mutex::new(None) })
    }

    /// Whether it failed a short while ago.
    pub(super) fn rests(&self) -> bool {
        self.rests_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Puts it last in the choice for a while.
    pub(super) fn rest_for(&self, time: Duration) {
        *self.rests_until.lock() = Some(Deadline::within(time).instant());
    }

    /// Takes it as sound again.
    pub(super) fn answered(&self) {
        *self.rests_until.lock() = None;
    }

    /// Asks for events, those behind the last one that is known. Waits for the head of the answer.
    pub(super) async fn open_events(
        &self,
        path: &str,
        last: Option<u64>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self.request(Method::GET, path).header(ACCEPT, EVENT_STREAM);
        if let Some(last) = last {
            request = request.header(LAST_EVENT_ID, last.to_string());
        }
        request.send().await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.endpoint.address_of(path));
        match &self.endpoint.token {
            Some(token) => request.header(AUTHORIZATION, token.header()),
            None => request,
        }
    }

    /// Sends the call once and reads the whole answer. The caller bounds the time.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        deadline: Deadline,
    ) -> Result<Answer, reqwest::Error> {
        // `/upcheck` of Web3Signer has text only, everything else has JSON.
        let mut request = self
            .request(call.method.clone(), &call.path)
            .header(ACCEPT, "application/json, text/plain;q=0.5");
        if matches!(call.method, Method::POST | Method::PUT) {
            let left = deadline.remaining().as_millis().to_string();
            request = request
                .header(CONTENT_TYPE, call.content_type)
                .header(DEADLINE_HEADER, left)
                .body(call.body.clone());
        }
        read(request.send().await?).await
    }
}

pub(super) async fn read(mut response: Response) -> Result<Answer, reqwest::Error> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            // What is cut can't be parsed, and is then reported as malformed.
            break;
        }
    }
    Ok(Answer { status, retry_after, body })
}

/// The error of an exchange, without the address, which says nothing new.
pub(super) fn transport(error: reqwest::Error) -> SignError {
    SignError::Transport(Arc::new(error.without_url()))
}
