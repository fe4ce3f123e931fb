//! Selection proofs on their way to a client: from memory, from a job of another request, or made
//! now.
//!
//! Every proof leaves its audit row and counts as a request, however it was found; the row's reason
//! says what the timings can't.

use std::{sync::Arc, time::Instant};

use futures_util::future::join_all;
use signer_client::wire::{PublicKey, Signature};
use tokio::{task::yield_now, time::timeout_at};

use super::{
    BatchItem, SignError, Signed, SigningService, Timings,
    batch::{KEYS_AT_ONCE, Part},
    spans,
};
use crate::{
    audit::{Client, Room, Ticket},
    bls::{Sealed, WrongClearance},
    duty::Duty,
    keys::LoadedKey,
    scheduler::{Admission, Batch, Completed, Lost, Overloaded},
    selection::{Found, Progress, ProofId, ProofMaker, ProofOrigin},
    slashing::Cleared,
};

/// Reason in the audit: no signing thread was asked.
const FROM_CACHE: &str = "from the proof cache";
/// Reason in the audit: the proof was being made for another request.
const JOINED: &str = "made for another request";
/// Reason in the audit: made before it was needed.
pub(super) const PRE_REQUESTED: &str = "pre-request";

/// What a job that makes a proof gives: nothing when another job made it.
pub(super) type Made = Result<Option<Signature>, WrongClearance>;

/// One slot's proofs by many keys: some found, some on their way.
pub(super) struct BegunProofs {
    duty: Duty,
    deadline: Instant,
    origin: ProofOrigin,
    parts: Vec<(Part, Step)>,
    /// The jobs of all [`Step::Own`], in their order.
    jobs: Jobs,
}

type Work = Box<dyn FnOnce() -> Made + Send>;

enum Jobs {
    None,
    /// There is room for them; nothing is made yet.
    Admitted(Admission, Vec<Work>),
    Queued(Batch<Made>),
}

/// How one key's proof comes.
enum Step {
    /// It is there, or will not be.
    Known(Result<Signature, SignError>),
    /// A job of this request makes it.
    Own(Arc<LoadedKey>, Progress),
    /// It is looked for again, because another job makes it.
    Other(Arc<LoadedKey>, Progress),
}

const fn signed(signature: Signature) -> Signed {
    Signed { signature, is_repeat: false }
}

