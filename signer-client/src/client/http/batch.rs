//! Many signatures: by the best way that the signer has.
//!
//! Midslot has a request for selection proofs, Midslot and signers that follow remote-signing-api's
//! pull request 29 have one for batches, Web3Signer has neither. Each is tried once; where it is
//! absent, the next one serves, down to single requests of which a few are under way at a time.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answer, Call, HttpSigner, post};
use crate::{
    client::{Deadline, KeyResults, ProofBatch, SignError},
    wire::{
        BatchSignRequest, KeyResult, PublicKey, SelectionProofsAnswer, SelectionProofsRequest,
        SignPayload, SignRequest, Signature, SlotKeys,
    },
};

/// How long the absence of a path is believed: a signer may be replaced by a newer one.
const ABSENT_FOR: Duration = Duration::from_mins(10);

/// Which of the optional paths the signer lacks.
#[derive(Default)]
pub(super) struct Abilities {
    batch: Ability,
    selection_proofs: Ability,
}

#[derive(Default)]
struct Ability {
    absent_since: Mutex<Option<Instant>>,
}

impl Ability {
    fn may_be_there(&self) -> bool {
        self.absent_since.lock().is_none_or(|since| since.elapsed() >= ABSENT_FOR)
    }

    fn is_absent(&self) {
        *self.absent_since.lock() = Some(Instant::now());
    }
}

/// What became of a request for many.
enum Outcome {
    /// A result for each key.
    Results(HashMap<PublicKey, Result<Signature, SignError>>),
    /// The signer has no such path.
    Absent,
    /// The signer takes fewer keys at a time.
    TooMany,
    /// It failed as a whole.
    Failed(SignError),
}

impl HttpSigner {
    pub(super) async fn sign_many(
        &self,
        keys: &[PublicKey],
        request: &SignRequest,
        deadline: Deadline,
    ) -> KeyResults {
        let distinct = distinct(keys);
        let results = if has_batches(&request.payload) && distinct.len() > 1 {
            self.in_batches(&distinct, request, deadline).await
        } else {
            self.one_by_one(&distinct, request, deadline).await
        };
        in_order(keys, &results)
    }

    pub(super) async fn make_proofs(&self, proofs: &ProofBatch, deadline: Deadline) -> KeyResults {
        let request = proofs.selection.request(proofs.slot, proofs.fork_info);
        if !self.abilities.selection_proofs.may_be_there() {
            return self.sign_many(&proofs.keys, &request, deadline).await;
        }
        let distinct = distinct(&proofs.keys);
        let mut results = HashMap::with_capacity(distinct.len());
        let mut waiting = chunks(&distinct, self.options.batch_keys);
        while let Some(chunk) = waiting.pop() {
            match self.proofs_of(proofs, chunk, deadline).await {
                Outcome::Results(made) => results.extend(made),
                Outcome::TooMany if chunk.len() > 1 => halve(&mut waiting, chunk),
                Outcome::Absent => {
                    self.abilities.selection_proofs.is_absent();
                    waiting.push(chunk);
                    break;
                }
                Outcome::TooMany => fail(&mut results, chunk, &too_large()),
                Outcome::Failed(error) => fail(&mut results, chunk, &error),
            }
        }
        let rest: Vec<PublicKey> = waiting.into_iter().rev().flatten().copied().collect();
        if !rest.is_empty() {
            let made = self.sign_many(&rest, &request, deadline).await;
            results.extend(rest.into_iter().zip(made));
        }
        in_order(&proofs.keys, &results)
    }

    async fn in_batches(
        &self,
        keys: &[PublicKey],
        request: &SignRequest,
        deadline: Deadline,
    ) -> HashMap<PublicKey, Result<Signature, SignError>> {
        let mut results = HashMap::with_capacity(keys.len());
        let mut waiting = chunks(keys, self.options.batch_keys);
        while let Some(chunk) = waiting.pop() {
            if !self.abilities.batch.may_be_there() {
                results.extend(self.one_by_one(chunk, request, deadline).await);
                continue;
            }
            match self.batch_of(chunk, request, deadline).await {
                Outcome::Results(made) => results.extend(made),
                Outcome::TooMany if chunk.len() > 1 => halve(&mut waiting, chunk),
                Outcome::Absent => {
                    self.abilities.batch.is_absent();
                    waiting.push(chunk);
                }
                Outcome::TooMany => fail(&mut results, chunk, &too_large()),
                Outcome::Failed(error) => fail(&mut results, chunk, &error),
            }
        }
        results
    }

    async fn one_by_one(
        &self,
        keys: &[PublicKey],
        request: &SignRequest,
        deadline: Deadline,
    ) -> HashMap<PublicKey, Result<Signature, SignError>> {
        stream::iter(keys.to_vec())
            .map(|key| async move { (key, self.sign_one(&key, request, deadline).await) })
            .buffer_unordered(self.options.singles_in_flight.max(1))
            .collect()
            .await
    }

