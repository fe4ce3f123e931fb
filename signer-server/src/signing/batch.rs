//! One duty signed by many keys (remote-signing-api, pull request 29).
//!
//! All keys sign the same root, so it is hashed to the curve once; each signature is a job of its
//! own, so a block that arrives in the middle waits for one of them only; and slashable duties
//! reach slashing protection together, which records them in a few transactions.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use signer_client::wire::{PublicKey, Signature};
use tokio::task::{block_in_place, yield_now};
use tracing::Instrument;

use super::{Arrival, LONG_BODY_BYTES, SignError, Signed, SigningService, Timings, spans};
use crate::{
    audit::{Client, Outcome, Room, Ticket},
    bls::Sealed,
    duty::{Duty, DutyType, Protection},
    keys::parse_identifier,
    scheduler::{Completed, Lost, Overloaded},
    selection::{ProofId, ProofOrigin},
    telemetry::metrics::RequestTimer,
};

/// Keys that are dealt with before the other requests of the thread get their turn.
pub(super) const KEYS_AT_ONCE: usize = 256;

/// The body of a batch request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    identifiers: Vec<String>,
    #[serde(borrow)]
    signing_request: &'a RawValue,
}

/// Why a whole batch was refused. Nothing was signed or recorded.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The body is not of the form that the endpoint takes.
    #[error("the body is no batch request: {path}: {source}")]
    Body {
        /// The member that is wrong; a full stop for the body itself.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// No key is named.
    #[error("identifiers is empty")]
    Empty,
    /// More keys are named than one batch may have.
    #[error("identifiers names {found} keys; one batch may have {max}")]
    TooMany {
        /// Number of keys that were named.
        found: usize,
        /// Largest number that is allowed.
        max: usize,
    },
    /// An identifier is no public key.
    #[error("identifiers[{index}] is no public key of 48 bytes")]
    Identifier {
        /// Position in the list, from 0.
        index: usize,
    },
    /// A key is named twice, in whatever case.
    #[error("identifiers[{index}] names {key} again")]
    Duplicate {
        /// Position in the list, from 0.
        index: usize,
        /// The key.
        key: PublicKey,
    },
    /// The type embeds something of one validator, so no two keys can sign the same object.
    #[error("type {} can't be signed by several keys at once", .0.name())]
    Type(DutyType),
    /// The request itself is refused.
    #[error("signing_request: {0}")]
    Request(#[source] SignError),
    /// There is no room for so many signatures, or no time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
}

/// One key's part of a batch.
#[derive(Debug)]
pub struct BatchItem {
    /// The identifier as the client wrote it.
    pub identifier: String,
    /// The signature, or what the single request would have been refused with.
    pub result: Result<Signature, SignError>,
}

/// A key of the batch with its audit row.
pub(super) struct Part {
    pub(super) identifier: String,
    pub(super) public_key: PublicKey,
    pub(super) ticket: Ticket,
    pub(super) timer: RequestTimer,
}

/// Whether the object is the same for every validator that signs it.
const fn is_shared(duty: &Duty) -> bool {
    match duty.duty_type {
        DutyType::Attestation
        | DutyType::AggregationSlot
        | DutyType::RandaoReveal
        | DutyType::SyncCommitteeMessage
        | DutyType::SyncCommitteeSelectionProof => true,
        // A block names its proposer, also when it comes as a root.
        DutyType::Generic => !matches!(duty.protection, Protection::Block { .. }),
        DutyType::Block
        | DutyType::BlockV2
        | DutyType::AggregateAndProof
        | DutyType::AggregateAndProofV2
        | DutyType::VoluntaryExit
        | DutyType::Deposit
        | DutyType::SyncCommitteeContributionAndProof
        | DutyType::ValidatorRegistration
        | DutyType::ExecutionPayloadBid
        | DutyType::ExecutionPayloadEnvelope
        | DutyType::PayloadAttestationMessage
        | DutyType::ProposerPreferences
        | DutyType::BuilderRequestAuth => false,
    }
}

/// Names the member that can't be read. Reads the body once more, which a good one never needs.
fn located(body: &[u8], source: serde_json::Error) -> BatchError {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let path = serde_path_to_error::deserialize::<_, Body<'_>>(&mut deserializer)
        .err()
        .map_or_else(|| ".".to_owned(), |error| error.path().to_string());
    BatchError::Body { path, source }
}

impl SigningService {
    /// Answers one batch request and leaves one audit row for each key, or one for a batch that is
    /// refused as a whole before its keys are looked at. Results come in the order of the
    /// identifiers; the failure of one key changes nothing for the others.
    ///
    /// Where the time went is added to `timings`: the longest of all keys.
    ///
    /// # Errors
    /// When nothing was signed or recorded for any key.
    pub async fn sign_batch(
        &self,
        client: Client,
        body: &[u8],
        max_keys: usize,
        limit: Option<Duration>,
        timings: &mut Timings,
    ) -> Result<Vec<BatchItem>, BatchError> {
        let arrival = Arrival::now(limit);
        let read = || self.read_batch(body, max_keys);
        // Thousands of keys take milliseconds to read: the other requests of this thread move to
        // another one meanwhile.
        let read = if body.len() > LONG_BODY_BYTES { block_in_place(read) } else { read() };
        match read {
            Ok((duty, keys)) => {
                let span = spans::request();
                self.sign_all(client, &duty, keys, arrival, timings).instrument(span).await
            }
            Err(error) => {
                let (mut ticket, mut timer) = (self.audit.begin(client, ""), self.timer(arrival));
                if let BatchError::Type(duty_type) = &error {
                    ticket.name_type(Some(*duty_type));
                    timer.name_type(Some(*duty_type));
                }
                timer.finish(Outcome::Malformed);
                ticket.finish(Outcome::Malformed, Some(error.to_string()));
                Err(error)
            }
        }
    }

    fn read_batch(
        &self,
        body: &[u8],
        max_keys: usize,
    ) -> Result<(Duty, Vec<(String, PublicKey)>), BatchError> {
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|source| located(body, source))?;
        let found = body.identifiers.len();
        if found == 0 {
            return Err(BatchError::Empty);
        }
        if found > max_keys {
            return Err(BatchError::TooMany { found, max: max_keys });
        }
        let mut seen = HashSet::with_capacity(found);
        let mut keys = Vec::with_capacity(found);
        for (index, identifier) in body.identifiers.into_iter().enumerate() {
            let key = parse_identifier(&identifier).ok_or(BatchError::Identifier { index })?;
            if !seen.insert(key) {
                return Err(BatchError::Duplicate { index, key });
            }
            keys.push((identifier, key));
        }
        let request = body.signing_request.get().as_bytes();
        let duty = self.classify(request).map_err(BatchError::Request)?;
        if !is_shared(&duty) {
            return Err(BatchError::Type(duty.duty_type));
        }
        Ok((duty, keys))
    }

    /// Opens the row of one key.
    pub(super) fn part(
        &self,
        client: &Client,
        duty: &Duty,
        (identifier, public_key): (String, PublicKey),
        arrived: Instant,
        room: &mut Room,
    ) -> Part {
        let mut ticket = self.audit.begin(client.clone(), &identifier);
        ticket.take_room(room);
        ticket.name_key(&public_key);
        ticket.describe(duty);
        let mut timer = RequestTimer::start(Arc::clone(&self.metrics), arrived);
        timer.name_type(Some(duty.duty_type));
        Part { identifier, public_key, ticket, timer }
    }

    async fn sign_all(
        &self,
        client: Client,
        duty: &Duty,
        keys: Vec<(String, PublicKey)>,
        arrival: Arrival,
        timings: &mut Timings,
    ) -> Result<Vec<BatchItem>, BatchError> {
        spans::describe(duty);
        spans::count_keys(keys.len());
        let class = duty.duty_type.class();
        let mut room = self.audit.wait_for_room(class, keys.len()).await;
        if keys.first().is_some_and(|(_, key)| ProofId::of(*key, duty).is_some()) {
            let times = (arrival.at, arrival.at + self.lifetime(duty, arrival.limit));
            let origin = ProofOrigin::Request;
            let begun = self.begin_proofs(&client, duty, keys, times, &mut room, origin).await?;
            let (items, times) = self.finish_proofs(begun).await;
            timings.include(times);
            return Ok(items);
        }
        let deadline = arrival.at + self.lifetime(duty, arrival.limit);
        // Before anything is kept for each key, so that the queue bounds that, too. Room for unknown
        // keys is given back at once.
        let admission = match self.scheduler.admit(class, keys.len(), deadline) {
            Ok(admission) => admission,
            Err(overloaded) => {
                for (place, named) in keys.into_iter().enumerate() {
                    if place % KEYS_AT_ONCE == 0 {
                        yield_now().await;
                    }
                    let part = self.part(&client, duty, named, arrival.at, &mut room);
                    let shed = Err(SignError::Overloaded(overloaded));
                    // Its audit row and metrics are what matters; the batch is refused as one.
                    drop(Self::close(part.ticket, part.timer, shed).await);
                }
                return Err(overloaded.into());
            }
        };
        let mut parts = Vec::with_capacity(keys.len());
        for named in keys {
            parts.push(self.part(&client, duty, named, arrival.at, &mut room));
            if parts.len() % KEYS_AT_ONCE == 0 {
                yield_now().await;
            }
        }

        let held: Vec<_> = parts.iter().map(|part| self.registry.get(&part.public_key)).collect();
        let signing_root = duty.signing_root;
        let works = held
            .iter()
            .flatten()
            .map(|key| {
                let (key, points) = (key.clone(), self.points.clone());
                spans::job(move || {
                    Sealed::sign(key.secret_key(), &points, key.public_key(), signing_root)
                })
            })
            .collect();
        // Signatures are made while the records are being written, and stay sealed until then.
        let batch = admission.run_each(works);
        let verdicts = join_all(parts.iter_mut().zip(&held).map(|(part, key)| async {
            match key {
                Some(_) => Ok(self.clear(&part.public_key, duty, &mut part.ticket).await?),
                None => Err(SignError::UnknownKey),
            }
        }))
        .await;
        let mut signatures = batch.finished().await.into_iter();

        let mut items = Vec::with_capacity(parts.len());
        let mut ends = parts.into_iter().zip(held).zip(verdicts).map(|((part, key), verdict)| {
            let outcome = key.map_or(Err(Lost::Unfinished), |_| {
                signatures.next().unwrap_or(Err(Lost::Unfinished))
            });
            let Part { identifier, mut ticket, timer, .. } = part;
            let result = verdict.and_then(|cleared| {
                let Completed { value, queued, ran } = outcome?;
                ticket.waited_in_queue(queued);
                ticket.spent_signing(ran);
                Ok(Signed { signature: value.open(&cleared)?, is_repeat: cleared.is_repeat() })
            });
            timings.include(ticket.timings());
            async { BatchItem { identifier, result: Self::close(ticket, timer, result).await } }
        });
        loop {
            // Together, so that rows which signatures wait for share their transactions.
            let some = join_all(ends.by_ref().take(KEYS_AT_ONCE)).await;
            if some.is_empty() {
                return Ok(items);
            }
            items.extend(some);
            yield_now().await;
        }
    }
}
