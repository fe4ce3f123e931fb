//! The best that blst's ordinary call can do: every core signs distinct messages in a loop.

use std::time::{Duration, Instant};

use signer_server::{bls::CIPHERSUITE, keys::interop_secret_key};

/// How long one turn lasts.
const TURN: Duration = Duration::from_millis(1500);

/// Signatures per second of `SecretKey::sign` on all cores together.
///
/// # Panics
/// Never: interop keys are valid.
pub(crate) fn signatures_per_second() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let secret = interop_secret_key(0);
    let key = blst::min_pk::SecretKey::from_bytes(secret.as_slice()).expect("an interop key");
    let started = Instant::now();
    let signatures: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores as u64)
            .map(|thread| {
                let key = &key;
                scope.spawn(move || {
                    let mut count = 0_u64;
                    while started.elapsed() < TURN {
                        let mut message = [0; 32];
                        message[..8].copy_from_slice(&count.to_le_bytes());
                        message[8..16].copy_from_slice(&thread.to_le_bytes());
                        std::hint::black_box(key.sign(&message, CIPHERSUITE, &[]));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    signatures as f64 / started.elapsed().as_secs_f64()
}
