//! What is asked to be signed: bodies of requests and their signing roots.
//!
//! Invariant: each object is a function of chain, slot and validator, so that a repetition is
//! identical to what it repeats. Votes go from an epoch to the next one, which no pair of epochs can
//! turn into a surround vote.

use bytes::Bytes;
use libssz_merkle::{HashTreeRoot, Node, Sha2Hasher, hash_nodes, merkleize};
use sha2::{Digest, Sha256};

use super::{
    chain::{LoadChain, SLOTS_PER_EPOCH, epoch_of},
    duties::{SYNC_COMMITTEE_SIZE, SyncMember, Validator},
    profile::{AggregateForm, Manners},
};
use crate::{
    client::SignError,
    mock::{MockSigner, signing_root::domain},
    wire::{
        AggregateAndProof, AggregationBits, AggregationSlot, Attestation, AttestationData,
        BeaconBlockHeader, Bitvector, BlockV2, Checkpoint, ContributionAndProof, Epoch, Fork,
        QuotedU64, RandaoReveal, Root, SignPayload, SignRequest, Signature, Slot,
        SyncAggregatorSelectionData, SyncCommitteeContribution, SyncCommitteeMessage, Versioned,
    },
};

/// Most bits of an aggregate's committees together (consensus-specs, Electra: 64 committees of
/// 2048).
const AGGREGATION_BITS_LIMIT: usize = 64 * 2048;
/// Domain types (consensus-specs).
const DOMAIN_BEACON_PROPOSER: [u8; 4] = [0, 0, 0, 0];
const DOMAIN_AGGREGATE_AND_PROOF: [u8; 4] = [6, 0, 0, 0];
const DOMAIN_CONTRIBUTION_AND_PROOF: [u8; 4] = [9, 0, 0, 0];

/// A body, ready to be sent for any number of keys.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) json: Bytes,
    pub(super) root: Root,
}

/// Makes bodies for one chain in the form of one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bodies {
    pub(super) chain: LoadChain,
    pub(super) sends_signing_root: bool,
    pub(super) aggregate_form: AggregateForm,
}

impl Bodies {
    pub(super) const fn new(chain: LoadChain, manners: &Manners) -> Self {
        Self {
            chain,
            sends_signing_root: manners.sends_signing_root,
            aggregate_form: manners.aggregate_form,
        }
    }

    fn body(&self, payload: SignPayload) -> Result<Body, SignError> {
        let fork_info = Some(self.chain.fork_info());
        let mut request = SignRequest { fork_info, signing_root: None, payload };
        let root = self.signing_root(&request)?;
        request.signing_root = self.sends_signing_root.then_some(root);
        let json = serde_json::to_vec(&request)
            .map_err(|_| SignError::Malformed("a request that is no JSON"))?;
        Ok(Body { json: json.into(), root })
    }

    pub(super) fn block(&self, slot: Slot, proposer: Validator) -> Result<Body, SignError> {
        let header = BeaconBlockHeader {
            slot,
            proposer_index: QuotedU64(proposer.into()),
            parent_root: self.block_root(slot.0.saturating_sub(1)),
            state_root: self.root_of("state", slot.0),
            body_root: self.root_of("body", slot.0),
        };
        self.body(SignPayload::BlockV2(Box::new(BlockV2::Header {
            version: Fork::Fulu,
            block_header: header,
        })))
    }

    pub(super) fn randao_reveal(&self, slot: Slot) -> Result<Body, SignError> {
        self.body(SignPayload::RandaoReveal(RandaoReveal { epoch: epoch_of(slot) }))
    }

    pub(super) fn attestation(&self, slot: Slot) -> Result<Body, SignError> {
        self.body(SignPayload::Attestation(self.attestation_data(slot)))
    }

    pub(super) fn sync_message(&self, slot: Slot) -> Result<Body, SignError> {
        let beacon_block_root = self.block_root(slot.0);
        self.body(SignPayload::SyncCommitteeMessage(SyncCommitteeMessage {
            beacon_block_root,
            slot,
        }))
    }

