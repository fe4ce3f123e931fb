//! Slashing protection as the rest of the signer sees it, on real files.

mod rollback;
mod start;
mod trail;

use std::path::PathBuf;

use signer_client::wire::{Epoch, Root, Slot};
use tempfile::TempDir;

use super::*;
use crate::{
    audit::{Client, Entry, MAX_PAGE, Outcome},
    duty::{DutyType, Position},
    slashing::{CONFIRM_OPTION, DatabaseUrl, MARKER_FILE_NAME, PostgresOptions, Refusal},
};

const CHAIN: Root = Root([9; 32]);
const OTHER_CHAIN: Root = Root([8; 32]);

/// A data folder and a key folder.
struct Folders {
    data: TempDir,
    keys: TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap(), keys: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.data.path().join("slashing.sqlite")
    }

    fn options(&self) -> OpenOptions {
        OpenOptions {
            marker_directories: vec![self.keys.path().to_owned()],
            ..OpenOptions::new(DatabaseUrl::Sqlite(self.database()))
        }
    }

    async fn open(&self) -> Result<SlashingProtection, OpenError> {
        SlashingProtection::open(self.options()).await
    }

    /// Opened, with keys 0 to 4.
    async fn ready(&self) -> SlashingProtection {
        let protection = self.open().await.unwrap();
        protection.register(&[key(0), key(1), key(2), key(3), key(4)]).await.unwrap();
        protection
    }
}

fn key(number: u8) -> PublicKey {
    PublicKey([number; 48])
}

fn attestation(source: u64, target: u64, root: u8) -> Duty {
    Duty {
        duty_type: DutyType::Attestation,
        signing_root: Root([root; 32]),
        position: Some(Position::Epoch(Epoch(target))),
        protection: Protection::Attestation {
            source: Epoch(source),
            target: Epoch(target),
            genesis_validators_root: CHAIN,
        },
    }
}

fn block(slot: u64, root: u8) -> Duty {
    Duty {
        duty_type: DutyType::BlockV2,
        signing_root: Root([root; 32]),
        position: Some(Position::Slot(Slot(slot))),
        protection: Protection::Block { slot: Slot(slot), genesis_validators_root: CHAIN },
    }
}

fn randao() -> Duty {
    Duty {
        duty_type: DutyType::RandaoReveal,
        signing_root: Root([5; 32]),
        position: Some(Position::Epoch(Epoch(1))),
        protection: Protection::Unprotected,
    }
}

/// Clears and ends the ticket as the signer would.
async fn sign(
    protection: &SlashingProtection,
    key: PublicKey,
    duty: &Duty,
) -> Result<Cleared, NotCleared> {
    let mut ticket = protection.audit().begin(Client::default(), &key.to_string());
    let cleared = protection.clear(&key, duty, &mut ticket).await;
    match &cleared {
        Ok(cleared) if cleared.is_repeat() => ticket.finish(Outcome::Repeated, None),
        Ok(_) => {
            ticket.spent_signing(Duration::from_micros(400));
            ticket.finish(Outcome::Signed, None);
        }
        Err(error) => ticket.finish(Outcome::Refused, Some(error.to_string())),
    }
    cleared
}

async fn audit_rows(protection: &SlashingProtection) -> Vec<Entry> {
    let filter = Filter { limit: MAX_PAGE, ..Filter::default() };
    protection.read_audit(&filter).await.unwrap().entries
}

/// The rows once all that is finished is written.
async fn settled_audit_rows(protection: &SlashingProtection) -> Vec<Entry> {
    while protection.audit().waiting_rows() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    audit_rows(protection).await
}

#[tokio::test]
async fn new_repeat_and_conflict() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    let cleared = sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    assert_eq!((cleared.key(), cleared.signing_root()), (&key(1), &Root([1; 32])));
    assert!(!cleared.is_repeat());
    assert!(cleared.time_in_database() > Duration::ZERO);
    assert!(sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap().is_repeat());
    let error = sign(&protection, key(1), &attestation(3, 4, 2)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::DoubleVote { .. })), "{error}");
    let error = sign(&protection, key(1), &attestation(2, 5, 2)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::SourceBelowFloor { .. })), "{error}");

    assert!(sign(&protection, key(1), &block(100, 1)).await.is_ok());
    assert!(sign(&protection, key(1), &block(100, 1)).await.unwrap().is_repeat());
    let error = sign(&protection, key(1), &block(100, 2)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::DoubleProposal { .. })), "{error}");
}

#[tokio::test]
async fn surrounds_are_found_in_the_history_in_both_directions() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    for (source, target) in [(1, 2), (4, 5), (5, 9)] {
        sign(&protection, key(1), &attestation(source, target, 1)).await.unwrap();
    }
    let error = sign(&protection, key(1), &attestation(3, 10, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::Surrounding { .. })), "{error}");
    let error = sign(&protection, key(1), &attestation(6, 8, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::Surrounded { .. })), "{error}");
    // Harmless although below the maxima.
    assert!(sign(&protection, key(1), &attestation(5, 7, 1)).await.is_ok());
}

