//! Slashing protection on a real PostgreSQL, through its public interface and over HTTP.

mod audit;
mod degraded;
mod faults;
mod halted;
mod http;
mod mutants;
mod oracle;
mod outages;
mod race;
mod records;
mod rollback;
mod safe_start;
mod start;
mod synchronous;
mod tls;

use std::time::Duration;

use midslot_tests::{
    Dice,
    postgres::{PostgresCluster, TestDatabase},
};
use signer_client::wire::{Epoch, PublicKey, Root, Slot};
use signer_server::{
    audit::{Client, Outcome},
    duty::{Duty, DutyType, Position, Protection},
    slashing::{
        Cleared, NotCleared, OpenError, OpenOptions, PruningPolicy, PruningSchedule,
        SlashingProtection,
    },
};

pub(super) const CHAIN: Root = Root([9; 32]);
const OTHER_CHAIN: Root = Root([8; 32]);

/// An empty database on the cluster that nothing breaks.
pub(super) async fn database() -> TestDatabase {
    PostgresCluster::shared().await.unwrap().database().await.unwrap()
}

pub(super) fn options(url: &str) -> OpenOptions {
    OpenOptions {
        // The machine may be busy with other tests.
        timeout: Duration::from_secs(30),
        ..OpenOptions::new(url.parse().unwrap())
    }
}

async fn try_open(url: &str) -> Result<SlashingProtection, OpenError> {
    SlashingProtection::open(options(url)).await
}

async fn open(url: &str) -> SlashingProtection {
    try_open(url).await.unwrap()
}

/// Opened, with keys 0 to 4.
async fn ready(url: &str) -> SlashingProtection {
    let protection = open(url).await;
    let keys: Vec<PublicKey> = (0..5).map(key).collect();
    protection.register(&keys).await.unwrap();
    protection
}

pub(super) fn key(number: u32) -> PublicKey {
    let mut bytes = [0; 48];
    bytes[44..].copy_from_slice(&number.to_be_bytes());
    PublicKey(bytes)
}

fn attestation_on(chain: Root, source: u64, target: u64, root: u8) -> Duty {
    Duty {
        duty_type: DutyType::Attestation,
        signing_root: Root([root; 32]),
        position: Some(Position::Epoch(Epoch(target))),
        protection: Protection::Attestation {
            source: Epoch(source),
            target: Epoch(target),
            genesis_validators_root: chain,
        },
    }
}

pub(super) fn attestation(source: u64, target: u64, root: u8) -> Duty {
    attestation_on(CHAIN, source, target, root)
}

pub(super) fn block(slot: u64, root: u8) -> Duty {
    Duty {
        duty_type: DutyType::BlockV2,
        signing_root: Root([root; 32]),
        position: Some(Position::Slot(Slot(slot))),
        protection: Protection::Block { slot: Slot(slot), genesis_validators_root: CHAIN },
    }
}

/// Clears and ends the ticket as the signer would.
pub(super) async fn sign(
    protection: &SlashingProtection,
    key: PublicKey,
    duty: &Duty,
) -> Result<Cleared, NotCleared> {
    let mut ticket = protection.audit().begin(Client::default(), &key.to_string());
    let cleared = protection.clear(&key, duty, &mut ticket).await;
    match &cleared {
        Ok(cleared) if cleared.is_repeat() => ticket.finish(Outcome::Repeated, None),
        Ok(_) => ticket.finish(Outcome::Signed, None),
        Err(error) => ticket.finish(Outcome::Refused, Some(error.to_string())),
    }
    cleared
}

/// The word for an answer: `new`, `repeat`, the code of a refusal, or `failed`.
pub(super) fn word(answer: &Result<Cleared, NotCleared>) -> &'static str {
    match answer {
        Ok(cleared) if cleared.is_repeat() => "repeat",
        Ok(_) => "new",
        Err(NotCleared::Refused(refusal)) => refusal.code(),
        Err(NotCleared::Unregistered { .. }) => "unregistered",
        Err(_) => "failed",
    }
}

pub(super) async fn said(
    protection: &SlashingProtection,
    number: u32,
    duty: &Duty,
) -> &'static str {
    word(&sign(protection, key(number), duty).await)
}
