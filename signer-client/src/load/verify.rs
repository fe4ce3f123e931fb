//! Checks signatures on a thread of its own, so that measuring does not wait for it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use blst::{BLST_ERROR, min_pk};
use parking_lot::Mutex;

use super::stats::{Kind, Phase, Stats};
use crate::{
    mock::CIPHERSUITE,
    wire::{PublicKey, Root, Signature},
};

/// A signature to check.
pub(super) struct Claim {
    pub(super) place: (Kind, Phase),
    pub(super) key: usize,
    pub(super) root: Root,
    pub(super) signature: Signature,
}

/// Takes claims while the run lasts. What is wrong is counted as an error of its type.
pub(super) struct Verifier {
    claims: Mutex<Option<Sender<Claim>>>,
    thread: Mutex<Option<JoinHandle<u64>>>,
}

impl Verifier {
    pub(super) fn start(keys: &[PublicKey], stats: Arc<Stats>) -> std::io::Result<Self> {
        let keys = keys.to_vec();
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("verifier".to_owned())
            .spawn(move || check_all(&receiver, &keys, &stats))?;
        Ok(Self { claims: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn check(&self, claim: Claim) {
        if let Some(claims) = &*self.claims.lock() {
            // The thread ends only when the sender is gone.
            drop(claims.send(claim));
        }
    }

    /// Waits until everything is checked. Gives how many signatures that were.
    pub(super) fn finish(&self) -> u64 {
        drop(self.claims.lock().take());
        let thread = self.thread.lock().take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

fn check_all(claims: &Receiver<Claim>, keys: &[PublicKey], stats: &Stats) -> u64 {
    let mut points: Vec<Option<min_pk::PublicKey>> = vec![None; keys.len()];
    let mut checked = 0;
    for claim in claims {
        checked += 1;
        let point = points.get_mut(claim.key).and_then(|point| {
            if point.is_none() {
                *point = min_pk::PublicKey::key_validate(keys[claim.key].as_bytes()).ok();
            }
            point.as_ref()
        });
        if !point.is_some_and(|point| is_right(point, &claim)) {
            stats.wrong(claim.place);
        }
    }
    checked
}

fn is_right(key: &min_pk::PublicKey, claim: &Claim) -> bool {
    let Ok(signature) = min_pk::Signature::sig_validate(claim.signature.as_bytes(), true) else {
        return false;
    };
    signature.verify(true, claim.root.as_bytes(), CIPHERSUITE, &[], key, false)
        == BLST_ERROR::BLST_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{interop::interop_secret_key, load::keys::interop_public_key};

    #[test]
    fn only_the_right_signature_is_right() {
        let stats = Arc::new(Stats::default());
        let keys = [interop_public_key(0), interop_public_key(1)];
        let verifier = Verifier::start(&keys, stats.clone()).unwrap();
        let root = Root([3; 32]);
        let secret = interop_secret_key(0);
        let secret = min_pk::SecretKey::from_bytes(secret.as_slice()).unwrap();
        let right = Signature(secret.sign(root.as_bytes(), CIPHERSUITE, &[]).compress());
        let place = |kind| (kind, Phase::Proposing);
        let claim = |kind, key, root, signature| {
            verifier.check(Claim { place: place(kind), key, root, signature });
        };
        claim(Kind::Block, 0, root, right);
        claim(Kind::Attestation, 1, root, right);
        claim(Kind::Aggregate, 0, Root([4; 32]), right);
        claim(Kind::Contribution, 0, root, Signature([1; 96]));
        claim(Kind::Probe, 7, root, right);
        assert_eq!(verifier.finish(), 5);
        let wrong: Vec<_> = stats.series().keys().map(|(kind, _)| *kind).collect();
        let expected = [Kind::Attestation, Kind::Aggregate, Kind::Contribution, Kind::Probe];
        assert_eq!(wrong, expected);
    }
}