    pub(super) fn selection_proof(&self, slot: Slot) -> Result<Body, SignError> {
        self.body(SignPayload::AggregationSlot(AggregationSlot { slot }))
    }

    pub(super) fn sync_selection_proof(
        &self,
        slot: Slot,
        subcommittee_index: u64,
    ) -> Result<Body, SignError> {
        self.body(SignPayload::SyncCommitteeSelectionProof(SyncAggregatorSelectionData {
            slot,
            subcommittee_index: QuotedU64(subcommittee_index),
        }))
    }

    pub(super) fn aggregate(
        &self,
        slot: Slot,
        aggregator: Validator,
        selection_proof: Signature,
    ) -> Result<Body, SignError> {
        let too_long = |_| SignError::Malformed("an aggregate with too many bits");
        let data = AggregateAndProof {
            aggregator_index: QuotedU64(aggregator.into()),
            aggregate: Attestation {
                aggregation_bits: AggregationBits::from_bits(&[true; 488]).map_err(too_long)?,
                data: self.attestation_data(slot),
                signature: Signature([0xc0; 96]),
                committee_bits: Some(Bitvector(vec![1, 0, 0, 0, 0, 0, 0, 0])),
            },
            selection_proof,
        };
        self.body(match self.aggregate_form {
            AggregateForm::Unwrapped => SignPayload::AggregateAndProof(Box::new(data)),
            AggregateForm::Versioned => {
                SignPayload::AggregateAndProofV2(Box::new(Versioned { version: Fork::Fulu, data }))
            }
        })
    }

    pub(super) fn contribution(
        &self,
        slot: Slot,
        member: SyncMember,
        selection_proof: Signature,
    ) -> Result<Body, SignError> {
        let bytes = SYNC_COMMITTEE_SIZE as usize / 4 / 8;
        self.body(SignPayload::SyncCommitteeContributionAndProof(Box::new(ContributionAndProof {
            aggregator_index: QuotedU64(member.validator.into()),
            contribution: SyncCommitteeContribution {
                slot,
                beacon_block_root: self.block_root(slot.0),
                subcommittee_index: QuotedU64(member.subcommittee_index),
                aggregation_bits: Bitvector(vec![0xff; bytes]),
                signature: Signature([0xc0; 96]),
            },
            selection_proof,
        })))
    }

    /// The vote of everybody in a slot: since Electra it names no committee.
    fn attestation_data(&self, slot: Slot) -> AttestationData {
        let target = epoch_of(slot);
        let checkpoint = |epoch: u64| Checkpoint {
            epoch: Epoch(epoch),
            root: self.block_root(epoch.saturating_mul(SLOTS_PER_EPOCH)),
        };
        AttestationData {
            slot,
            index: QuotedU64(0),
            beacon_block_root: self.block_root(slot.0),
            source: checkpoint(target.0.saturating_sub(1)),
            target: checkpoint(target.0),
        }
    }

    fn block_root(&self, slot: u64) -> Root {
        self.root_of("block", slot)
    }

    fn root_of(&self, what: &str, slot: u64) -> Root {
        let mut hash = Sha256::new_with_prefix(what);
        hash.update(self.chain.fork_info().genesis_validators_root.as_bytes());
        hash.update(slot.to_le_bytes());
        Root(hash.finalize().into())
    }