    async fn batch_of(
        &self,
        keys: &[PublicKey],
        request: &SignRequest,
        deadline: Deadline,
    ) -> Outcome {
        let body = BatchSignRequest { identifiers: keys, signing_request: request };
        let call = post("/api/v1/eth2/sign".to_owned(), &body);
        self.send_many(call, request, deadline, |body| serde_json::from_slice(body).ok()).await
    }

    async fn proofs_of(
        &self,
        proofs: &ProofBatch,
        keys: &[PublicKey],
        deadline: Deadline,
    ) -> Outcome {
        let body = SelectionProofsRequest {
            fork_info: proofs.fork_info,
            wait: true,
            slots: vec![SlotKeys {
                slot: proofs.slot,
                identifiers: keys.to_vec(),
                subcommittee_index: proofs.selection.subcommittee_index(),
            }],
        };
        let call = post("/midslot/v1/selection-proofs".to_owned(), &body);
        let request = proofs.selection.request(proofs.slot, proofs.fork_info);
        self.send_many(call, &request, deadline, |body| {
            let mut slots = serde_json::from_slice::<SelectionProofsAnswer>(body).ok()?.slots;
            slots.retain(|slot| slot.slot == proofs.slot);
            slots.pop().map(|slot| slot.proofs)
        })
        .await
    }

    async fn send_many(
        &self,
        call: Result<Call, SignError>,
        request: &SignRequest,
        deadline: Deadline,
        parse: impl FnOnce(&[u8]) -> Option<Vec<KeyResult>>,
    ) -> Outcome {
        let sent = async {
            self.send(&call?, self.reach_of(&request.payload), deadline, Vec::new()).await
        };
        match sent.await {
            Ok(answer) => outcome(&answer, parse),
            Err(error) => Outcome::Failed(error),
        }
    }
}

fn outcome(answer: &Answer, parse: impl FnOnce(&[u8]) -> Option<Vec<KeyResult>>) -> Outcome {
    if answer.is_absent() {
        return Outcome::Absent;
    }
    if answer.is_too_large() {
        return Outcome::TooMany;
    }
    match answer.success().map(parse) {
        Err(error) => Outcome::Failed(error),
        Ok(None) => Outcome::Failed(SignError::Malformed("expected a result for each key in JSON")),
        Ok(Some(results)) => Outcome::Results(
            results.into_iter().map(|result| (result.identifier, signature(&result))).collect(),
        ),
    }
}

fn signature(result: &KeyResult) -> Result<Signature, SignError> {
    match (&result.signature, &result.error) {
        (Some(signature), None) => Ok(*signature),
        (None, Some(error)) => Err(SignError::from_status(error.code, None, &error.message)),
        _ => Err(SignError::Malformed("expected either a signature or an error for each key")),
    }
}

/// Whether remote-signing-api's pull request 29 has batches of this type: those whose object is the
/// same for every validator.
const fn has_batches(payload: &SignPayload) -> bool {
    matches!(
        payload,
        SignPayload::Attestation(_)
            | SignPayload::AggregationSlot(_)
            | SignPayload::RandaoReveal(_)
            | SignPayload::SyncCommitteeMessage(_)
            | SignPayload::SyncCommitteeSelectionProof(_)
            | SignPayload::Generic(_)
    )
}

/// Every key once, in the order of first mention: a batch must not name a key twice.
fn distinct(keys: &[PublicKey]) -> Vec<PublicKey> {
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    keys.iter().filter(|key| seen.insert(**key)).copied().collect()
}

/// The chunks, the first one last, so that it is the first to be popped.
fn chunks(keys: &[PublicKey], size: usize) -> Vec<&[PublicKey]> {
    keys.chunks(size.max(1)).rev().collect()
}

fn halve<'a>(waiting: &mut Vec<&'a [PublicKey]>, chunk: &'a [PublicKey]) {
    let (first, second) = chunk.split_at(chunk.len() / 2);
    waiting.extend([second, first]);
}

fn fail(
    results: &mut HashMap<PublicKey, Result<Signature, SignError>>,
    keys: &[PublicKey],
    error: &SignError,
) {
    results.extend(keys.iter().map(|key| (*key, Err(error.clone()))));
}

fn too_large() -> SignError {
    SignError::from_status(413, None, "the signer takes no request of this size")
}

fn in_order(
    keys: &[PublicKey],
    results: &HashMap<PublicKey, Result<Signature, SignError>>,
) -> KeyResults {
    keys.iter()
        .map(|key| {
            let missing = || Err(SignError::Malformed("a key has no result"));
            results.get(key).cloned().unwrap_or_else(missing)
        })
        .collect()
}
