//! What the parts of a signature cost: `cargo bench -p midslot-bench`.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use divan::{Bencher, counter::ItemsCount};
use midslot_tests::requests;
use signer_client::wire::Root;
use signer_server::{
    bls::{CIPHERSUITE, MessagePoint, PointCache, SecretKey},
    duty::{Network, classify},
    keys::interop_secret_key,
    scheduler::{Bounds, Class, queue::Queue},
};

fn main() {
    divan::main();
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&interop_secret_key(0)).expect("an interop key")
}

/// A root that was not there before.
fn fresh_root() -> Root {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut root = [0; 32];
    root[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    Root(root)
}

/// blst's ordinary call, which hashes and multiplies.
#[divan::bench]
fn blst_secret_key_sign(bencher: Bencher<'_, '_>) {
    let secret = interop_secret_key(0);
    let key = blst::min_pk::SecretKey::from_bytes(secret.as_slice()).expect("an interop key");
    bencher
        .with_inputs(fresh_root)
        .bench_values(|root| key.sign(root.as_bytes(), CIPHERSUITE, &[]));
}

#[divan::bench]
fn hash_to_the_curve(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(fresh_root).bench_values(|root| MessagePoint::of_root(&root));
}

#[divan::bench]
fn sign_a_hashed_root(bencher: Bencher<'_, '_>) {
    let (key, point) = (key(), MessagePoint::of_root(&fresh_root()));
    bencher.bench_local(|| key.sign_point(&point));
}

#[divan::bench]
fn sign_through_the_cache_all_different(bencher: Bencher<'_, '_>) {
    let (key, cache) = (key(), PointCache::new(1024));
    bencher.with_inputs(fresh_root).bench_values(|root| cache.sign(&key, &root));
}

#[divan::bench]
fn sign_through_the_cache_one_root_for_all(bencher: Bencher<'_, '_>) {
    let (key, cache, root) = (key(), PointCache::new(1024), fresh_root());
    for _ in 0..100 {
        cache.sign(&key, &root);
    }
    bencher.bench_local(|| cache.sign(&key, &root));
}

/// A root that 1,000 keys sign, table and all.
#[divan::bench(sample_count = 20)]
fn thousand_signatures_of_a_new_root(bencher: Bencher<'_, '_>) {
    let (key, cache) = (key(), PointCache::new(1024));
    bencher.counter(ItemsCount::new(1000_u64)).with_inputs(fresh_root).bench_values(|root| {
        for _ in 0..1000 {
            black_box(cache.sign(&key, &root));
        }
    });
}

/// Reserve, push and pop beside `waiting` jobs of the same class.
#[divan::bench(args = [0, 100, 10_000])]
fn queue_push_and_pop(bencher: Bencher<'_, '_>, waiting: u64) {
    let mut queue = Queue::new(Bounds([1 << 20; 5]));
    let now = Instant::now();
    let deadline = |number: u64| now + Duration::from_millis(4_000 + number * 7_919 % 10_007);
    for number in 0..waiting {
        assert!(queue.reserve(Class::SelectionProof, 1));
        assert!(queue.push(Class::SelectionProof, now, deadline(number), number).is_ok());
    }
    let mut number = waiting;
    bencher.bench_local(|| {
        number += 1;
        queue.reserve(Class::SelectionProof, 1);
        let pushed = queue.push(Class::SelectionProof, now, deadline(number), number);
        (pushed, queue.pop(now).map(|next| next.job))
    });
}

/// From a body to a duty with its signing root.
#[divan::bench(args = ["ATTESTATION", "BLOCK_V2", "AGGREGATION_SLOT"])]
fn classify_a_body(bencher: Bencher<'_, '_>, duty_type: &str) {
    let network = Network::by_name_or_file("mainnet").expect("a built-in network");
    let request = match duty_type {
        "ATTESTATION" => requests::attestation(1, 2, 3),
        "BLOCK_V2" => requests::block(requests::SLOT, 1),
        _ => requests::aggregation_slot(requests::SLOT),
    };
    let body = request.to_string();
    bencher.bench_local(|| classify(black_box(body.as_bytes()), &network));
}