impl SigningService {
    /// The proof of one key.
    pub(super) async fn prove(
        &self,
        key: &Arc<LoadedKey>,
        id: ProofId,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<Signed, SignError> {
        let found = self.proofs.find(id, deadline, ProofOrigin::Request);
        self.metrics.proof_looked_up(found.lookup());
        self.prove_from(found, key, id, duty, deadline, ticket).await
    }

    /// Goes on from what was found until there is a proof or no time.
    async fn prove_from(
        &self,
        mut found: Found,
        key: &Arc<LoadedKey>,
        id: ProofId,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<Signed, SignError> {
        loop {
            match found {
                Found::Ready(signature, age) => {
                    self.metrics.proof_used(age);
                    ticket.note(FROM_CACHE);
                    return Ok(signed(signature));
                }
                Found::Making { progress, hurry } => {
                    if let Some(maker) = hurry {
                        self.hurry(key, maker, duty, deadline, ticket).await?;
                    }
                    if let Some(signature) = Self::joined(progress, deadline, ticket).await? {
                        return Ok(signature);
                    }
                }
                Found::Missing(maker) => {
                    let cleared = self.clear(id.key(), duty, ticket).await?;
                    let admission = self.scheduler.admit(duty.duty_type.class(), 1, deadline)?;
                    let progress = maker.progress();
                    let pending =
                        admission.run(spans::job(self.proof_job(Arc::clone(key), maker, cleared)));
                    if let Some(signature) = Self::made(pending.finished().await, ticket)? {
                        return Ok(signed(signature));
                    }
                    if let Some(signature) = Self::joined(progress, deadline, ticket).await? {
                        return Ok(signature);
                    }
                }
            }
            found = self.proofs.find(id, deadline, ProofOrigin::Request);
        }
    }

    /// Waits for another job's proof; `None` when it will not come.
    async fn joined(
        progress: Progress,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<Option<Signed>, SignError> {
        let finished = timeout_at(deadline.into(), progress.finished()).await;
        let signature = finished.map_err(|_| Lost::Expired)?;
        if signature.is_some() {
            ticket.note(JOINED);
        }
        Ok(signature.map(signed))
    }

    /// Takes in what a job came to.
    pub(super) fn made(
        outcome: Result<Completed<Made>, Lost>,
        ticket: &mut Ticket,
    ) -> Result<Option<Signature>, SignError> {
        let Completed { value, queued, ran } = outcome?;
        ticket.waited_in_queue(queued);
        ticket.spent_signing(ran);
        Ok(value?)
    }

    /// Queues one more job for a proof whose own job waits behind what is less urgent. Whichever
    /// comes first makes it.
    async fn hurry(
        &self,
        key: &Arc<LoadedKey>,
        maker: Arc<ProofMaker>,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<(), SignError> {
        let cleared = self.clear(&key.public_key(), duty, ticket).await?;
        match self.scheduler.admit(duty.duty_type.class(), 1, deadline) {
            Ok(admission) => {
                let work = self.proof_job(Arc::clone(key), maker, cleared);
                // Those who wait see the result; the requester may go, others may wait as well.
                admission.run_detached(move || _ = work());
                Ok(())
            }
            Err(overloaded) => {
                self.proofs.not_hurried(maker.id(), deadline);
                Err(overloaded.into())
            }
        }
    }

    /// The work of a job that makes a proof. Only what was cleared is signed, so only that is kept.
    pub(super) fn proof_job(
        &self,
        key: Arc<LoadedKey>,
        maker: Arc<ProofMaker>,
        cleared: Cleared,
    ) -> impl FnOnce() -> Made + Send + 'static {
        let points = Arc::clone(&self.points);
        move || {
            maker.make(|| {
                let (public_key, root) = (key.public_key(), *cleared.signing_root());
                Sealed::sign(key.secret_key(), &points, public_key, root).open(&cleared)
            })
        }
    }

    /// Looks for the proofs of many keys and reserves room for the jobs of those that are missing:
    /// [`BegunProofs::start`] queues them.
    ///
    /// # Errors
    /// When there is no room for all of them. Nothing is made then, and every key has left its row.
    pub(super) async fn begin_proofs(
        &self,
        client: &Client,
        duty: &Duty,
        keys: Vec<(String, PublicKey)>,
        (arrived, deadline): (Instant, Instant),
        room: &mut Room,
        origin: ProofOrigin,
    ) -> Result<BegunProofs, Overloaded> {
        let mut parts = Vec::with_capacity(keys.len());
        let mut works = Vec::new();
        for (identifier, public_key) in keys {
            let mut part = self.part(client, duty, (identifier, public_key), arrived, room);
            let step = match (self.registry.get(&public_key), ProofId::of(public_key, duty)) {
                (Some(key), Some(id)) => {
                    let found = self.proofs.find(id, deadline, origin);
                    if origin == ProofOrigin::Request {
                        self.metrics.proof_looked_up(found.lookup());
                    }
                    self.begin(found, key, duty, deadline, &mut part.ticket, &mut works).await
                }
                _ => Step::Known(Err(SignError::UnknownKey)),
            };
            parts.push((part, step));
            if parts.len() % KEYS_AT_ONCE == 0 {
                yield_now().await;
            }
        }
        let (duty, jobs) = (duty.clone(), Jobs::None);
        let mut begun = BegunProofs { duty, deadline, origin, parts, jobs };
        if works.is_empty() {
            return Ok(begun);
        }
        match self.scheduler.admit(begun.duty.duty_type.class(), works.len(), deadline) {
            Ok(admission) => {
                begun.jobs = Jobs::Admitted(admission, works);
                Ok(begun)
            }
            Err(overloaded) => {
                drop(works);
                begun.shed(overloaded).await;
                Err(overloaded)
            }
        }
    }

    /// What becomes of one key's proof; adds a job to `works` if it is missing.
    async fn begin(
        &self,
        found: Found,
        key: Arc<LoadedKey>,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
        works: &mut Vec<Work>,
    ) -> Step {
        match found {
            Found::Ready(signature, age) => {
                self.metrics.proof_used(age);
                ticket.note(FROM_CACHE);
                Step::Known(Ok(signature))
            }
            Found::Making { progress, hurry } => {
                if let Some(maker) = hurry
                    && let Err(error) = self.hurry(&key, maker, duty, deadline, ticket).await
                {
                    return Step::Known(Err(error));
                }
                Step::Other(key, progress)
            }
            Found::Missing(maker) => match self.clear(&key.public_key(), duty, ticket).await {
                Ok(cleared) => {
                    let progress = maker.progress();
                    let work = self.proof_job(Arc::clone(&key), maker, cleared);
                    works.push(Box::new(spans::job(work)));
                    Step::Own(key, progress)
                }
                Err(error) => Step::Known(Err(error.into())),
            },
        }
    }

    /// Waits for all proofs and leaves their rows. Gives them in the order of the keys, and the
    /// longest times of all.
    pub(super) async fn finish_proofs(&self, begun: BegunProofs) -> (Vec<BatchItem>, Timings) {
        let BegunProofs { duty, deadline, origin, parts, jobs } = begun.start();
        let outcomes = match jobs {
            Jobs::Queued(jobs) => jobs.finished().await,
            Jobs::None | Jobs::Admitted(..) => Vec::new(),
        };
        let mut outcomes = outcomes.into_iter();
        let mut ends = parts.into_iter().map(|(part, step)| {
            let outcome = matches!(step, Step::Own(..))
                .then(|| outcomes.next().unwrap_or(Err(Lost::Unfinished)));
            self.finish(part, step, outcome, &duty, deadline, origin)
        });
        let (mut items, mut timings) = (Vec::with_capacity(ends.len()), Timings::default());
        loop {
            // Together, so that rows which signatures wait for share their transactions.
            let some = join_all(ends.by_ref().take(KEYS_AT_ONCE)).await;
            if some.is_empty() {
                return (items, timings);
            }
            for (item, of_item) in some {
                items.push(item);
                timings.include(of_item);
            }
            yield_now().await;
        }
    }

    async fn finish(
        &self,
        part: Part,
        step: Step,
        outcome: Option<Result<Completed<Made>, Lost>>,
        duty: &Duty,
        deadline: Instant,
        origin: ProofOrigin,
    ) -> (BatchItem, Timings) {
        let Part { identifier, public_key, mut ticket, timer } = part;
        let result = match step {
            Step::Known(result) => result.map(signed),
            Step::Own(key, progress) => {
                if origin == ProofOrigin::Ahead {
                    ticket.note(PRE_REQUESTED);
                }
                match Self::made(outcome.unwrap_or(Err(Lost::Unfinished)), &mut ticket) {
                    Ok(Some(signature)) => Ok(signed(signature)),
                    Ok(None) => {
                        self.join(key, progress, public_key, duty, deadline, &mut ticket).await
                    }
                    Err(error) => Err(error),
                }
            }
            Step::Other(key, progress) => {
                self.join(key, progress, public_key, duty, deadline, &mut ticket).await
            }
        };
        let timings = ticket.timings();
        (BatchItem { identifier, result: Self::close(ticket, timer, result).await }, timings)
    }

    /// Waits for another job's proof, and makes it if that fails.
    async fn join(
        &self,
        key: Arc<LoadedKey>,
        progress: Progress,
        public_key: PublicKey,
        duty: &Duty,
        deadline: Instant,
        ticket: &mut Ticket,
    ) -> Result<Signed, SignError> {
        let id = ProofId::of(public_key, duty).ok_or(SignError::Lost(Lost::Unfinished))?;
        let found = Found::Making { progress, hurry: None };
        self.prove_from(found, &key, id, duty, deadline, ticket).await
    }
}

impl BegunProofs {
    /// Queues the jobs, unless they are queued already.
    pub(super) fn start(self) -> Self {
        let jobs = match self.jobs {
            Jobs::Admitted(admission, works) => Jobs::Queued(admission.run_each(works)),
            jobs @ (Jobs::None | Jobs::Queued(_)) => jobs,
        };
        Self { jobs, ..self }
    }

    /// Ends all of them because there is no room. Jobs that are not queued yet never are.
    pub(super) async fn shed(self, overloaded: Overloaded) {
        drop(self.jobs);
        for (Part { ticket, timer, .. }, _) in self.parts {
            let shed = Err(SignError::Overloaded(overloaded));
            // Its audit row and metrics are what matters; the request is refused as one.
            drop(SigningService::close(ticket, timer, shed).await);
        }
    }
}