#[tokio::test]
async fn records_survive_a_restart() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    sign(&protection, key(1), &block(100, 1)).await.unwrap();
    protection.close().await.unwrap();

    let protection = folders.open().await.unwrap();
    assert!(sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap().is_repeat());
    assert!(sign(&protection, key(1), &attestation(3, 4, 2)).await.is_err());
    assert!(sign(&protection, key(1), &block(100, 1)).await.unwrap().is_repeat());
    assert!(sign(&protection, key(1), &block(100, 2)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_requests_have_exactly_one_winner() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    for round in 1..=20_u64 {
        let mut tasks = vec![];
        for root in 1..=16 {
            for is_block in [false, true] {
                let protection = protection.clone();
                let duty =
                    if is_block { block(round, root) } else { attestation(round - 1, round, root) };
                tasks.push(tokio::spawn(async move {
                    sign(&protection, key(2), &duty).await.is_ok().then_some(is_block)
                }));
            }
        }
        let mut winners = vec![];
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        winners.sort_unstable();
        assert_eq!(winners, [false, true], "one attestation and one block in round {round}");
    }
}

#[tokio::test]
async fn unprotected_duties_are_cleared_without_registration_or_record() {
    let folders = Folders::new();
    let protection = folders.open().await.unwrap();
    let cleared = sign(&protection, key(77), &randao()).await.unwrap();
    assert_eq!(cleared.time_in_database(), Duration::ZERO);
    let error = sign(&protection, key(77), &attestation(1, 2, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Unregistered { key: found } if found == key(77)));
}

#[tokio::test]
async fn first_allowed_duty_pins_the_chain() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    // A refused one pins nothing.
    let mut stranger = attestation(5, 4, 1);
    stranger.protection = Protection::Attestation {
        source: Epoch(5),
        target: Epoch(4),
        genesis_validators_root: OTHER_CHAIN,
    };
    assert!(sign(&protection, key(1), &stranger).await.is_err());
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();

    let mut other = block(10, 1);
    other.protection = Protection::Block { slot: Slot(10), genesis_validators_root: OTHER_CHAIN };
    let expected = Refusal::WrongGenesisValidatorsRoot { pinned: CHAIN, claimed: OTHER_CHAIN };
    for _ in 0..2 {
        let error = sign(&protection, key(1), &other).await.unwrap_err();
        assert!(matches!(error, NotCleared::Refused(refusal) if refusal == expected), "{error}");
    }
    protection.close().await.unwrap();
    let protection = folders.open().await.unwrap();
    assert!(sign(&protection, key(1), &other).await.is_err(), "pinned for good");
}

#[tokio::test]
async fn dropped_request_leaves_the_database_consistent() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    for target in 2..60 {
        let duty = attestation(1, target, 1);
        let mut ticket = protection.audit().begin(Client::default(), "");
        let limit = Duration::from_micros(target * 40);
        drop(timeout(limit, protection.clear(&key(1), &duty, &mut ticket)).await);
    }
    // Whatever was recorded is a repeat, whatever was not is new; a conflict is refused.
    for target in 2..60 {
        let again = sign(&protection, key(1), &attestation(1, target, 1)).await;
        let conflict = sign(&protection, key(1), &attestation(1, target, 2)).await;
        assert!(conflict.is_err());
        if let Err(error) = again {
            assert!(
                matches!(error, NotCleared::Refused(Refusal::TargetNotAboveFloor { .. })),
                "{error}"
            );
        }
    }
    assert_eq!(settled_audit_rows(&protection).await.len(), 3 * 58);
}

#[tokio::test]
async fn disabled_protection_clears_everything() {
    let folders = Folders::new();
    let off = OpenOptions { enabled: false, ..folders.options() };
    let with_audit = SlashingProtection::open(off).await.unwrap();
    for protection in [SlashingProtection::disabled(), with_audit.clone()] {
        protection.register(&[key(1)]).await.unwrap();
        for root in 1..3 {
            let cleared = sign(&protection, key(1), &attestation(3, 4, root)).await.unwrap();
            assert!(!cleared.is_repeat());
        }
        assert!(protection.is_healthy());
        assert_eq!(protection.high_watermark(), None);
    }
    assert!(!folders.keys.path().join(MARKER_FILE_NAME).exists());
    assert_eq!(settled_audit_rows(&with_audit).await.len(), 2);
    assert_eq!(audit_rows(&SlashingProtection::disabled()).await, []);
}

#[tokio::test]
async fn ticket_of_another_database_is_a_mistake() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    let mut foreign = SlashingProtection::disabled().audit().begin(Client::default(), "");
    let error = protection.clear(&key(1), &attestation(3, 4, 1), &mut foreign).await.unwrap_err();
    assert!(matches!(error, NotCleared::ForeignTicket));
}

#[tokio::test]
async fn closed_protection_clears_nothing_slashable() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    protection.close().await.unwrap();
    let error = sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Unavailable(Unavailable::Closed)), "{error}");
    assert!(!protection.is_healthy());
    assert!(protection.audit().lost_rows() > 0);
}

/// Handlers are spawned, so everything they await must be `Send`.
#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(_: T) {}
    let protection = SlashingProtection::disabled();
    let mut ticket = protection.audit().begin(Client::default(), "");
    let (key, duty, filter) = (key(1), randao(), Filter::default());
    assert_send(protection.clear(&key, &duty, &mut ticket));
    assert_send(protection.register(&[]));
    assert_send(protection.read_audit(&filter));
    assert_send(protection.close());
    assert_send(SlashingProtection::open(OpenOptions::new(DatabaseUrl::Sqlite("x".into()))));
}
