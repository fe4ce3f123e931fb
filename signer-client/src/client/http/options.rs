//! Where the signers are, and how to treat them.

use std::{fmt, time::Duration};

use reqwest::{Url, header::HeaderValue};

use super::TlsOptions;

/// Why a client can't be built. Never carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is no signer to talk to.
    #[error("at least one endpoint is needed")]
    NoEndpoint,
    /// The address is not `http://` or `https://` with a host, or carries more than that and a path.
    #[error("the signer's address {0}")]
    Address(&'static str),
    /// The token can't be sent in a header.
    #[error("a bearer token must be visible ASCII characters and not empty")]
    Token,
    /// The client's certificate or key can't be used; says why.
    #[error("client identity: {0}")]
    Identity(&'static str),
    /// The certificates of the authorities can't be used.
    #[error("the authorities' certificates are not in PEM, or there are none")]
    Authorities,
    /// TLS can't be set up with these options.
    #[error("TLS can't be set up")]
    Tls(#[source] reqwest::Error),
}

/// A bearer token (RFC 6750). Its `Debug` form does not show it.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// Blanks and line ends around the token are dropped, so that it may come from a file.
    ///
    /// # Errors
    /// [`SetupError::Token`].
    pub fn new(token: &str) -> Result<Self, SetupError> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SetupError::Token);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| SetupError::Token)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BearerToken(..)")
    }
}

/// One signer: where it is, and how to show who one is.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(super) url: Url,
    pub(super) token: Option<BearerToken>,
    pub(super) tls: TlsOptions,
}

impl Endpoint {
    /// The signer at this address, such as `https://signer.example:9000` or with a path before the
    /// API's own. Credentials in the address are refused, because addresses end up in logs.
    ///
    /// # Errors
    /// [`SetupError::Address`].
    pub fn new(url: &str) -> Result<Self, SetupError> {
        let url = Url::parse(url)
            .map_err(|_| SetupError::Address("is no URL such as http://localhost:9000"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(SetupError::Address("must begin with http:// or https:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SetupError::Address("must not carry a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SetupError::Address("must end with the path"));
        }
        Ok(Self { url, token: None, tls: TlsOptions::default() })
    }

    /// Sends this token with every request.
    #[must_use]
    pub fn with_token(mut self, token: BearerToken) -> Self {
        self.token = Some(token);
        self
    }

    /// Uses these TLS options.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// The full address of a path of the API.
    pub(super) fn address_of(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }
}

/// How to treat signers.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long a connection may rest before it is closed. Must be shorter than the signer's own
    /// limit (Web3Signer 30 s, Midslot 120 s), or requests meet closed connections. Default 20 s.
    pub idle_timeout: Duration,
    /// Resting connections kept for each endpoint. Default 64.
    pub max_idle_connections: usize,
    /// How long to wait for a connection. Default 2 s.
    pub connect_timeout: Duration,
    /// How often a request that failed without fault of its own is sent again, inside its deadline.
    /// Default 2. A request on a connection that turns out to be closed has one more.
    pub max_retries: u32,
    /// First pause before such a repetition; doubled each time, and up to half of it is random.
    /// Default 50 ms.
    pub retry_pause: Duration,
    /// How long an endpoint that can't be reached comes last in the choice. Default 5 s.
    pub rest_after_failure: Duration,
    /// When a request for something unslashable has no answer after this time, send it a second
    /// time, to another endpoint if there is one, and take the first signature. Default: never.
    pub hedge_after: Option<Duration>,
    /// Whether all endpoints share one slashing protection database. Without it blocks, attestations
    /// and generic objects go to the first endpoint only: another one would not know what it has
    /// signed. Default false.
    pub shared_slashing_protection: bool,
    /// Most keys in one request of many. Default 4096.
    pub batch_keys: usize,
    /// Most single requests at once for one batch, where the signer has no batch endpoint.
    /// Default 16.
    pub singles_in_flight: usize,
    /// Aggregation jobs with at least so many signatures are submitted as SSZ, which has half the
    /// size: 0 for all, `usize::MAX` for none. Default 256.
    pub ssz_from_entries: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(20),
            max_idle_connections: 64,
            connect_timeout: Duration::from_secs(2),
            max_retries: 2,
            retry_pause: Duration::from_millis(50),
            rest_after_failure: Duration::from_secs(5),
            hedge_after: None,
            shared_slashing_protection: false,
            batch_keys: 4096,
            singles_in_flight: 16,
            ssz_from_entries: 256,
        }
    }
}
