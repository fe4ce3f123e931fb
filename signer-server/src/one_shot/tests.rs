//! What needs no signer: which messages count as one, and how many are remembered. The rest is
//! tested against the real binary.

use std::sync::Arc;

use signer_client::wire::{
    AttestationData, Checkpoint, Epoch, Fork, ForkInfo, ForkVersion, ForkVersions, PublicKey,
    QuotedU64, Root, Slot,
};

use midslot_aggregation::{Aggregate, Bits, BitsLen};
use signer_client::wire::{Signature, aggregation::SignRefusal};

use super::{
    Refused,
    object::Object,
    once::{CAPACITY, OnceId, SignedOnce},
};
use crate::{
    aggregation::{
        GroupToSign,
        snapshot::{SignWish, Subject},
    },
    duty::Network,
};

fn wanted(slot: u64) -> GroupToSign {
    let version = ForkVersion([6, 0, 0, 0]);
    let fork =
        ForkVersions { previous_version: version, current_version: version, epoch: Epoch(0) };
    let checkpoint = Checkpoint { epoch: Epoch(1), root: Root([1; 32]) };
    let data = AttestationData {
        slot: Slot(slot),
        index: QuotedU64(0),
        beacon_block_root: Root([2; 32]),
        source: checkpoint,
        target: checkpoint,
    };
    GroupToSign {
        fork_info: ForkInfo { fork, genesis_validators_root: Root([3; 32]) },
        fork: Fork::Fulu,
        slot: Slot(slot),
        subject: Subject::Attestation { data: Some(data), committee_index: 4 },
        aggregate: None,
        wish: SignWish {
            aggregator_pubkey: PublicKey([5; 48]),
            aggregator_index: 6,
            selection_proof: None,
            resign: false,
        },
    }
}

fn id(wanted: &GroupToSign) -> Option<OnceId> {
    OnceId::of(wanted, &Network::by_name_or_file("mainnet").unwrap())
}

#[test]
fn another_vote_of_the_same_committee_is_the_same_aggregate_to_be_signed() {
    let base = wanted(64);
    let first = id(&base).unwrap();
    let mut other_vote = wanted(64);
    if let Subject::Attestation { data: Some(data), .. } = &mut other_vote.subject {
        data.beacon_block_root = Root([9; 32]);
    }
    other_vote.wish.aggregator_index = 7;
    assert_eq!(id(&other_vote), Some(first));

    let contribution =
        Subject::SyncContribution { beacon_block_root: Root([2; 32]), subcommittee_index: 4 };
    let other = |change: &dyn Fn(&mut GroupToSign)| {
        let mut changed = wanted(64);
        change(&mut changed);
        id(&changed).unwrap()
    };
    let others = [
        other(&|group| group.slot = Slot(65)),
        other(&|group| group.subject = contribution),
        other(&|group| group.wish.aggregator_pubkey = PublicKey([8; 48])),
        other(&|group| group.fork_info.fork.current_version = ForkVersion([7, 0, 0, 0])),
        other(&|group| group.fork_info.genesis_validators_root = Root([8; 32])),
        other(&|group| {
            if let Subject::Attestation { committee_index, .. } = &mut group.subject {
                *committee_index = 5;
            }
        }),
    ];
    for other in others {
        assert_ne!(other, first);
    }
}

#[test]
fn a_group_without_a_form_to_be_signed_in_has_no_place() {
    for subject in [Subject::Raw, Subject::Attestation { data: None, committee_index: 4 }] {
        assert_eq!(id(&GroupToSign { subject, ..wanted(64) }), None);
    }
}

#[test]
fn the_oldest_give_way_and_nothing_grows_without_bound() {
    let signed = SignedOnce::default();
    let of_slot = |slot: usize| id(&wanted(slot as u64)).unwrap();
    let (first, second) = (signed.place(of_slot(0)), signed.place(of_slot(1)));
    assert!(Arc::ptr_eq(&first, &signed.place(of_slot(0))));
    for slot in 2..=CAPACITY {
        signed.place(of_slot(slot));
    }
    assert!(Arc::ptr_eq(&second, &signed.place(of_slot(1))), "as many as find room");
    assert!(!Arc::ptr_eq(&first, &signed.place(of_slot(0))), "the oldest is gone");
    assert_eq!(signed.len(), CAPACITY);
}

/// A snapshot is checked when it comes, so that no request can lead here; a group that does not fit
/// its fork must not be signed if it ever does.
#[test]
fn a_group_that_does_not_fit_its_fork_is_refused_by_name() {
    let network = Network::by_name_or_file("mainnet").unwrap();
    let mut bits = Bits::empty(BitsLen::new(2).unwrap());
    bits.insert(0);
    let aggregate = Aggregate { bits, signature: [1; 96], verified: true };
    let refused = |change: &dyn Fn(&mut GroupToSign)| {
        let mut group = wanted(64);
        change(&mut group);
        let object = Object::of(&network, &group, &aggregate, Signature([2; 96])).unwrap();
        object.duty(&network, &group.fork_info, group.fork).err().map(Refused::from)
    };
    assert!(refused(&|_| ()).is_none());
    let in_deneb = |group: &mut GroupToSign| {
        group.fork_info.fork.current_version = ForkVersion([4, 0, 0, 0]);
        group.fork_info.fork.previous_version = ForkVersion([4, 0, 0, 0]);
    };
    let of_deneb = |group: &mut GroupToSign| group.fork = Fork::Deneb;
    for change in [&in_deneb as &dyn Fn(&mut GroupToSign), &of_deneb] {
        let refused = refused(change).unwrap();
        assert_eq!(refused.reason(), SignRefusal::WrongFork, "{refused}");
    }
}
