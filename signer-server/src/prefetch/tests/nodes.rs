//! What beacon nodes tell, and how little it takes when they misbehave: over real HTTP, on a chain
//! whose slots are so long that time stands still.

mod bench;

use std::time::Duration;

use midslot_tests::{BeaconNodeBuilder, Fault};
use signer_client::wire::Epoch;
use tokio::net::TcpSocket;

use self::bench::Bench;
use super::{
    super::{
        BeaconAddress, PrefetchState,
        moment::now_unix_ms,
        node::{Node, NodeFailure},
        worker::Source,
    },
    key, keys,
};

const HOUR_MS: u64 = 3_600_000;
/// It is slot 50 of mainnet's preset, in epoch 1.
const NOW: u64 = 50;
const EPOCH: Epoch = Epoch(1);
const ATTESTERS: &str = "duties/attester";
/// No machine is so slow that an answer takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

fn genesis_time() -> u64 {
    // Half an hour into the slot, so that it does not end meanwhile.
    now_unix_ms() / 1000 - NOW * HOUR_MS / 1000 - 1_800
}

fn node(genesis_time: u64, validators: u64) -> BeaconNodeBuilder {
    let root = const_hex::encode_prefixed([0x77; 32]);
    BeaconNodeBuilder::new(genesis_time, &root, HOUR_MS)
        .fork(0, "0x00000000")
        .fork(1, "0x01000000")
        .validators((0..validators).map(|number| key(number).to_string()))
}

#[tokio::test]
async fn duties_of_both_epochs_are_learned_and_then_only_the_root_is_looked_at() {
    let genesis = genesis_time();
    let node = node(genesis, 40).sync_committee(0, &[(3, 7), (200, 7)]).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&node], 40);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    bench.assert_told(&node, 40);
    let members: Vec<_> = bench.asker.book.lock().sync_members(EPOCH).collect();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].0, members[0].1.iter().collect::<Vec<_>>()), (key(7), vec![0, 1]));
    assert_eq!(bench.asker.status.report().validators, 40);
    assert_eq!(bench.count("midslot_prefetch_validators"), 40);

    let asked = |text| node.requests(text);
    let before = [asked("genesis"), asked("head/validators"), asked("duties/sync")];
    let attesters = asked(ATTESTERS);
    bench.refresh().await;
    assert_eq!([asked("genesis"), asked("head/validators"), asked("duties/sync")], before);
    assert_eq!(asked(ATTESTERS), attesters + 2, "one look at each epoch's root");

    node.reorganise();
    bench.refresh().await;
    bench.assert_told(&node, 40);
    assert_eq!(asked(ATTESTERS), attesters + 2 + 4, "a look and then all others, of both epochs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_validators_are_asked_for_in_parts() {
    let genesis = genesis_time();
    let node = node(genesis, 4_500).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&node], 4_500);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    bench.assert_told(&node, 4_500);
    assert_eq!((node.requests("head/validators"), node.requests(ATTESTERS)), (3, 6));
}

#[tokio::test]
async fn a_key_that_comes_later_and_one_that_is_no_validator_yet_are_found() {
    let genesis = genesis_time();
    let node = node(genesis, 10).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&node], 8);
    bench.refresh().await;
    bench.assert_told(&node, 8);
    // Two more of the node's, and two that it does not know.
    bench.ours = keys(12).into();
    bench.refresh().await;
    bench.assert_told(&node, 10);
    let asked = node.requests("head/validators");
    bench.refresh().await;
    assert_eq!(node.requests("head/validators"), asked, "unknown ones only once an epoch");
    bench.refresh_at(NOW + 32).await;
    assert_eq!(node.requests("head/validators"), asked + 1);
    // Keys that are gone leave the book.
    bench.ours = keys(3).into();
    bench.refresh().await;
    bench.assert_told(&node, 3);
}

#[tokio::test]
async fn older_nodes_tell_validators_by_get_and_no_schedule() {
    let genesis = genesis_time();
    let node = node(genesis, 150).without_fork_schedule().start().await.unwrap();
    node.misbehave("POST /eth/v1/beacon/states", Fault::Status(405));
    let mut bench = Bench::new(genesis, &[&node], 150);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    bench.assert_told(&node, 150);
    assert_eq!(node.requests("GET /eth/v1/beacon/states/head/validators"), 3);
    bench.ours = keys(151).into();
    bench.refresh().await;
    assert_eq!(node.requests("POST /eth/v1/beacon/states"), 1, "it is remembered");
    let book = bench.asker.book.lock();
    assert_eq!(book.forks().unwrap().fork_info(EPOCH).unwrap().fork.current_version.0[0], 1);
}

