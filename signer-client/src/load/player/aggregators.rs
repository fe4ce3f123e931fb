//! Selection proofs, and what their makers sign when these select them.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt as _, future::join_all, stream};

use super::{
    super::{
        duties::{SYNC_COMMITTEE_SIZE, SyncMember, Validator},
        stats::{Kind, Phase},
        wire::Lane,
    },
    Player,
};
use crate::{
    client::BoxFuture,
    selection::{is_aggregator, is_sync_committee_aggregator},
    wire::Slot,
};

impl Player {
    pub(super) async fn make_proofs(&self, slot: Slot, proofs: Vec<(Slot, Vec<Validator>)>) {
        let _turn = self.proof_lane.lock().await;
        let bodies: Vec<_> =
            proofs.iter().map(|(slot, _)| self.bodies.selection_proof(*slot)).collect();
        let wanted: Vec<_> = proofs
            .into_iter()
            .zip(&bodies)
            .flat_map(|((slot, validators), body)| {
                validators.into_iter().map(move |validator| (slot, validator, body))
            })
            .collect();
        stream::iter(wanted)
            .for_each_concurrent(self.manners.proofs_at_once, |wanted| async move {
                let (duty_slot, validator, body) = wanted;
                if self.ended.load(Ordering::Relaxed) {
                    return;
                }
                let kind = Kind::SelectionProof;
                let proof = self.ask(kind, Lane::Proofs, slot, validator, body, None).await;
                if let Some(proof) = proof {
                    self.proofs.lock().of_attesters.insert((duty_slot, validator), proof);
                }
            })
            .await;
    }

    pub(super) async fn make_sync_proofs(&self, slot: Slot, proofs: Vec<(Slot, Vec<SyncMember>)>) {
        for (duty_slot, members) in proofs {
            stream::iter(members)
                .for_each_concurrent(self.manners.duties_at_once, |member| async move {
                    if self.ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let SyncMember { validator, subcommittee_index } = member;
                    let body = self.bodies.sync_selection_proof(duty_slot, subcommittee_index);
                    let kind = Kind::SyncSelectionProof;
                    let proof = self.ask(kind, Lane::Proofs, slot, validator, &body, None).await;
                    if let Some(proof) = proof {
                        let place = (duty_slot, validator, subcommittee_index);
                        self.proofs.lock().of_members.insert(place, proof);
                    }
                })
                .await;
        }
    }

    pub(super) async fn look_up(
        &self,
        slot: Slot,
        attesters: Vec<Validator>,
        members: Vec<SyncMember>,
    ) {
        let mut looks: Vec<BoxFuture<'_, ()>> = Vec::new();
        for validator in attesters {
            looks.push(Box::pin(self.look_up_attester(slot, validator)));
        }
        for member in members {
            looks.push(Box::pin(self.look_up_member(slot, member)));
        }
        join_all(looks).await;
    }

    async fn look_up_attester(&self, slot: Slot, validator: Validator) {
        let Some(pre_requests) = &self.pre_requests else { return };
        if let Some(proof) = pre_requests.proof(slot, validator).await {
            self.proofs.lock().of_attesters.insert((slot, validator), proof);
        }
    }

    async fn look_up_member(&self, slot: Slot, member: SyncMember) {
        let Some(pre_requests) = &self.pre_requests else { return };
        if let Some(proof) = pre_requests.sync_proof(slot, member).await {
            let place = (slot, member.validator, member.subcommittee_index);
            self.proofs.lock().of_members.insert(place, proof);
        }
    }

    pub(super) async fn aggregate(&self, slot: Slot, attesters: &[Validator]) {
        let at_hand: Vec<_> = {
            let proofs = self.proofs.lock();
            let of = |validator: &Validator| {
                proofs.of_attesters.get(&(slot, *validator)).map(|proof| (*validator, *proof))
            };
            attesters.iter().filter_map(of).collect()
        };
        self.count_missing(Kind::SelectionProof, slot, attesters.len() - at_hand.len());
        let committee = self.duties.committee_length();
        let aggregators: Vec<_> =
            at_hand.into_iter().filter(|(_, proof)| is_aggregator(committee, proof)).collect();
        let due = Some(self.end_of(slot));
        stream::iter(aggregators)
            .for_each_concurrent(self.manners.duties_at_once, |(validator, proof)| async move {
                let body = self.bodies.aggregate(slot, validator, proof);
                self.ask(Kind::Aggregate, Lane::Duties, slot, validator, &body, due).await;
            })
            .await;
    }

    pub(super) async fn contribute(&self, slot: Slot, members: &[SyncMember]) {
        let at_hand: Vec<_> = {
            let proofs = self.proofs.lock();
            let of = |member: &SyncMember| {
                let place = (slot, member.validator, member.subcommittee_index);
                proofs.of_members.get(&place).map(|proof| (*member, *proof))
            };
            members.iter().filter_map(of).collect()
        };
        self.count_missing(Kind::SyncSelectionProof, slot, members.len() - at_hand.len());
        let size = SYNC_COMMITTEE_SIZE.into();
        let selected: Vec<_> = at_hand
            .into_iter()
            .filter(|(_, proof)| is_sync_committee_aggregator(size, proof))
            .collect();
        let due = Some(self.end_of(slot));
        stream::iter(selected)
            .for_each_concurrent(self.manners.duties_at_once, |(member, proof)| async move {
                let body = self.bodies.contribution(slot, member, proof);
                let validator = member.validator;
                self.ask(Kind::Contribution, Lane::Duties, slot, validator, &body, due).await;
            })
            .await;
    }

    /// Proofs that are not at hand when it must be known who aggregates.
    fn count_missing(&self, kind: Kind, slot: Slot, count: usize) {
        if self.recorder.timeline.counts(slot) {
            self.recorder.stats.missed((kind, Phase::Aggregating), count as u64);
        }
    }
}
