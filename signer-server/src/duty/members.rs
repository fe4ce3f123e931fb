//! What the members of a committee sign, for whoever adds up their signatures.
//!
//! The same roots as those of signing requests: a test holds the two together.

use signer_client::wire::{AttestationData, Epoch, Fork, ForkInfo, Root, Slot};

use super::{
    DutyError, DutyType, Network,
    containers::AggregateShape,
    domain::{Domain, DomainType, root_of},
    fork_rule::{ObjectFork, check_since_altair},
    network::{MAX_VALIDATORS_PER_COMMITTEE, SYNC_COMMITTEE_SUBNET_COUNT},
};

/// Members of one attestation committee at most, in every preset.
pub const MAX_COMMITTEE_LEN: usize = MAX_VALIDATORS_PER_COMMITTEE;

/// Subcommittees of a sync committee, in every preset.
pub const SYNC_SUBCOMMITTEES: u64 = SYNC_COMMITTEE_SUBNET_COUNT as u64;

/// How the attestations of a slot name their committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitteeNaming {
    /// `data.index` is the committee (consensus-specs, phase0).
    InData,
    /// Beside the data, whose index is 0 (electra, EIP-7549).
    BesideData,
    /// Beside the data, whose index is 0 or 1 and says whether the payload was there (gloas,
    /// EIP-7732).
    BesideDataWithPayloadStatus,
}

impl CommitteeNaming {
    /// That of a fork.
    pub const fn of(fork: Fork) -> Self {
        match AggregateShape::of(fork) {
            AggregateShape::OneCommittee => Self::InData,
            AggregateShape::ManyCommittees => Self::BesideData,
            AggregateShape::Progressive => Self::BesideDataWithPayloadStatus,
        }
    }
}

/// The fork of a slot: what `fork_info` selects, else `claimed`, else the schedule's.
pub fn fork_of_slot(
    network: &Network,
    fork_info: &ForkInfo,
    slot: Slot,
    claimed: Option<Fork>,
) -> Fork {
    ObjectFork::decide(network, fork_info, network.epoch_of(slot), claimed).fork
}

/// The root that a member of a committee signs for this vote (consensus-specs, phase0
/// `get_attestation_signature`).
pub fn attestation_root(fork_info: &ForkInfo, data: &AttestationData) -> Root {
    domain(DomainType::BEACON_ATTESTER, fork_info, data.target.epoch).signing_root(root_of(data))
}

/// The root that a member of the sync committee signs for this head (consensus-specs, altair
/// `get_sync_committee_message`).
///
/// # Errors
/// When the slot's fork has no sync committees ([`DutyError::WrongFork`]).
pub fn sync_message_root(
    network: &Network,
    fork_info: &ForkInfo,
    claimed: Option<Fork>,
    slot: Slot,
    beacon_block_root: Root,
) -> Result<Root, DutyError> {
    check_since_altair(network, fork_info, claimed, slot, DutyType::SyncCommitteeMessage)?;
    let domain = domain(DomainType::SYNC_COMMITTEE, fork_info, network.epoch_of(slot));
    Ok(domain.signing_root(beacon_block_root))
}

/// Members of a sync subcommittee.
pub const fn sync_subcommittee_len(network: &Network) -> usize {
    network.preset.sync_committee_size() / SYNC_COMMITTEE_SUBNET_COUNT
}

