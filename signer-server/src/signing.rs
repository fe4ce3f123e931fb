//! The way of one signing request, from its body to a signature that may leave.

mod batch;
mod foresee;
mod own;
mod pre_request;
mod proofs;
mod spans;
#[cfg(test)]
mod tests;
mod text;
mod timings;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use signer_client::wire::{PublicKey, Signature};
use tokio::task::block_in_place;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

pub use self::{
    batch::{BatchError, BatchItem},
    foresee::{Foreseen, NotForeseen},
    pre_request::{BegunSlots, PreRequestRefused, PreRequested, SlotAnswer},
    timings::Timings,
};
use crate::{
    audit::{self, NotDurable, Outcome, Ticket},
    bls::{PointCache, Sealed, WrongClearance},
    clock,
    duty::{self, Duty, DutyFailure, DutyType, Network, SlashableGeneric},
    keys::{LoadedKey, Registry, parse_identifier},
    scheduler::{
        Lost, Overloaded, Scheduler,
        deadline::{self, SlotClock},
    },
    selection::{ProofCache, ProofCacheOptions, ProofId},
    slashing::{Cleared, NotCleared, SlashingProtection, Unavailable},
    telemetry::metrics::{Metrics, RequestTimer, SlashingOperation},
};

/// Largest body of any type but the payload envelope, in bytes: Web3Signer's limit.
pub const MAX_ORDINARY_BODY_BYTES: usize = 10 << 20;

/// When a request arrived, and how long its client waits.
#[derive(Clone, Copy)]
struct Arrival {
    at: Instant,
    limit: Option<Duration>,
}

impl Arrival {
    fn now(limit: Option<Duration>) -> Self {
        Self { at: Instant::now(), limit }
    }
}

/// From this size on reading a body is no quick step any more.
const LONG_BODY_BYTES: usize = 256 << 10;

/// Signing roots in one generation of the point cache, which then takes at most 1 MiB. A slot has a
/// few hundred roots that many keys share; what comes once may come in thousands between them.
const POINT_CACHE_ROOTS: usize = 1024;

