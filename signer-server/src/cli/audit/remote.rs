//! The audit of a running signer, read from `GET /midslot/v1/audit`.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Request, StatusCode, Uri,
    header::{ACCEPT, HOST},
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{Row, Rows};
use crate::audit::{Filter, id_text};

const PATH: &str = "/midslot/v1/audit";

/// How long a page may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Largest answer that is read, in bytes. A page has at most 1,000 rows of some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How much of an unexpected answer is shown, in characters.
const SHOWN_CHARACTERS: usize = 300;

/// Why a running signer gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is none that can be asked.
    #[error("--url {url}: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The audit is not served there.
    #[error(
        "the signer at {address} does not serve its audit; start it with --audit-api-enabled=true"
    )]
    NotServed {
        /// Host and port.
        address: String,
    },
    /// The signer refused.
    #[error("the signer at {address} answered {status}: {body}")]
    Refused {
        /// Host and port.
        address: String,
        /// The status.
        status: StatusCode,
        /// The begin of the body.
        body: String,
    },
    /// Nobody answers, or the answer breaks off.
    #[error("the signer at {address} can't be asked: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The answer is no page of an audit.
    #[error("the answer of the signer at {address} can't be understood: {source}")]
    Answer {
        /// Host and port.
        address: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Row>,
    #[serde(deserialize_with = "id_text::optional::deserialize")]
    next: Option<i64>,
}

/// A signer that can be asked.
pub(super) struct RunningSigner {
    authority: Authority,
    /// Path before [`PATH`], without a slash at its end.
    prefix: String,
}

impl RunningSigner {
    pub(super) fn at(url: &str) -> Result<Self, RemoteError> {
        let bad = |url: &str, reason| RemoteError::Address { url: url.to_owned(), reason };
        // What stands before the @ may be a password.
        if url.contains('@') {
            return Err(bad("(not shown)", "an address with a user or password is not supported"));
        }
        let Ok(uri) = url.parse::<Uri>() else {
            return Err(bad(url, "expected an address such as http://127.0.0.1:9000"));
        };
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => Ok(Self {
                authority: authority.clone(),
                prefix: uri.path().trim_end_matches('/').to_owned(),
            }),
            (Some(scheme), _) if *scheme == Scheme::HTTPS => {
                Err(bad(url, "https is not supported; use http from the signer's own host"))
            }
            _ => Err(bad(url, "expected an address such as http://127.0.0.1:9000")),
        }
    }

    pub(super) async fn read(&self, filter: &Filter) -> Result<Rows, RemoteError> {
        let address = self.authority.to_string();
        let unreachable =
            |reason: String| RemoteError::Unreachable { address: address.clone(), reason };
        let (status, body) = timeout(PATIENCE, self.get(filter))
            .await
            .map_err(|_| unreachable("no answer in a minute".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(RemoteError::NotServed { address }),
            status => {
                let text = String::from_utf8_lossy(&body);
                let body = text.trim().chars().take(SHOWN_CHARACTERS);
                let body = body.flat_map(char::escape_debug).collect();
                return Err(RemoteError::Refused { address, status, body });
            }
        }
        let page: Page = serde_json::from_slice(&body)
            .map_err(|source| RemoteError::Answer { address, source })?;
        Ok(Rows { rows: page.entries, next_before_id: page.next })
    }

    async fn get(
        &self,
        filter: &Filter,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let query: Vec<String> = filter
            .to_parameters()
            .into_iter()
            .map(|(name, value)| {
                format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
            })
            .collect();
        let request = Request::get(format!("{}{PATH}?{}", self.prefix, query.join("&")))
            .header(HOST, self.authority.as_str())
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())?;
        // Addresses of version 6 stand in brackets.
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.authority.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with this call.
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
        Ok((parts.status, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_asked() {
        for (url, host, prefix) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000", ""),
            ("http://[::1]:9000/", "[::1]:9000", ""),
            ("http://signer/behind/a/proxy/", "signer", "/behind/a/proxy"),
        ] {
            let signer = RunningSigner::at(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((signer.authority.as_str(), &*signer.prefix), (host, prefix));
        }
    }

    #[test]
    fn other_addresses_are_refused_without_showing_a_password() {
        for url in ["", "127.0.0.1:9000", "ftp://signer", "https://signer:9000", "http://"] {
            assert!(RunningSigner::at(url).is_err(), "{url}");
        }
        let error = RunningSigner::at("http://me:secret@signer").err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