    /// The signing root (consensus-specs, phase0 `compute_signing_root`), for a chain in Fulu.
    fn signing_root(&self, request: &SignRequest) -> Result<Root, SignError> {
        let signed = |domain_type, epoch: Epoch, object: Node| {
            let info = self.chain.fork_info();
            let version = info.fork.version_at(epoch);
            let domain = domain(domain_type, version, info.genesis_validators_root);
            Root(hash_nodes(&Sha2Hasher, &object, &domain))
        };
        match &request.payload {
            SignPayload::BlockV2(block) => match &**block {
                BlockV2::Header { block_header, .. } => {
                    let object = block_header.hash_tree_root(&Sha2Hasher);
                    Ok(signed(DOMAIN_BEACON_PROPOSER, epoch_of(block_header.slot), object))
                }
                BlockV2::Full { .. } => MockSigner::signing_root(request),
            },
            SignPayload::AggregateAndProof(aggregate) => aggregate_root(aggregate).map(|object| {
                let slot = aggregate.aggregate.data.slot;
                signed(DOMAIN_AGGREGATE_AND_PROOF, epoch_of(slot), object)
            }),
            SignPayload::AggregateAndProofV2(aggregate) => {
                aggregate_root(&aggregate.data).map(|object| {
                    let slot = aggregate.data.aggregate.data.slot;
                    signed(DOMAIN_AGGREGATE_AND_PROOF, epoch_of(slot), object)
                })
            }
            SignPayload::SyncCommitteeContributionAndProof(contribution) => {
                let object = contribution.hash_tree_root(&Sha2Hasher);
                let slot = contribution.contribution.slot;
                Ok(signed(DOMAIN_CONTRIBUTION_AND_PROOF, epoch_of(slot), object))
            }
            _ => MockSigner::signing_root(request),
        }
    }
}

/// The root of an aggregate in the form of Electra and Fulu (EIP-7549).
fn aggregate_root(aggregate: &AggregateAndProof) -> Result<Node, SignError> {
    let hasher = Sha2Hasher;
    let attestation = &aggregate.aggregate;
    let bits = attestation
        .aggregation_bits
        .root_with_limit(AGGREGATION_BITS_LIMIT, &hasher)
        .map_err(|_| SignError::Malformed("an aggregate with too many bits"))?;
    let committees = attestation
        .committee_bits
        .as_ref()
        .ok_or(SignError::Malformed("an aggregate of before Electra"))?;
    let attestation = merkleize(
        &hasher,
        &[
            bits,
            attestation.data.hash_tree_root(&hasher),
            attestation.signature.hash_tree_root(&hasher),
            committees.hash_tree_root(&hasher),
        ],
        None,
    );
    Ok(merkleize(
        &hasher,
        &[
            aggregate.aggregator_index.hash_tree_root(&hasher),
            attestation,
            aggregate.selection_proof.hash_tree_root(&hasher),
        ],
        None,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::profile::Profile;

    fn bodies(profile: Profile) -> Bodies {
        Bodies::new(LoadChain::of_seed(1, 12_000), &profile.manners())
    }

    fn json(body: Result<Body, SignError>) -> serde_json::Value {
        serde_json::from_slice(&body.unwrap().json).unwrap()
    }

    #[test]
    fn votes_of_an_epoch_share_source_and_target() {
        let bodies = bodies(Profile::Lighthouse);
        for slot in [320, 351] {
            let body = json(bodies.attestation(Slot(slot)));
            assert_eq!(body["attestation"]["source"]["epoch"], "9");
            assert_eq!(body["attestation"]["target"]["epoch"], "10");
            assert_eq!(body["attestation"]["index"], "0");
        }
    }

    #[test]
    fn the_same_slot_has_the_same_body() {
        let bodies = bodies(Profile::Lighthouse);
        for slot in [Slot(64), Slot(65)] {
            assert_eq!(bodies.block(slot, 3).unwrap().json, bodies.block(slot, 3).unwrap().json);
        }
        assert_ne!(
            bodies.block(Slot(64), 3).unwrap().root,
            bodies.block(Slot(65), 3).unwrap().root
        );
    }

    #[test]
    fn each_client_has_its_form() {
        let proof = Signature([9; 96]);
        let aggregate = |profile| json(bodies(profile).aggregate(Slot(64), 5, proof));
        assert_eq!(aggregate(Profile::Lighthouse)["type"], "AGGREGATE_AND_PROOF");
        let versioned = aggregate(Profile::Prysm);
        assert_eq!(versioned["type"], "AGGREGATE_AND_PROOF_V2");
        assert_eq!(versioned["aggregate_and_proof"]["version"], "FULU");
        assert!(json(bodies(Profile::Teku).selection_proof(Slot(1)))["signingRoot"].is_string());
        assert!(json(bodies(Profile::Nimbus).selection_proof(Slot(1)))["signingRoot"].is_null());
        assert!(json(bodies(Profile::Vero).selection_proof(Slot(1)))["signingRoot"].is_null());
    }
}