fn domain(domain_type: DomainType, fork_info: &ForkInfo, epoch: Epoch) -> Domain {
    let version = fork_info.fork.version_at(epoch);
    Domain::compute(domain_type, version, fork_info.genesis_validators_root)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use signer_client::wire::{
        Bitvector, ContributionAndProof, QuotedU64, Signature, SyncCommitteeContribution,
    };

    use super::*;
    use crate::duty::{classify, contribution_and_proof, selection_proof};

    #[test]
    fn roots_are_those_of_signing_requests() {
        let network = Network::by_name_or_file("mainnet").unwrap();
        for (previous, current, epoch) in
            [("0x01000000", "0x02000000", 40), ("0x05000000", "0x06000000", 411_392)]
        {
            let fork_info = json!({
                "fork": {"previous_version": previous, "current_version": current, "epoch": epoch.to_string()},
                "genesis_validators_root": Root([7; 32]),
            });
            for target in [epoch - 1, epoch] {
                let slot = (target * 32 + 5).to_string();
                let checkpoint =
                    |epoch: u64| json!({"epoch": epoch.to_string(), "root": Root([3; 32])});
                let data = json!({
                    "slot": slot, "index": "0", "beacon_block_root": Root([9; 32]),
                    "source": checkpoint(target - 1), "target": checkpoint(target),
                });
                let parsed: ForkInfo = serde_json::from_value(fork_info.clone()).unwrap();
                let request =
                    json!({"type": "ATTESTATION", "fork_info": fork_info, "attestation": data});
                let expected = classify(request.to_string().as_bytes(), &network).unwrap();
                let data: AttestationData = serde_json::from_value(data).unwrap();
                assert_eq!(attestation_root(&parsed, &data), expected.signing_root);

                let request = json!({
                    "type": "SYNC_COMMITTEE_MESSAGE", "fork_info": fork_info,
                    "sync_committee_message": {"beacon_block_root": Root([9; 32]), "slot": slot},
                });
                let expected = classify(request.to_string().as_bytes(), &network);
                let slot = Slot(slot.parse().unwrap());
                let found = sync_message_root(&network, &parsed, None, slot, Root([9; 32]));
                assert_eq!(found.ok(), expected.ok().map(|duty| duty.signing_root));
            }
        }
    }

    /// Whatever fork the caller names, the domain is that of its `fork_info`.
    #[test]
    fn a_named_fork_admits_sync_committees_and_never_changes_what_is_signed() {
        let network = Network::by_name_or_file("minimal").unwrap();
        let fork_info = |version: &str| -> ForkInfo {
            let fork =
                json!({"previous_version": version, "current_version": version, "epoch": "0"});
            let root = Root([7; 32]);
            serde_json::from_value(json!({"fork": fork, "genesis_validators_root": root})).unwrap()
        };
        let (slot, root) = (Slot(9), Root([9; 32]));
        let altair = network.version_of(Fork::Altair).unwrap().to_string();
        let roots_with = |fork_info: &ForkInfo, claimed| {
            let index = Some(QuotedU64(2));
            let proof = selection_proof(&network, fork_info, claimed, slot, index);
            let object = ContributionAndProof {
                aggregator_index: QuotedU64(1),
                contribution: SyncCommitteeContribution {
                    slot,
                    beacon_block_root: root,
                    subcommittee_index: QuotedU64(2),
                    aggregation_bits: Bitvector(vec![1]),
                    signature: Signature([0; 96]),
                },
                selection_proof: Signature([0; 96]),
            };
            let contribution = contribution_and_proof(&network, fork_info, claimed, &object);
            let message = sync_message_root(&network, fork_info, claimed, slot, root);
            let roots = [
                message,
                proof.map(|duty| duty.signing_root),
                contribution.map(|duty| duty.signing_root),
            ];
            roots.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let expected = roots_with(&fork_info(&altair), None).unwrap();
        for claimed in [Fork::Phase0, Fork::Altair, Fork::Gloas] {
            assert_eq!(roots_with(&fork_info(&altair), Some(claimed)).unwrap(), expected);
        }

        // A version that the network does not know. Its schedule says phase 0.
        let unknown = fork_info("0xaa000001");
        for claimed in [None, Some(Fork::Phase0)] {
            let refused = roots_with(&unknown, claimed);
            assert!(matches!(refused, Err(DutyError::WrongFork { .. })), "{refused:?}");
        }
        let roots = roots_with(&unknown, Some(Fork::Altair)).unwrap();
        assert_eq!(roots_with(&unknown, Some(Fork::Fulu)).unwrap(), roots);
        let domain = Domain::compute(
            DomainType::SYNC_COMMITTEE,
            unknown.fork.current_version,
            unknown.genesis_validators_root,
        );
        assert_eq!(roots[0], domain.signing_root(root));
    }
}
