//! One beacon node over HTTP: the requests of the standard Beacon API that are used, with bounded
//! answers and times.

use std::{error::Error, time::Duration};

use reqwest::{
    Client, Method, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use serde::de::DeserializeOwned;
use signer_client::wire::{Epoch, ForkVersions, PublicKey, Slot};
use tokio::task::block_in_place;

use super::{
    BeaconAddress,
    answers::{
        AttesterDuties, Data, ForkScheduleAnswer, Genesis, HeadFork, Spec, SyncDuty, Syncing,
        Validator,
    },
    chain::WrongChain,
    directory::Impossible,
};
use crate::telemetry::logs::with_causes;

/// Largest answer of a fixed size, in bytes: the specification has about 15,000.
const SMALL_ANSWER: usize = 256 << 10;
/// From this size on reading an answer is no quick step any more, in bytes.
const LONG_ANSWER: usize = 64 << 10;
/// What an answer may take for each validator that was asked for, in bytes; the largest, a validator
/// with its balances and epochs, has about 650.
const PER_VALIDATOR: usize = 2 << 10;
/// Validators in one request by POST.
pub(super) const VALIDATORS_AT_ONCE: usize = 2_000;
/// Keys in the address of a GET (Beacon API, `getStateValidators`).
const KEYS_IN_ADDRESS: usize = 64;

/// Why a beacon node was of no use. Names no address and nothing of unbounded length.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {problem}")]
pub(super) struct NodeError {
    /// What it was asked for.
    pub(super) what: &'static str,
    #[source]
    pub(super) problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// No answer, or none that ended in time.
    #[error("{0}")]
    Unreachable(String),
    /// Every answer came in time, and together they took too long.
    #[error("not all of its answers came within {0:?}")]
    TooSlow(Duration),
    #[error("the answer's status is {0}")]
    Status(u16),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    // What the parser says may repeat what it read.
    #[error("the answer is not of the standard form (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error(transparent)]
    WrongChain(#[from] WrongChain),
    #[error("its head is at slot {head}, now is slot {now}")]
    NotSynced { head: Slot, now: Slot },
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// Why a beacon node was of no use, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFailure {
    /// No answer, or none that ended in time, or too many slow ones.
    Unreachable,
    /// A status other than success.
    Status,
    /// An answer that is too long, unreadable or impossible.
    Answer,
    /// It is on another chain.
    WrongChain,
    /// It is behind.
    NotSynced,
}

impl NodeError {
    pub(super) fn label(&self) -> NodeFailure {
        match self.problem {
            Problem::Unreachable(_) | Problem::TooSlow(_) => NodeFailure::Unreachable,
            Problem::Status(_) => NodeFailure::Status,
            Problem::TooLong(_) | Problem::Malformed { .. } | Problem::Impossible(_) => {
                NodeFailure::Answer
            }
            Problem::WrongChain(_) => NodeFailure::WrongChain,
            Problem::NotSynced { .. } => NodeFailure::NotSynced,
        }
    }
}

impl Problem {
    fn unreachable(error: reqwest::Error) -> Self {
        let error = error.without_url();
        Self::Unreachable(with_causes(&error as &(dyn Error + 'static)))
    }

    /// Whether the node has no such request: an older one.
    fn is_absent(&self) -> bool {
        matches!(self, Self::Status(404 | 405 | 501))
    }
}

/// One beacon node.
pub(super) struct Node {
    pub(super) address: BeaconAddress,
    client: Client,
    /// It does not take the keys of validators as a body.
    has_get_only: bool,
}

struct Ask<'a> {
    what: &'static str,
    method: Method,
    path: &'a str,
    body: Option<Vec<u8>>,
    limit: usize,
}

impl Node {
    /// A client with connections of its own. Connects with the first request.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub(super) fn new(address: BeaconAddress, timeout: Duration) -> Result<Self, reqwest::Error> {
        // No proxy and no redirect: the address goes where the operator said and nowhere else.
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .pool_max_idle_per_host(1)
            // Shorter than the servers' own limits, or requests meet closed connections.
            .pool_idle_timeout(Duration::from_secs(4))
            .timeout(timeout);
        if !address.is_https() {
            // A machine without any certificates is then good enough.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { address, client: builder.build()?, has_get_only: false })
    }

    pub(super) async fn syncing(&self) -> Result<Syncing, NodeError> {
        self.get("sync state", "/eth/v1/node/syncing").await.map(|Data { data }| data)
    }

    pub(super) async fn genesis(&self) -> Result<Genesis, NodeError> {
        self.get("genesis", "/eth/v1/beacon/genesis").await.map(|Data { data }| data)
    }

    pub(super) async fn spec(&self) -> Result<Spec, NodeError> {
        self.get("specification", "/eth/v1/config/spec").await.map(|Data { data }| data)
    }

    /// All forks, as far as scheduled; `None` where the node does not tell them.
    pub(super) async fn fork_schedule(&self) -> Result<Option<Vec<ForkVersions>>, NodeError> {
        match self.get("fork schedule", "/eth/v1/config/fork_schedule").await {
            Ok(ForkScheduleAnswer { data }) => Ok(Some(data)),
            Err(error) if error.problem.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The fork of its head.
    pub(super) async fn head_fork(&self) -> Result<ForkVersions, NodeError> {
        let HeadFork { data } = self.get("fork", "/eth/v1/beacon/states/head/fork").await?;
        Ok(data)
    }

    /// What it knows of validators with these keys, at most [`VALIDATORS_AT_ONCE`].
    pub(super) async fn validators(
        &mut self,
        keys: &[PublicKey],
    ) -> Result<Vec<Validator>, NodeError> {
        const PATH: &str = "/eth/v1/beacon/states/head/validators";
        let what = "validators";
        if !self.has_get_only {
            let body = serde_json::json!({ "ids": keys }).to_string().into_bytes();
            let limit = SMALL_ANSWER + keys.len() * PER_VALIDATOR;
            let ask = Ask { what, method: Method::POST, path: PATH, body: Some(body), limit };
            match self.ask(ask).await {
                Ok(Data { data }) => return Ok(data),
                Err(error) if error.problem.is_absent() => self.has_get_only = true,
                Err(error) => return Err(error),
            }
        }
        let mut found = Vec::new();
        for part in keys.chunks(KEYS_IN_ADDRESS) {
            let ids: Vec<_> = part.iter().map(PublicKey::to_string).collect();
            let path = format!("{PATH}?id={}", ids.join(","));
            let limit = SMALL_ANSWER + part.len() * PER_VALIDATOR;
            let ask = Ask { what, method: Method::GET, path: &path, body: None, limit };
            let Data { data } = self.ask::<Data<Vec<Validator>>>(ask).await?;
            found.extend(data);
        }
        Ok(found)
    }

    /// When validators attest in an epoch.
    pub(super) async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[u64],
    ) -> Result<AttesterDuties, NodeError> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        self.post("attester duties", &path, indices).await
    }

    /// Which validators are in the sync committee of an epoch.
    pub(super) async fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[u64],
    ) -> Result<Vec<SyncDuty>, NodeError> {
        let path = format!("/eth/v1/validator/duties/sync/{epoch}");
        self.post("sync committee duties", &path, indices).await.map(|Data { data }| data)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
    ) -> Result<T, NodeError> {
        let (method, limit) = (Method::GET, SMALL_ANSWER);
        self.ask(Ask { what, method, path, body: None, limit }).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        indices: &[u64],
    ) -> Result<T, NodeError> {
        let texts: Vec<_> = indices.iter().map(u64::to_string).collect();
        let body = Some(serde_json::json!(texts).to_string().into_bytes());
        let limit = SMALL_ANSWER + indices.len() * PER_VALIDATOR;
        self.ask(Ask { what, method: Method::POST, path, body, limit }).await
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, NodeError> {
        let what = ask.what;
        self.exchange(ask).await.map_err(|problem| NodeError { what, problem })
    }

    async fn exchange<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Problem> {
        let Ask { method, path, body, limit, .. } = ask;
        let mut request = self.client.request(method, self.address.of_path(path));
        request = request.header(ACCEPT, "application/json");
        if let Some(authorization) = self.address.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(Problem::unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Problem::Status(status.as_u16()));
        }
        let body = read(response, limit).await?;
        let parse = || {
            serde_json::from_slice(&body)
                .map_err(|error| Problem::Malformed { line: error.line(), column: error.column() })
        };
        // Thousands of validators take milliseconds: the signing requests of this thread move to
        // another one meanwhile.
        if body.len() > LONG_ANSWER { block_in_place(parse) } else { parse() }
    }
}

/// The body, if it is not longer than that.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Problem::unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Problem::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
