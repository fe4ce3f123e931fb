//! The signer over HTTP: which endpoint, how often, how long.
//!
//! Every request is one [`Call`] whose bytes stay the same however often and wherever it is sent, so
//! that a repetition asks for the identical signature and can't be slashable.

mod aggregation;
mod batch;
mod event_stream;
mod events;
mod exchange;
mod options;
mod tls;

use std::{fmt, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::future::{self, Either};
use reqwest::Method;
use serde::Serialize;
use tokio::time::{sleep, timeout};

pub use options::{BearerToken, Endpoint, HttpOptions, SetupError};
pub use tls::{ClientIdentity, TlsOptions};

use self::{
    batch::Abilities,
    exchange::{Answer, Call, Connection, JSON},
};
use super::{BoxFuture, Deadline, KeyResults, ProofBatch, RemoteSigner, SignError};
use crate::wire::{PublicKey, SignPayload, SignRequest, Signature};

/// A signer, or several that hold the same keys, over HTTP.
pub struct HttpSigner {
    connections: Vec<Connection>,
    options: HttpOptions,
    abilities: Abilities,
}

impl fmt::Debug for HttpSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpSigner")
            .field("endpoints", &self.connections.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Where a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Any endpoint, in order, sound ones first.
    Any,
    /// The first endpoint only.
    FirstOnly,
}

impl HttpSigner {
    /// A client for these endpoints, the preferred one first. Connects with the first request.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(endpoints: Vec<Endpoint>, options: HttpOptions) -> Result<Self, SetupError> {
        if endpoints.is_empty() {
            return Err(SetupError::NoEndpoint);
        }
        let connections = endpoints
            .into_iter()
            .map(|endpoint| Connection::new(endpoint, &options))
            .collect::<Result<_, _>>()?;
        Ok(Self { connections, options, abilities: Abilities::default() })
    }

    /// Opens up to so many connections to every endpoint, for example just before a slot begins.
    /// What can't be opened is left to the requests themselves.
    pub async fn warm_up(&self, connections: usize, deadline: Deadline) {
        let call = get("/upcheck");
        let checks = self.connections.iter().flat_map(|connection| {
            (0..connections)
                .map(|_| timeout(deadline.remaining(), connection.exchange(&call, deadline)))
        });
        drop(future::join_all(checks).await);
    }

    /// Where a payload may go: to other endpoints only if nothing slashable can come of it.
    fn reach_of(&self, payload: &SignPayload) -> Reach {
        if self.options.shared_slashing_protection || !is_slashable(payload) {
            Reach::Any
        } else {
            Reach::FirstOnly
        }
    }

    /// The best endpoint not yet tried in this round; `tried` is emptied when all have been.
    fn choose(&self, reach: Reach, tried: &mut Vec<usize>) -> usize {
        let candidates = match reach {
            Reach::Any => self.connections.len(),
            Reach::FirstOnly => 1,
        };
        if tried.len() >= candidates {
            tried.clear();
        }
        let best = (0..candidates)
            .filter(|index| !tried.contains(index))
            .min_by_key(|index| self.connections[*index].rests())
            .unwrap_or_default();
        tried.push(best);
        best
    }

    /// Sends a call until there is an answer that more sending would not better.
    ///
    /// `tried` are endpoints to leave out at first.
    async fn send(
        &self,
        call: &Call,
        reach: Reach,
        deadline: Deadline,
        mut tried: Vec<usize>,
    ) -> Result<Answer, SignError> {
        let mut pause = self.options.retry_pause;
        let mut retries_left = self.options.max_retries;
        let mut stale_connection_left = true;
        loop {
            let chosen = self.choose(reach, &mut tried);
            let connection = &self.connections[chosen];
            let left = deadline.remaining();
            if left.is_zero() {
                return Err(SignError::DeadlinePassed);
            }
            // An endpoint that hangs must leave time for another one.
            let another = reach == Reach::Any && tried.len() < self.connections.len();
            let patience = if another && retries_left > 0 { left / 2 } else { left };
            let error = match timeout(patience, connection.exchange(call, deadline)).await {
                Ok(Ok(answer)) => {
                    connection.answered();
                    match answer.success() {
                        Err(error) if error.is_transient() => error,
                        _ => return Ok(answer),
                    }
                }
                Ok(Err(error)) if !error.is_connect() && stale_connection_left => {
                    // Most likely the signer closed a resting connection at this very moment.
                    stale_connection_left = false;
                    tried.retain(|index| *index != chosen);
                    continue;
                }
                Ok(Err(error)) => {
                    connection.rest_for(self.options.rest_after_failure);
                    exchange::transport(error)
                }
                Err(_) => {
                    connection.rest_for(self.options.rest_after_failure);
                    SignError::DeadlinePassed
                }
            };
            if retries_left == 0 {
                return Err(error);
            }
            retries_left -= 1;
            if !another {
                let wait = wait_after(&error, pause);
                if wait >= deadline.remaining() {
                    return Err(error);
                }
                sleep(wait).await;
                pause = pause.saturating_mul(2);
            }
        }
    }

    /// [`Self::send`], and a second time beside it when the answer is late.
    async fn send_hedged(
        &self,
        call: &Call,
        reach: Reach,
        deadline: Deadline,
        after: Duration,
    ) -> Result<Answer, SignError> {
        let first = pin!(self.send(call, reach, deadline, Vec::new()));
        let late = pin!(sleep(after));
        let first = match future::select(first, late).await {
            Either::Left((result, _)) => return result,
            Either::Right(((), first)) => first,
        };
        let busy = self.choose(reach, &mut Vec::new());
        let second = pin!(self.send(call, reach, deadline, vec![busy]));
        // An answer that brings nothing must not beat one that is still on its way.
        let is_success = |result: &Result<Answer, SignError>| matches!(result, Ok(answer) if answer.success().is_ok());
        match future::select(first, second).await {
            Either::Left((result, second)) if !is_success(&result) => second.await,
            Either::Right((result, first)) if !is_success(&result) => first.await,
            Either::Left((result, _)) | Either::Right((result, _)) => result,
        }
    }

    async fn sign_one(
        &self,
        key: &PublicKey,
        request: &SignRequest,
        deadline: Deadline,
    ) -> Result<Signature, SignError> {
        let call = post(format!("/api/v1/eth2/sign/{key}"), request)?;
        let reach = self.reach_of(&request.payload);
        let answer = match self.options.hedge_after {
            Some(after) if !is_slashable(&request.payload) => {
                self.send_hedged(&call, reach, deadline, after).await?
            }
            _ => self.send(&call, reach, deadline, Vec::new()).await?,
        };
        answer.signature()
    }
}