#[tokio::test]
async fn credentials_of_the_address_are_sent() {
    let genesis = genesis_time();
    // base64 of "user:pass".
    let node = node(genesis, 3).credentials("dXNlcjpwYXNz").start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&node], 3);
    assert!(bench.failure().await.contains("401"));
    let address = node.url().replace("http://", "http://user:pass@");
    let mut bench = Bench::at(genesis, &[address], 3);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    bench.assert_told(&node, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_noticed_and_the_next_node_takes_over() {
    let genesis = genesis_time();
    let garbage = || Fault::Garbage;
    let faults: Vec<(&str, Fault, NodeFailure)> = vec![
        ("", Fault::Status(500), NodeFailure::Status),
        ("", garbage(), NodeFailure::Answer),
        ("", Fault::HangUp, NodeFailure::Unreachable),
        ("", Fault::Endless, NodeFailure::Answer),
        ("", Fault::lie(|answer| *answer = serde_json::json!([])), NodeFailure::Answer),
        ("genesis", Fault::other_chain(), NodeFailure::WrongChain),
        (
            "genesis",
            Fault::lie(|answer| answer["data"]["genesis_time"] = "1".into()),
            NodeFailure::WrongChain,
        ),
        (
            "spec",
            Fault::lie(|answer| answer["data"]["SLOTS_PER_EPOCH"] = "8".into()),
            NodeFailure::WrongChain,
        ),
        (
            "fork_schedule",
            Fault::lie(|answer| answer["data"][1]["current_version"] = "0x99999999".into()),
            NodeFailure::WrongChain,
        ),
        (
            "fork_schedule",
            Fault::lie(|answer| answer["data"] = serde_json::json!([])),
            NodeFailure::WrongChain,
        ),
        ("syncing", Fault::stale(40), NodeFailure::NotSynced),
        (
            "syncing",
            Fault::lie(|answer| answer["data"]["is_syncing"] = true.into()),
            NodeFailure::NotSynced,
        ),
        (
            "syncing",
            Fault::lie(|answer| answer["data"]["head_slot"] = u64::MAX.to_string().into()),
            NodeFailure::NotSynced,
        ),
        ("head/validators", Fault::repeated(2), NodeFailure::Answer),
        ("head/validators", Fault::Endless, NodeFailure::Answer),
        ("head/validators", Fault::Status(404), NodeFailure::Status),
        (ATTESTERS, Fault::foreign_duty(), NodeFailure::Answer),
        (ATTESTERS, Fault::later_slots(32), NodeFailure::Answer),
        (ATTESTERS, Fault::later_slots(u64::MAX), NodeFailure::Answer),
        (ATTESTERS, Fault::repeated(2), NodeFailure::Answer),
        (ATTESTERS, Fault::repeated(2_500), NodeFailure::Answer),
        (ATTESTERS, Fault::Status(503), NodeFailure::Status),
        (ATTESTERS, Fault::HangUp, NodeFailure::Unreachable),
        (
            "duties/sync",
            Fault::lie(|answer| {
                answer["data"][0]["validator_sync_committee_indices"] = serde_json::json!(["512"]);
            }),
            NodeFailure::Answer,
        ),
        ("duties/sync", Fault::foreign_duty(), NodeFailure::Answer),
    ];
    let bad = node(genesis, 6).sync_committee(0, &[(3, 2)]).start().await.unwrap();
    let good = node(genesis, 6).start().await.unwrap();
    for (number, (requests, fault, failure)) in faults.into_iter().enumerate() {
        bad.misbehave(requests, fault);
        let mut alone = Bench::new(genesis, &[&bad], 6);
        let reason = alone.failure().await;
        assert_eq!(alone.failures(failure), 1, "fault {number}: {reason}");
        assert_eq!(alone.count("midslot_prefetch_refreshes_total{result=\"failed\"}"), 1);
        assert!(reason.len() < 300, "fault {number}: {reason}");
        assert!(alone.duties().iter().all(|(_, of)| *of < key(6)), "fault {number}");

        let mut both = Bench::new(genesis, &[&bad, &good], 6);
        assert_eq!(both.refresh().await, PrefetchState::Working, "fault {number}: {reason}");
        assert_eq!(both.failures(failure), 1, "fault {number}");
        both.assert_told(&good, 6);
        // It rests: the good one is asked first.
        both.refresh().await;
        assert_eq!(both.failures(failure), 1, "fault {number}");

        bad.heal();
        assert_eq!(alone.refresh().await, PrefetchState::Working, "fault {number}");
        alone.assert_told(&bad, 6);
    }
}

#[tokio::test]
async fn a_node_that_is_too_slow_is_left_for_the_next_one() {
    let genesis = genesis_time();
    let slow = node(genesis, 3).start().await.unwrap();
    slow.misbehave("", Fault::Slow(Duration::from_hours(1)));
    let good = node(genesis, 3).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&good], 3);
    let address = BeaconAddress::parse(&slow.url()).unwrap();
    let impatient = Node::new(address, Duration::from_millis(50)).unwrap();
    bench.asker.sources.insert(0, Source::new(impatient, PATIENCE));
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    assert_eq!(bench.failures(NodeFailure::Unreachable), 1);
    bench.assert_told(&good, 3);
}

