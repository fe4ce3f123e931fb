//! Full blocks, which only phase 0 and Altair send.

use libssz_merkle::{HashTreeRoot, Node, Sha2Hasher, merkleize};
use signer_client::wire::{BeaconBlock, BeaconBlockBody, Fork, Root, block::SyncAggregate};

use super::check_bits;
use crate::duty::{DutyError, fork_rule::ObjectFork, network::Preset};

const SYNC_AGGREGATE: &str = "body.sync_aggregate";
const SYNC_COMMITTEE_BITS: &str = "body.sync_aggregate.sync_committee_bits";

/// The root of a full block of phase 0, or of Altair when `fork` is later.
pub(in crate::duty) fn block_root(
    block: &BeaconBlock,
    fork: ObjectFork,
    preset: Preset,
) -> Result<Root, DutyError> {
    let fields = [
        block.slot.hash_tree_root(&Sha2Hasher),
        block.proposer_index.hash_tree_root(&Sha2Hasher),
        block.parent_root.hash_tree_root(&Sha2Hasher),
        block.state_root.hash_tree_root(&Sha2Hasher),
        body_root(&block.body, fork, preset)?,
    ];
    Ok(Root(merkleize(&Sha2Hasher, &fields, None)))
}

fn body_root(body: &BeaconBlockBody, fork: ObjectFork, preset: Preset) -> Result<Node, DutyError> {
    let hasher = &Sha2Hasher;
    let mut fields = vec![
        body.randao_reveal.hash_tree_root(hasher),
        body.eth1_data.hash_tree_root(hasher),
        body.graffiti.hash_tree_root(hasher),
        body.proposer_slashings.hash_tree_root(hasher),
        body.attester_slashings.hash_tree_root(hasher),
        body.attestations.hash_tree_root(hasher),
        body.deposits.hash_tree_root(hasher),
        body.voluntary_exits.hash_tree_root(hasher),
    ];
    match (fork.fork, &body.sync_aggregate) {
        (Fork::Phase0, None) => {}
        (Fork::Phase0, Some(_)) => {
            let ObjectFork { fork, decided_by } = fork;
            return Err(DutyError::UnexpectedMember { path: SYNC_AGGREGATE, fork, decided_by });
        }
        (fork, None) => return Err(DutyError::MissingMember { path: SYNC_AGGREGATE, fork }),
        (_, Some(aggregate)) => fields.push(sync_aggregate_root(aggregate, preset)?),
    }
    Ok(merkleize(hasher, &fields, None))
}

fn sync_aggregate_root(aggregate: &SyncAggregate, preset: Preset) -> Result<Node, DutyError> {
    let size = preset.sync_committee_size();
    check_bits(SYNC_COMMITTEE_BITS, &aggregate.sync_committee_bits, size)?;
    Ok(aggregate.hash_tree_root(&Sha2Hasher))
}
