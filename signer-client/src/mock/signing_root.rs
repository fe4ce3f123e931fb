//! Signing roots (consensus-specs, phase0 `compute_signing_root`) of the objects whose shape is the
//! same in every fork.

use libssz_merkle::{HashTreeRoot, Node, Sha2Hasher, hash_nodes};

use crate::{
    client::SignError,
    wire::{Epoch, ForkVersion, Root, SignPayload, SignRequest, Slot},
};

/// Slots of an epoch in the mainnet preset.
const SLOTS_PER_EPOCH: u64 = 32;

/// The root that a request asks to sign.
pub(super) fn of(request: &SignRequest) -> Result<Root, SignError> {
    let computed = computed(request)?;
    match (computed, request.signing_root) {
        (Some(computed), Some(named)) if computed != named => {
            Err(rejected("the signing root differs from the computed one"))
        }
        (Some(root), _) | (None, Some(root)) => Ok(root),
        (None, None) => Err(rejected("this type needs its signing root in the request")),
    }
}

fn computed(request: &SignRequest) -> Result<Option<Root>, SignError> {
    let of_epoch = |domain_type: [u8; 4], epoch: Epoch, object: Node| {
        let info = request.fork_info.ok_or_else(|| rejected("fork_info is missing"))?;
        let version = info.fork.version_at(epoch);
        let domain = domain(domain_type, version, info.genesis_validators_root);
        Ok(Some(Root(hash_nodes(&Sha2Hasher, &object, &domain))))
    };
    match &request.payload {
        SignPayload::AggregationSlot(object) => {
            of_epoch([5, 0, 0, 0], epoch_of(object.slot), root_of(object))
        }
        SignPayload::SyncCommitteeSelectionProof(object) => {
            of_epoch([8, 0, 0, 0], epoch_of(object.slot), root_of(object))
        }
        SignPayload::Attestation(object) => {
            of_epoch([1, 0, 0, 0], object.target.epoch, root_of(object))
        }
        SignPayload::RandaoReveal(object) => of_epoch([2, 0, 0, 0], object.epoch, root_of(object)),
        SignPayload::SyncCommitteeMessage(object) => {
            of_epoch([7, 0, 0, 0], epoch_of(object.slot), object.beacon_block_root.0)
        }
        SignPayload::Generic(object) => Ok(Some(Root(root_of(object)))),
        SignPayload::Block(_)
        | SignPayload::BlockV2(_)
        | SignPayload::AggregateAndProof(_)
        | SignPayload::AggregateAndProofV2(_)
        | SignPayload::VoluntaryExit(_)
        | SignPayload::Deposit(_)
        | SignPayload::SyncCommitteeContributionAndProof(_)
        | SignPayload::ValidatorRegistration(_)
        | SignPayload::ExecutionPayloadBid(_)
        | SignPayload::ExecutionPayloadEnvelope(_)
        | SignPayload::PayloadAttestationMessage(_)
        | SignPayload::ProposerPreferences(_)
        | SignPayload::BuilderRequestAuth(_) => Ok(None),
    }
}

/// `compute_domain`: the type, then 28 bytes of the root of `ForkData`.
pub(crate) fn domain(
    domain_type: [u8; 4],
    version: ForkVersion,
    genesis_validators_root: Root,
) -> Node {
    let mut version_node = Node::default();
    version_node[..4].copy_from_slice(version.as_bytes());
    let fork_data_root = hash_nodes(&Sha2Hasher, &version_node, &genesis_validators_root.0);
    let mut domain = Node::default();
    domain[..4].copy_from_slice(&domain_type);
    domain[4..].copy_from_slice(&fork_data_root[..28]);
    domain
}

fn root_of(object: &impl HashTreeRoot) -> Node {
    object.hash_tree_root(&Sha2Hasher)
}

const fn epoch_of(slot: Slot) -> Epoch {
    Epoch(slot.0 / SLOTS_PER_EPOCH)
}

fn rejected(message: &str) -> SignError {
    SignError::from_status(400, None, message)
}
