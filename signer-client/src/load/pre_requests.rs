//! Selection proofs by [`SelectionProofScheduler`], with what it sends measured.

use std::{collections::HashMap, sync::Arc};

use super::{
    LoadError, Plan,
    bodies::Bodies,
    chain::{SLOTS_PER_EPOCH, epoch_of},
    duties::{Duties, SyncMember, Validator},
    recorder::{Recorder, Signed},
    stats::{Failure, Kind},
};
use crate::{
    client::{
        BoxFuture, Deadline, Endpoint, HttpOptions, HttpSigner, KeyResults, ProofBatch,
        RemoteSigner, Selection, SignError,
    },
    selection::{Chain, ScheduledFork, SchedulerOptions, SelectionProofScheduler, SystemSlotClock},
    wire::{Epoch, PublicKey, SignRequest, Signature, Slot},
};

/// A client's scheduler, fed with the duties of this load.
pub(super) struct PreRequests {
    scheduler: SelectionProofScheduler,
    duties: Duties,
    keys: Vec<PublicKey>,
}

impl PreRequests {
    pub(super) fn start(
        plan: &Plan,
        keys: &[PublicKey],
        duties: Duties,
        bodies: Bodies,
        recorder: Arc<Recorder>,
    ) -> Result<Self, LoadError> {
        let signer = HttpSigner::new(vec![Endpoint::new(&plan.url)?], HttpOptions::default())?;
        let places = keys.iter().copied().zip(0..).collect();
        let slot_duration = plan.chain.slot_duration();
        let measured = Arc::new(Measured { signer, bodies, recorder, places, chain: plan.chain });
        let clock = SystemSlotClock::new(plan.chain.genesis_time(), slot_duration)?;
        let info = plan.chain.fork_info();
        let forks = vec![
            ScheduledFork::new(Epoch(0), info.fork.previous_version),
            ScheduledFork::new(info.fork.epoch, info.fork.current_version),
        ];
        let chain = Chain::new(info.genesis_validators_root, SLOTS_PER_EPOCH, forks)?;
        let options = SchedulerOptions::default();
        let scheduler = SelectionProofScheduler::start(measured, Arc::new(clock), chain, options)?;
        Ok(Self { scheduler, duties, keys: keys.to_vec() })
    }

    /// Gives the scheduler the duties that become known before a slot: at the start those of this
    /// epoch and the next one, and with each new epoch those of the one after it.
    pub(super) fn follow_duties(&self, slot: Slot, is_first: bool) {
        let epoch = epoch_of(slot);
        let next = Epoch(epoch.0 + 1);
        if is_first {
            self.tell(epoch);
            self.tell(next);
        } else if slot.0.is_multiple_of(SLOTS_PER_EPOCH) {
            self.tell(next);
        }
    }

    fn tell(&self, epoch: Epoch) {
        let duties = self.duties.attesters_of(epoch);
        let duties = duties.into_iter().map(|(validator, slot)| (self.key(validator), slot));
        if let Err(error) = self.scheduler.set_attester_duties(epoch, duties) {
            unreachable!("the duties of an epoch: {error}");
        }
        let members = self.duties.sync_members(epoch);
        let members =
            members.iter().map(|member| (self.key(member.validator), member.subcommittee_index));
        self.scheduler.set_sync_duties(epoch, members);
    }

    fn key(&self, validator: Validator) -> PublicKey {
        self.keys.get(validator as usize).copied().unwrap_or(PublicKey::ZERO)
    }

    pub(super) async fn proof(&self, slot: Slot, validator: Validator) -> Option<Signature> {
        self.scheduler.proof(&self.key(validator), slot).await.ok()
    }

    pub(super) async fn sync_proof(&self, slot: Slot, member: SyncMember) -> Option<Signature> {
        let key = self.key(member.validator);
        self.scheduler.sync_proof(&key, slot, member.subcommittee_index).await.ok()
    }
}

/// A signer whose answers are recorded.
struct Measured {
    signer: HttpSigner,
    bodies: Bodies,
    recorder: Arc<Recorder>,
    places: HashMap<PublicKey, usize>,
    chain: super::LoadChain,
}

impl Measured {
    /// What is to be verified of a proof.
    fn signed(
        &self,
        key: &PublicKey,
        (slot, selection): (Slot, Selection),
        signature: Signature,
    ) -> Option<Signed> {
        let body = match selection {
            Selection::Attestation => self.bodies.selection_proof(slot),
            Selection::SyncCommittee { subcommittee_index } => {
                self.bodies.sync_selection_proof(slot, subcommittee_index)
            }
        };
        Some((*self.places.get(key)?, body.ok()?.root, signature))
    }

    fn now(&self) -> Slot {
        Slot(self.chain.next_slot().0.saturating_sub(1))
    }
}

impl RemoteSigner for Measured {
    fn sign<'a>(
        &'a self,
        key: &'a PublicKey,
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        use crate::wire::SignPayload;
        Box::pin(async move {
            let (kind, what) = match &request.payload {
                SignPayload::SyncCommitteeSelectionProof(data) => {
                    let subcommittee_index = data.subcommittee_index.0;
                    let selection = Selection::SyncCommittee { subcommittee_index };
                    (Kind::SyncSelectionProof, (data.slot, selection))
                }
                SignPayload::AggregationSlot(data) => {
                    (Kind::SelectionProof, (data.slot, Selection::Attestation))
                }
                _ => return self.signer.sign(key, request, deadline).await,
            };
            let pending = self.recorder.begin(kind, self.now(), None);
            let result = self.signer.sign(key, request, deadline).await;
            match &result {
                Ok(signature) => {
                    let signed = self.signed(key, what, *signature).into_iter().collect();
                    pending.end_with(signed, None);
                }
                Err(error) => pending.end_with(Vec::new(), Some(failure(error))),
            }
            result
        })
    }

    fn sign_batch<'a>(
        &'a self,
        keys: &'a [PublicKey],
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        self.signer.sign_batch(keys, request, deadline)
    }

    fn selection_proofs<'a>(
        &'a self,
        proofs: &'a ProofBatch,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        Box::pin(async move {
            let pending = self.recorder.begin(Kind::PreRequest, self.now(), None);
            let results = self.signer.selection_proofs(proofs, deadline).await;
            let what = (proofs.slot, proofs.selection);
            let made = proofs.keys.iter().zip(&results);
            let signed =
                made.filter_map(|(key, result)| self.signed(key, what, *result.as_ref().ok()?));
            let failed = results.iter().find_map(|result| result.as_ref().err());
            pending.end_with(signed.collect(), failed.map(failure));
            results
        })
    }

    fn public_keys(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<PublicKey>, SignError>> {
        self.signer.public_keys(deadline)
    }

    fn up(&self, deadline: Deadline) -> BoxFuture<'_, Result<(), SignError>> {
        self.signer.up(deadline)
    }
}

fn failure(error: &SignError) -> Failure {
    match error {
        SignError::UnknownKey => Failure::Status(404),
        SignError::SlashingRefused(_) => Failure::Status(412),
        SignError::Forbidden { status, .. }
        | SignError::Rejected { status, .. }
        | SignError::Failed { status, .. } => Failure::Status(*status),
        SignError::Overloaded { .. } => Failure::Status(503),
        SignError::Transport(_) => Failure::Connection,
        SignError::DeadlinePassed => Failure::Timeout,
        SignError::Malformed(_) => Failure::Malformed,
    }
}