impl RemoteSigner for HttpSigner {
    fn sign<'a>(
        &'a self,
        key: &'a PublicKey,
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        Box::pin(self.sign_one(key, request, deadline))
    }

    fn sign_batch<'a>(
        &'a self,
        keys: &'a [PublicKey],
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        Box::pin(self.sign_many(keys, request, deadline))
    }

    fn selection_proofs<'a>(
        &'a self,
        proofs: &'a ProofBatch,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        Box::pin(self.make_proofs(proofs, deadline))
    }

    fn public_keys(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<PublicKey>, SignError>> {
        Box::pin(async move {
            let call = get("/api/v1/eth2/publicKeys");
            let answer = self.send(&call, Reach::Any, deadline, Vec::new()).await?;
            serde_json::from_slice(answer.success()?)
                .map_err(|_| SignError::Malformed("expected a JSON array of public keys"))
        })
    }

    fn up(&self, deadline: Deadline) -> BoxFuture<'_, Result<(), SignError>> {
        Box::pin(async move {
            let call = get("/upcheck");
            self.send(&call, Reach::Any, deadline, Vec::new()).await?.success().map(|_| ())
        })
    }
}

/// Whether a validator could be slashed for two signatures of this type.
const fn is_slashable(payload: &SignPayload) -> bool {
    match payload {
        SignPayload::Block(_)
        | SignPayload::BlockV2(_)
        | SignPayload::Attestation(_)
        // It may stand for a block or an attestation.
        | SignPayload::Generic(_) => true,
        SignPayload::AggregationSlot(_)
        | SignPayload::AggregateAndProof(_)
        | SignPayload::AggregateAndProofV2(_)
        | SignPayload::RandaoReveal(_)
        | SignPayload::VoluntaryExit(_)
        | SignPayload::Deposit(_)
        | SignPayload::SyncCommitteeMessage(_)
        | SignPayload::SyncCommitteeSelectionProof(_)
        | SignPayload::SyncCommitteeContributionAndProof(_)
        | SignPayload::ValidatorRegistration(_)
        | SignPayload::ExecutionPayloadBid(_)
        | SignPayload::ExecutionPayloadEnvelope(_)
        | SignPayload::PayloadAttestationMessage(_)
        | SignPayload::ProposerPreferences(_)
        | SignPayload::BuilderRequestAuth(_) => false,
    }
}

fn get(path: &str) -> Call {
    Call { method: Method::GET, path: path.to_owned(), body: Bytes::new(), content_type: JSON }
}

fn post(path: String, body: &impl Serialize) -> Result<Call, SignError> {
    let body = serde_json::to_vec(body).map_err(|error| SignError::Rejected {
        status: 400,
        message: format!("the request has no JSON form: {error}"),
    })?;
    Ok(Call { method: Method::POST, path, body: body.into(), content_type: JSON })
}

/// How long to wait before the next attempt: the pause, or longer if the signer says so. One that says
/// "at once" is overloaded all the same.
fn wait_after(error: &SignError, pause: Duration) -> Duration {
    match error {
        SignError::Overloaded { retry_after: Some(wait), .. } => (*wait).max(with_jitter(pause)),
        _ => with_jitter(pause),
    }
}

/// Between half of a pause and all of it, so that clients that failed together come back apart.
fn with_jitter(pause: Duration) -> Duration {
    let half = pause / 2;
    half + half.mul_f64(crate::client::random_fraction())
}

#[cfg(test)]
mod tests;
