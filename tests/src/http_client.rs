//! An HTTP client that sends exactly the headers it is told to: many of the signer's rules hang on
//! a header that is absent.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// How long a test waits for an answer before it calls the signer stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pooled HTTP/1.1 client for one signer.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body bytes.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The `Content-Type`, or the empty text.
    pub fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The signature in either form of answer, as `0x` text.
    ///
    /// # Panics
    /// When the answer is not a 200 with a signature.
    pub fn signature(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        if self.content_type().starts_with("application/json") {
            self.json()["signature"].as_str().expect("a signature member").to_owned()
        } else {
            self.text().to_owned()
        }
    }
}

impl HttpClient {
    /// A client for the signer at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    /// The signer's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request with exactly these headers (and `Host`).
    ///
    /// # Errors
    /// When the connection fails or nothing comes within half a minute.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let exchange = async {
            let response = self.client.request(request).await.context("sending a request")?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.context("reading an answer")?.to_bytes();
            anyhow::Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.context("no answer in half a minute")?
    }

    /// `GET` without an `Accept` header.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// A signing request that accepts JSON.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn sign(&self, public_key: &str, body: &serde_json::Value) -> Result<Answer> {
        self.sign_raw(public_key, body.to_string()).await
    }

    /// A signing request that accepts JSON, with the body as it is.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn sign_raw(&self, public_key: &str, body: impl Into<Bytes>) -> Result<Answer> {
        self.send(
            Method::POST,
            &format!("/api/v1/eth2/sign/{public_key}"),
            &[("accept", "application/json"), ("content-type", "application/json")],
            body,
        )
        .await
    }
}
