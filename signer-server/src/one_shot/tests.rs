//! What needs no signer: which messages count as one, and how many are remembered. The rest is
//! tested against the real binary.

use std::{convert::Infallible, sync::Arc};

use futures_util::FutureExt as _;
use midslot_aggregation::{Aggregate, Bits, BitsLen};
use signer_client::wire::{
    AttestationData, Checkpoint, Epoch, Fork, ForkInfo, ForkVersion, ForkVersions, PublicKey,
    QuotedU64, Root, Signature, Slot, aggregation::SignRefusal,
};
use tokio::sync::oneshot;

use super::{
    Refused,
    object::Object,
    once::{CAPACITY, Found, Known, OnceId, SignedOnce},
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
fn an_aggregate_in_the_form_of_another_fork_is_another_one() {
    let of_fork = |fork| id(&GroupToSign { fork, ..wanted(64) }).unwrap();
    assert_eq!(of_fork(Fork::Electra), of_fork(Fork::Fulu), "the same form");
    assert_eq!(of_fork(Fork::Phase0), of_fork(Fork::Deneb), "the same form");
    assert_ne!(of_fork(Fork::Deneb), of_fork(Fork::Electra));
    assert_ne!(of_fork(Fork::Fulu), of_fork(Fork::Gloas));
    // Contributions are alike in every fork.
    let subject =
        Subject::SyncContribution { beacon_block_root: Root([2; 32]), subcommittee_index: 1 };
    let of_fork = |fork| id(&GroupToSign { fork, subject, ..wanted(64) }).unwrap();
    assert_eq!(of_fork(Fork::Deneb), of_fork(Fork::Gloas));
}

fn of_slot(slot: usize) -> OnceId {
    id(&wanted(slot as u64)).unwrap()
}

/// A message that differs from others by its signature.
fn known(byte: u8) -> Arc<Known> {
    let network = Network::by_name_or_file("mainnet").unwrap();
    let subject =
        Subject::SyncContribution { beacon_block_root: Root([2; 32]), subcommittee_index: 1 };
    let group = GroupToSign { subject, ..wanted(64) };
    let bits = Bits::from_ssz_bitvector(&[1; 16], BitsLen::new(128).unwrap()).unwrap();
    let aggregate = Aggregate { bits, signature: [4; 96], verified: true };
    let object = Object::of(&network, &group, &aggregate, Signature([5; 96])).unwrap();
    let duty = object.duty(&network, &group.fork_info, group.fork).unwrap();
    Arc::new(Known { object: object.signed(Signature([byte; 96])), duty })
}

/// Signs that message, unless there is one; gives the first byte of the signature that there is.
async fn sign(signed: &SignedOnce, id: OnceId, byte: u8) -> (u8, bool) {
    let (known, is_new) = match signed.find(id) {
        Found::Signed(known) => (known, false),
        Found::Unsigned(place) => {
            place.signed(async { Ok::<_, Infallible>(known(byte)) }).await.unwrap()
        }
    };
    (known.signature().as_bytes()[0], is_new)
}

#[tokio::test]
async fn the_oldest_give_way_and_nothing_grows_without_bound() {
    let signed = SignedOnce::default();
    for slot in 0..=CAPACITY {
        assert_eq!(sign(&signed, of_slot(slot), 1).await, (1, true));
    }
    assert_eq!(signed.sizes(), (CAPACITY, 0));
    assert_eq!(sign(&signed, of_slot(1), 2).await, (1, false), "as many as find room");
    assert_eq!(sign(&signed, of_slot(0), 2).await, (2, true), "the oldest is gone");
    assert_eq!(signed.sizes(), (CAPACITY, 0));
}

#[tokio::test]
async fn a_message_that_is_being_signed_never_gives_way_to_others() {
    let signed = SignedOnce::default();
    let (release, released) = oneshot::channel();
    let Found::Unsigned(first) = signed.find(of_slot(0)) else { panic!("nothing was signed") };
    let first = async {
        let slow = async { released.await.map(|()| known(1)) };
        let (known, is_new) = first.signed(slow).await.unwrap();
        (known.signature().as_bytes()[0], is_new)
    };
    let second = async {
        // The first one's signature is still on its way when all room is taken by others.
        for slot in 1..=2 * CAPACITY {
            sign(&signed, of_slot(slot), 2).await;
        }
        release.send(()).unwrap();
        sign(&signed, of_slot(0), 3).await
    };
    assert_eq!(tokio::join!(first, second), ((1, true), (1, false)));
    assert_eq!(sign(&signed, of_slot(0), 4).await, (1, false), "the newest is remembered");
}

#[tokio::test]
async fn requests_that_fail_leave_nothing_and_push_nothing_out() {
    let signed = SignedOnce::default();
    sign(&signed, of_slot(0), 1).await;
    for slot in 1..=CAPACITY {
        let Found::Unsigned(place) = signed.find(of_slot(slot)) else { panic!("not signed") };
        assert!(place.signed(async { Err("not selected") }).await.is_err());
    }
    assert_eq!(signed.sizes(), (1, 0));
    assert_eq!(sign(&signed, of_slot(0), 2).await, (1, false));
    assert_eq!(sign(&signed, of_slot(1), 2).await, (2, true), "the next one may sign");
}

#[tokio::test]
async fn the_next_one_signs_when_the_first_fails_or_goes_away() {
    let signed = SignedOnce::default();
    let find = || match signed.find(of_slot(0)) {
        Found::Unsigned(place) => place,
        Found::Signed(_) => panic!("nothing was signed"),
    };
    let (fails, gone, signs) = (find(), find(), find());
    assert!(fails.signed(async { Err("no database") }).await.is_err());
    drop(fails);
    let never = gone.signed(std::future::pending::<Result<_, Infallible>>());
    assert!(never.now_or_never().is_none());
    drop(gone);
    let (_, is_new) = signs.signed(async { Ok::<_, Infallible>(known(7)) }).await.unwrap();
    assert!(is_new);
    drop(signs);
    assert_eq!(signed.sizes(), (1, 0));
    assert_eq!(sign(&signed, of_slot(0), 8).await, (7, false));
}

#[tokio::test]
async fn what_was_asked_for_anew_stays_when_the_first_one_comes_late() {
    let signed = SignedOnce::default();
    let Found::Unsigned(late) = signed.find(of_slot(0)) else { panic!("nothing was signed") };
    signed.replace(of_slot(0), known(2));
    let (_, is_new) = late.signed(async { Ok::<_, Infallible>(known(1)) }).await.unwrap();
    assert!(is_new);
    assert_eq!(sign(&signed, of_slot(0), 3).await, (2, false));
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
