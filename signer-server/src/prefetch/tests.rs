//! Prefetch without keys: the plan under a simulated clock, and nodes over real HTTP.

mod nodes;
mod plan;

use signer_client::wire::{Epoch, ForkVersion, ForkVersions, PublicKey, Root, Slot};

use super::{chain::Chain, directory::Known};
use crate::duty::Network;

/// Mainnet with another genesis and other slots.
fn network(genesis_time: u64, slot_duration_ms: u64) -> Network {
    let mut network = Network::by_name_or_file("mainnet").unwrap();
    network.genesis_time = Some(genesis_time);
    network.genesis_validators_root = Some(Root([0x77; 32]));
    network.slot_duration_ms = slot_duration_ms;
    network
}

fn key(number: u64) -> PublicKey {
    let mut bytes = [0; 48];
    // Ascending numbers are ascending keys.
    bytes[40..].copy_from_slice(&number.to_be_bytes());
    PublicKey(bytes)
}

fn keys(count: u64) -> Vec<PublicKey> {
    (0..count).map(key).collect()
}

fn known(count: u64) -> Vec<Known> {
    (0..count).map(|number| Known { key: key(number), index: number + 500 }).collect()
}

fn version(number: u8) -> ForkVersion {
    ForkVersion([number, 0, 0, 0])
}

fn fork(previous: u8, current: u8, epoch: u64) -> ForkVersions {
    ForkVersions {
        previous_version: version(previous),
        current_version: version(current),
        epoch: Epoch(epoch),
    }
}

#[test]
fn a_network_without_genesis_is_no_chain() {
    let mut network = network(1_600_000_000, 12_000);
    assert!(Chain::of(&network).is_some());
    let root = network.genesis_validators_root.take();
    assert!(Chain::of(&network).is_none());
    (network.genesis_validators_root, network.genesis_time) = (root, None);
    assert!(Chain::of(&network).is_none());
}

#[test]
fn a_slot_has_the_fork_of_its_epoch() {
    let chain = Chain::of(&network(1_600_000_000, 12_000)).unwrap();
    let schedule = vec![fork(0, 0, 0), fork(0, 1, 10), fork(1, 2, 10), fork(2, 3, 20)];
    let forks = chain.forks(schedule, Epoch(30)).unwrap();
    let at = |epoch| forks.fork_info(Epoch(epoch)).unwrap();
    assert_eq!(at(9).fork, fork(0, 0, 0));
    assert_eq!(at(10).fork, fork(1, 2, 10), "of two forks at once the later one counts");
    assert_eq!(at(19).fork, fork(1, 2, 10));
    assert_eq!(at(99).fork, fork(2, 3, 20));
    assert_eq!(at(9).genesis_validators_root, Root([0x77; 32]));
    assert!(!forks.has_sync_committees(Epoch(9)) && forks.has_sync_committees(Epoch(10)));
}

#[test]
fn fork_versions_are_the_networks_as_far_as_they_matter_now() {
    let chain = Chain::of(&network(1_600_000_000, 12_000)).unwrap();
    let schedule = || vec![fork(0, 0, 0), fork(0, 0x99, 40)];
    assert!(chain.forks(schedule(), Epoch(39)).is_ok(), "what is far away may be news");
    let error = chain.forks(schedule(), Epoch(40)).unwrap_err().to_string();
    assert!(error.contains("0x99000000") && error.contains("40"), "{error}");
    let forks = chain.forks(vec![fork(0, 1, 10)], Epoch(40)).unwrap();
    assert!(forks.check(Epoch(9)).is_err() && forks.check(Epoch(10)).is_ok());
    assert!(forks.fork_info(Epoch(9)).is_none());
}

#[test]
fn without_a_schedule_the_network_says_what_comes_after_the_head() {
    let mut network = network(1_600_000_000, 12_000);
    for (number, fork) in signer_client::wire::Fork::ALL.into_iter().enumerate().skip(1) {
        let epoch = if number < 4 { Epoch(number as u64 * 10) } else { Epoch(u64::MAX) };
        if network.version_of(fork).is_some() {
            network.override_fork_epoch(fork, epoch).unwrap();
        }
    }
    let chain = Chain::of(&network).unwrap();
    // The head is in Altair, which this node's chain entered earlier than the network's file says.
    let scheduled = chain.forks_after(fork(0, 1, 5));
    assert_eq!(scheduled, [fork(0, 1, 5), fork(0, 1, 10), fork(1, 2, 20), fork(2, 3, 30)]);
    let forks = chain.forks(scheduled, Epoch(50)).unwrap();
    assert_eq!(forks.fork_info(Epoch(7)).unwrap().fork.current_version, version(1));
    assert_eq!(forks.fork_info(Epoch(29)).unwrap().fork.current_version, version(2));
}

fn slots(slots: std::ops::Range<u64>) -> impl Iterator<Item = Slot> {
    slots.map(Slot)
}