/// Each answer comes before its own time is over, but there are many.
#[tokio::test]
async fn a_node_that_is_slow_at_every_answer_is_left_for_the_next_one() {
    let genesis = genesis_time();
    let slow = node(genesis, 3).start().await.unwrap();
    slow.misbehave(ATTESTERS, Fault::Slow(Duration::from_hours(1)));
    let good = node(genesis, 3).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&good], 3);
    let address = BeaconAddress::parse(&slow.url()).unwrap();
    let patient = Node::new(address, Duration::from_hours(2)).unwrap();
    let round = Duration::from_millis(500);
    bench.asker.sources.insert(0, Source::new(patient, round));
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    assert_eq!(bench.failures(NodeFailure::Unreachable), 1);
    bench.assert_told(&good, 3);
}

#[tokio::test]
async fn a_node_that_takes_back_wrong_indices_is_of_use_again() {
    let genesis = genesis_time();
    let node = node(genesis, 4).start().await.unwrap();
    // As after a re-organisation that gives two new validators each other's index.
    node.misbehave("head/validators", swapped_indices());
    let mut bench = Bench::new(genesis, &[&node], 4);
    assert!(bench.failure().await.contains("not asked for"));
    node.heal();
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    bench.assert_told(&node, 4);
}

/// For validators: the first two have each other's index.
fn swapped_indices() -> Fault {
    Fault::lie(|answer| {
        let other = answer["data"][1]["index"].clone();
        let own = std::mem::replace(&mut answer["data"][0]["index"], other);
        answer["data"][1]["index"] = own;
    })
}

#[tokio::test]
async fn a_node_that_is_away_is_left_for_the_next_one() {
    let genesis = genesis_time();
    // Nobody else gets the port, and nobody listens on it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let away = format!("http://{}", socket.local_addr().unwrap());
    let second = node(genesis, 3).start().await.unwrap();
    let mut bench = Bench::at(genesis, &[away, second.url()], 3);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    assert_eq!(bench.failures(NodeFailure::Unreachable), 1);
    bench.assert_told(&second, 3);
}

#[tokio::test]
async fn a_node_that_has_failed_rests_and_is_then_the_preferred_one_again() {
    let genesis = genesis_time();
    let first = node(genesis, 3).start().await.unwrap();
    let second = node(genesis, 3).start().await.unwrap();
    first.misbehave("", Fault::Status(503));
    let mut bench = Bench::new(genesis, &[&first, &second], 3);
    bench.refresh().await;
    first.heal();
    let asked = first.requests("");
    bench.refresh_at(NOW + 7).await;
    assert_eq!(first.requests(""), asked);
    bench.refresh_at(NOW + 8).await;
    assert!(first.requests(ATTESTERS) > 0);
}

#[tokio::test]
async fn duties_stay_known_while_all_nodes_are_away() {
    let genesis = genesis_time();
    let node = node(genesis, 12).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&node], 12);
    bench.refresh().await;
    node.misbehave("", Fault::Status(500));
    assert!(matches!(bench.refresh().await, PrefetchState::Failing { .. }));
    bench.assert_told(&node, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_never_rests_ends_the_asking() {
    let genesis = genesis_time();
    let node = node(genesis, 2_500).start().await.unwrap();
    let answers = std::sync::atomic::AtomicU8::new(0);
    let restless = Fault::lie(move |answer| {
        let number = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer["dependent_root"] = const_hex::encode_prefixed([number; 32]).into();
    });
    node.misbehave(ATTESTERS, restless);
    let mut bench = Bench::new(genesis, &[&node], 2_500);
    let reason = bench.failure().await;
    assert!(reason.contains("dependent root"), "{reason}");
    assert!(node.requests(ATTESTERS) <= 4);
}

#[tokio::test]
async fn a_lying_directory_does_not_outlive_its_node() {
    let genesis = genesis_time();
    let liar = node(genesis, 4).start().await.unwrap();
    liar.misbehave("head/validators", swapped_indices());
    let honest = node(genesis, 4).start().await.unwrap();
    let mut bench = Bench::new(genesis, &[&liar, &honest], 4);
    assert_eq!(bench.refresh().await, PrefetchState::Working);
    assert_eq!(bench.failures(NodeFailure::Answer), 1, "its duties name other indices");
    bench.assert_told(&honest, 4);
}