/// Why a request got no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The body is no valid request.
    #[error(transparent)]
    Malformed(#[from] DutyFailure),
    /// Only a payload envelope may be this large.
    #[error(
        "the body has {size} bytes; requests other than EXECUTION_PAYLOAD_ENVELOPE may have {MAX_ORDINARY_BODY_BYTES}"
    )]
    TooLarge {
        /// Size of the body in bytes.
        size: usize,
    },
    /// No such key is loaded.
    #[error("no such key is loaded")]
    UnknownKey,
    /// The class's queue is full.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// Slashing protection gave no clearance.
    #[error(transparent)]
    NotCleared(#[from] NotCleared),
    /// The signing job gave no result.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The clearance was for something else.
    #[error(transparent)]
    WrongClearance(#[from] WrongClearance),
    /// The signature was made, and may not leave without its audit row.
    #[error(transparent)]
    NotAudited(#[from] NotDurable),
}

/// A signature with what the request was found to be.
struct Signed {
    signature: Signature,
    is_repeat: bool,
}

/// Signs. Everything that a request meets after HTTP.
pub struct SigningService {
    network: Network,
    slashable_generic: SlashableGeneric,
    clock: Option<SlotClock>,
    registry: Arc<Registry>,
    scheduler: Arc<Scheduler>,
    points: Arc<PointCache>,
    proofs: Arc<ProofCache>,
    background: pre_request::Background,
    slashing: SlashingProtection,
    audit: audit::Writer,
    metrics: Arc<Metrics>,
}

impl SigningService {
    /// A service over parts that are ready.
    pub fn new(
        network: Network,
        registry: Arc<Registry>,
        scheduler: Arc<Scheduler>,
        slashing: SlashingProtection,
        metrics: Arc<Metrics>,
    ) -> Self {
        let audit = slashing.audit();
        let clock = SlotClock::of(&network);
        let points =
            Arc::new(PointCache::new(POINT_CACHE_ROOTS).with_metrics(Arc::clone(&metrics)));
        let slashable_generic = SlashableGeneric::default();
        let keys = Arc::clone(&registry);
        let is_loaded = move |key: &PublicKey| keys.get(key).is_some();
        let proofs = ProofCacheOptions::new(&network, is_loaded, Arc::clone(&metrics));
        let proofs = ProofCache::new(proofs);
        let background = pre_request::Background::default();
        Self {
            network,
            slashable_generic,
            clock,
            registry,
            scheduler,
            points,
            proofs,
            background,
            slashing,
            audit,
            metrics,
        }
    }

    /// Says what becomes of `GENERIC` requests for blocks and attestations; without it they are
    /// refused.
    #[must_use]
    pub fn with_slashable_generic(mut self, slashable_generic: SlashableGeneric) -> Self {
        self.slashable_generic = slashable_generic;
        self
    }

    /// Keeps selection proofs in this cache, in place of one of its own.
    #[must_use]
    pub fn with_proofs(mut self, proofs: Arc<ProofCache>) -> Self {
        self.proofs = proofs;
        self
    }

    /// Works off the backlog of selection proofs as one of `tasks`, until `stopping`.
    #[must_use]
    pub fn with_background(mut self, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        self.background = pre_request::Background::new(tasks, stopping);
        self
    }

    /// Answers one request to the sign endpoint and leaves its audit row.
    ///
    /// The order of the checks decides which error a client sees, and is Web3Signer's: the body
    /// and its root, then the key, then slashing protection.
    ///
    /// The client may shorten the time that its request may wait by `limit`. Where the time went is
    /// added to `timings`, whatever the answer.
    ///
    /// # Errors
    /// Whatever keeps the signature from leaving.
    pub async fn sign(
        &self,
        client: audit::Client,
        identifier: &str,
        body: &[u8],
        limit: Option<Duration>,
        timings: &mut Timings,
    ) -> Result<Signature, SignError> {
        let signed = self.sign_one(client, identifier, body, limit, timings);
        signed.instrument(spans::request()).await
    }

    async fn sign_one(
        &self,
        client: audit::Client,
        identifier: &str,
        body: &[u8],
        limit: Option<Duration>,
        timings: &mut Timings,
    ) -> Result<Signature, SignError> {
        let arrival = Arrival::now(limit);
        let mut timer = self.timer(arrival);
        let mut ticket = self.audit.begin(client, identifier);
        let classified = self.classify(body);
        let duty_type = match &classified {
            Ok(duty) => Some(duty.duty_type),
            Err(SignError::Malformed(failure)) => failure.duty_type,
            Err(_) => None,
        };
        timer.name_type(duty_type);
        let result = match classified {
            Ok(duty) => {
                ticket.describe(&duty);
                spans::describe(&duty);
                let deadline = arrival.at + self.lifetime(&duty, arrival.limit);
                self.sign_duty(identifier, &duty, deadline, &mut ticket).await
            }
            Err(error) => {
                ticket.name_type(duty_type);
                Err(error)
            }
        };
        timings.include(ticket.timings());
        Self::close(ticket, timer, result).await
    }

    /// Refuses a request to the sign endpoint that could not be read as far as its body. It leaves
    /// its audit row, too.
    pub fn refuse_unread(
        &self,
        client: audit::Client,
        identifier: &str,
        outcome: Outcome,
        reason: &str,
    ) {
        let timer = self.timer(Arrival::now(None));
        self.audit.begin(client, identifier).finish(outcome, Some(reason.to_owned()));
        timer.finish(outcome);
    }

    fn timer(&self, arrival: Arrival) -> RequestTimer {
        RequestTimer::start(Arc::clone(&self.metrics), arrival.at)
    }

    fn classify(&self, body: &[u8]) -> Result<Duty, SignError> {
        let classify = || duty::classify_with(body, &self.network, self.slashable_generic);
        // A payload envelope of many megabytes takes a tenth of a second to read and hash: the
        // other requests of this thread move to another one meanwhile.
        let duty = if body.len() > LONG_BODY_BYTES { block_in_place(classify) } else { classify() };
        let may_be_large = matches!(
            &duty,
            Ok(Duty { duty_type: DutyType::ExecutionPayloadEnvelope, .. })
                | Err(DutyFailure { duty_type: Some(DutyType::ExecutionPayloadEnvelope), .. })
        );
        if body.len() > MAX_ORDINARY_BODY_BYTES && !may_be_large {
            return Err(SignError::TooLarge { size: body.len() });
        }
        Ok(duty?)
    }

    async fn sign_duty(
        &self,
        identifier: &str,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<Signed, SignError> {
        let key = self.key(identifier)?;
        let public_key = key.public_key();
        ticket.name_key(&public_key);
        spans::name_key(&public_key);
        let class = duty.duty_type.class();
        ticket.wait_for_room(class).await;
        if let Some(id) = ProofId::of(public_key, duty) {
            return self.prove(&key, id, duty, deadline, ticket).await;
        }
        let admission = self.scheduler.admit(class, 1, deadline)?;
        let signing_root = duty.signing_root;
        // The signature is made while the record is being written, and stays sealed until then.
        let points = Arc::clone(&self.points);
        let pending = admission.run(spans::job(move || {
            Sealed::sign(key.secret_key(), &points, public_key, signing_root)
        }));
        let cleared = self.clear(&public_key, duty, ticket).await?;
        let completed = pending.finished().await?;
        ticket.waited_in_queue(completed.queued);
        ticket.spent_signing(completed.ran);
        let signature = completed.value.open(&cleared)?;
        Ok(Signed { signature, is_repeat: cleared.is_repeat() })
    }

    /// The loaded key that an identifier names.
    fn key(&self, identifier: &str) -> Result<Arc<LoadedKey>, SignError> {
        parse_identifier(identifier)
            .and_then(|public_key| self.registry.get(&public_key))
            .ok_or(SignError::UnknownKey)
    }

    /// How long from its arrival a duty may be signed.
    fn lifetime(&self, duty: &Duty, limit: Option<Duration>) -> Duration {
        let now_unix_ms = clock::now_unix_micros().max(0).cast_unsigned() / 1000;
        let lifetime = deadline::lifetime(duty, self.clock, now_unix_ms);
        limit.map_or(lifetime, |limit| lifetime.min(limit))
    }

    async fn clear(
        &self,
        public_key: &PublicKey,
        duty: &Duty,
        ticket: &mut Ticket,
    ) -> Result<Cleared, NotCleared> {
        let asked = Instant::now();
        let verdict = self.slashing.clear(public_key, duty, ticket);
        let verdict = verdict.instrument(spans::slashing(duty)).await;
        match duty.protection {
            duty::Protection::Unprotected => {}
            duty::Protection::Block { .. } => {
                self.metrics.slashing_checked(SlashingOperation::Block, asked.elapsed());
            }
            duty::Protection::Attestation { .. } => {
                self.metrics.slashing_checked(SlashingOperation::Attestation, asked.elapsed());
            }
        }
        verdict
    }

    /// Ends a request: its audit row, its metrics, its log line. A signature leaves only from here.
    async fn close(
        ticket: Ticket,
        timer: RequestTimer,
        result: Result<Signed, SignError>,
    ) -> Result<Signature, SignError> {
        let key = ticket.key();
        let (outcome, result) = Self::write_down(ticket, result).await;
        if let Err(error) = &result {
            let key = key.map(|key| key.to_string());
            match outcome {
                Outcome::Failed => {
                    tracing::error!(key, reason = %error, "a signing request failed");
                }
                Outcome::Refused => {
                    tracing::warn!(key, reason = %error, "slashing protection refused a request");
                }
                _ => {}
            }
        }
        timer.finish(outcome);
        result
    }

    /// Leaves the audit row and says how the request ended at last.
    async fn write_down(
        ticket: Ticket,
        result: Result<Signed, SignError>,
    ) -> (Outcome, Result<Signature, SignError>) {
        let (outcome, signature) = match result {
            Ok(Signed { signature, is_repeat: true }) => (Outcome::Repeated, signature),
            Ok(Signed { signature, is_repeat: false }) => (Outcome::Signed, signature),
            Err(error) => {
                let outcome = outcome_of(&error);
                ticket.finish(outcome, Some(error.to_string()));
                return (outcome, Err(error));
            }
        };
        match ticket.release(outcome).await {
            Ok(()) => (outcome, Ok(signature)),
            Err(error) => (Outcome::Failed, Err(error.into())),
        }
    }
}

/// How the audit names an error.
fn outcome_of(error: &SignError) -> Outcome {
    match error {
        SignError::Malformed(_) | SignError::TooLarge { .. } => Outcome::Malformed,
        SignError::UnknownKey => Outcome::UnknownKey,
        SignError::Overloaded(_)
        | SignError::Lost(Lost::Expired)
        | SignError::NotCleared(NotCleared::Unavailable(Unavailable::QueueFull)) => Outcome::Shed,
        SignError::NotCleared(NotCleared::Refused(_)) => Outcome::Refused,
        SignError::NotCleared(_)
        | SignError::Lost(Lost::Unfinished)
        | SignError::WrongClearance(_)
        | SignError::NotAudited(_) => Outcome::Failed,
    }
}
