//! Which fork an object belongs to, and which version signs it.

use serde_json::Value;
use signer_client::wire::{Epoch, Fork, ForkVersion, Root, VoluntaryExit};

use super::{
    classify, error_on_mainnet, network, on_mainnet,
    samples::{aggregate_and_proof, block, fork_info, sample},
};
use crate::duty::{
    DutyError, DutyType, ForkSource,
    domain::{Domain, DomainType, root_of},
};

fn with_fork(duty_type: DutyType, fork: Fork) -> Value {
    let mut request = sample(duty_type);
    request["fork_info"] = serde_json::to_value(fork_info(fork)).unwrap();
    request
}

fn aggregate(fork_info_of: Fork, members_of: Fork, wrapper: Option<Fork>) -> Value {
    let mut request = with_fork(DutyType::AggregateAndProof, fork_info_of);
    let object = serde_json::to_value(aggregate_and_proof(members_of)).unwrap();
    request["aggregate_and_proof"] = match wrapper {
        Some(version) => serde_json::json!({ "version": version, "data": object }),
        None => object,
    };
    request
}

/// Replaces the versions by one that mainnet does not have.
fn of_unknown_version(mut request: Value) -> Value {
    for name in ["previous_version", "current_version"] {
        request["fork_info"]["fork"][name] = "0xabcdef01".into();
    }
    request
}

#[test]
fn a_known_version_wins_over_the_schedule() {
    // Slot 3201 is in phase 0 by mainnet's schedule.
    let roots: Vec<Root> = [Fork::Deneb, Fork::Electra, Fork::Gloas]
        .map(|fork| on_mainnet(&aggregate(fork, fork, None)).unwrap().signing_root)
        .to_vec();
    assert!(roots[0] != roots[1] && roots[1] != roots[2]);
    // The previous version counts before the fork's epoch.
    let mut request = aggregate(Fork::Electra, Fork::Deneb, None);
    request["fork_info"]["fork"]["epoch"] = "101".into();
    assert!(on_mainnet(&request).is_ok());
    request["fork_info"]["fork"]["epoch"] = "100".into();
    assert!(matches!(error_on_mainnet(&request), DutyError::MissingMember { .. }));
}

#[test]
fn a_wrapper_decides_for_an_unknown_version_then_the_schedule() {
    for fork in [Fork::Deneb, Fork::Electra, Fork::Gloas] {
        assert!(on_mainnet(&of_unknown_version(aggregate(fork, fork, Some(fork)))).is_ok());
    }
    assert!(on_mainnet(&of_unknown_version(aggregate(Fork::Deneb, Fork::Deneb, None))).is_ok());
    let error = error_on_mainnet(&of_unknown_version(aggregate(Fork::Fulu, Fork::Fulu, None)));
    let decided_by = ForkSource::Schedule { epoch: Epoch(100) };
    let path = "aggregate_and_proof.aggregate.committee_bits";
    assert_eq!(error, DutyError::UnexpectedMember { path, fork: Fork::Phase0, decided_by });
}

#[test]
fn a_wrapper_of_another_shape_contradicts() {
    for (fork_info_of, wrapper) in [
        (Fork::Electra, Fork::Deneb),
        (Fork::Deneb, Fork::Electra),
        (Fork::Gloas, Fork::Fulu),
        (Fork::Fulu, Fork::Gloas),
    ] {
        let request = aggregate(fork_info_of, fork_info_of, Some(wrapper));
        let error = error_on_mainnet(&request);
        assert!(matches!(error, DutyError::Contradiction { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("version {wrapper} contradicts fork_info")), "{message}");
        assert!(message.ends_with(&format!("selects {fork_info_of}")), "{message}");
    }
    for (fork_info_of, wrapper) in
        [(Fork::Phase0, Fork::Deneb), (Fork::Electra, Fork::Fulu), (Fork::Heze, Fork::Gloas)]
    {
        assert!(on_mainnet(&aggregate(fork_info_of, fork_info_of, Some(wrapper))).is_ok());
    }
}

#[test]
fn members_must_fit_the_fork() {
    let error = error_on_mainnet(&aggregate(Fork::Deneb, Fork::Electra, None));
    assert!(matches!(error, DutyError::UnexpectedMember { fork: Fork::Deneb, .. }), "{error}");
    let error = error_on_mainnet(&aggregate(Fork::Gloas, Fork::Deneb, None));
    assert!(matches!(error, DutyError::MissingMember { fork: Fork::Gloas, .. }), "{error}");
}

#[test]
fn headers_are_signed_for_any_fork_whatever_their_version() {
    for fork_info_of in Fork::ALL {
        let mut request = with_fork(DutyType::BlockV2, fork_info_of);
        let expected = on_mainnet(&request).unwrap();
        for version in Fork::ALL.into_iter().filter(|fork| *fork >= Fork::Bellatrix) {
            request["beacon_block"]["version"] = version.name().into();
            assert_eq!(on_mainnet(&request).unwrap(), expected);
        }
    }
}

#[test]
fn sync_duties_are_signed_when_only_the_schedule_places_them_in_altair() {
    for duty_type in [
        DutyType::SyncCommitteeMessage,
        DutyType::SyncCommitteeSelectionProof,
        DutyType::SyncCommitteeContributionAndProof,
    ] {
        let body = with_fork(duty_type, Fork::Phase0).to_string();
        let mut network = network("mainnet");
        network.override_fork_epoch(Fork::Altair, Epoch(100)).unwrap();
        assert!(classify(body.as_bytes(), &network).is_ok());
        network.override_fork_epoch(Fork::Altair, Epoch(101)).unwrap();
        let error = classify(body.as_bytes(), &network).unwrap_err().error;
        assert!(matches!(error, DutyError::WrongFork { fork: Fork::Phase0, .. }), "{error}");
    }
}

fn full_block(fork_info_of: Fork, members_of: Fork, version: Fork) -> Value {
    let mut request = with_fork(DutyType::BlockV2, fork_info_of);
    request["beacon_block"] = serde_json::json!({ "version": version, "block": block(members_of) });
    request
}

#[test]
fn full_blocks_belong_to_the_fork_that_they_name() {
    let roots = [Fork::Phase0, Fork::Altair]
        .map(|fork| on_mainnet(&full_block(fork, fork, fork)).unwrap().signing_root);
    assert_ne!(roots[0], roots[1]);
    let later = Fork::ALL.into_iter().filter(|fork| *fork > Fork::Altair);
    for (fork_info_of, version) in later
        .flat_map(|fork| [(fork, Fork::Phase0), (fork, Fork::Altair)])
        .chain([(Fork::Altair, Fork::Phase0), (Fork::Phase0, Fork::Altair)])
    {
        let error = error_on_mainnet(&full_block(fork_info_of, version, version));
        assert!(matches!(error, DutyError::Contradiction { .. }), "{error}");
    }
    let error = error_on_mainnet(&full_block(Fork::Altair, Fork::Phase0, Fork::Altair));
    assert!(matches!(error, DutyError::MissingMember { fork: Fork::Altair, .. }), "{error}");
    let error = error_on_mainnet(&full_block(Fork::Phase0, Fork::Altair, Fork::Phase0));
    assert!(matches!(error, DutyError::UnexpectedMember { .. }), "{error}");
    let unknown = of_unknown_version(full_block(Fork::Altair, Fork::Altair, Fork::Altair));
    assert!(on_mainnet(&unknown).is_ok());
}

#[test]
fn types_are_refused_in_forks_without_them() {
    for (duty_type, fork) in [
        (DutyType::Block, Fork::Altair),
        (DutyType::SyncCommitteeMessage, Fork::Phase0),
        (DutyType::SyncCommitteeSelectionProof, Fork::Phase0),
        (DutyType::SyncCommitteeContributionAndProof, Fork::Phase0),
    ] {
        let error = error_on_mainnet(&with_fork(duty_type, fork));
        assert!(matches!(error, DutyError::WrongFork { .. }), "{error}");
    }
    for (duty_type, key) in [
        (DutyType::ExecutionPayloadBid, "execution_payload_bid"),
        (DutyType::ExecutionPayloadEnvelope, "execution_payload_envelope"),
        (DutyType::PayloadAttestationMessage, "payload_attestation_message"),
        (DutyType::ProposerPreferences, "proposer_preferences"),
    ] {
        let mut request = with_fork(duty_type, Fork::Fulu);
        let error = error_on_mainnet(&request);
        assert!(matches!(error, DutyError::Contradiction { .. }), "{error}");
        request[key]["version"] = "FULU".into();
        let error = error_on_mainnet(&request);
        assert!(matches!(error, DutyError::WrongFork { fork: Fork::Fulu, .. }), "{error}");
    }
    for (duty_type, known) in [
        (DutyType::ExecutionPayloadBid, false),
        (DutyType::ExecutionPayloadEnvelope, false),
        (DutyType::PayloadAttestationMessage, true),
    ] {
        let mut request = with_fork(duty_type, Fork::Heze);
        let key = if known { "payload_attestation_message" } else { duty_type.name() };
        request[key.to_lowercase()]["version"] = "HEZE".into();
        match on_mainnet(&request) {
            Ok(_) => assert!(known),
            Err(failure) => {
                assert!(!known && matches!(failure.error, DutyError::UnknownShape { .. }));
            }
        }
    }
}

/// The signing root of the sample exit under mainnet's fork of that number.
fn exit_root(version: u8) -> Root {
    let exit =
        VoluntaryExit { epoch: Epoch(100), validator_index: signer_client::wire::QuotedU64(7) };
    let domain = Domain::compute(
        DomainType::VOLUNTARY_EXIT,
        ForkVersion([version, 0, 0, 0]),
        super::samples::GENESIS_VALIDATORS_ROOT,
    );
    domain.signing_root(root_of(&exit))
}

fn exit(previous: u8, current: u8, epoch: u64) -> Value {
    let mut request = sample(DutyType::VoluntaryExit);
    request["fork_info"]["fork"] = serde_json::json!({
        "previous_version": format!("0x{previous:02x}000000"),
        "current_version": format!("0x{current:02x}000000"),
        "epoch": epoch.to_string(),
    });
    request
}

#[test]
fn exits_are_signed_for_capella_once_the_chain_is_past_it() {
    for (previous, current, epoch, version) in [
        (3, 4, 269_568, 3),
        (6, 7, 500_000, 3),
        (3, 3, 100, 3),
        (2, 3, 100, 3),
        (2, 3, 101, 2),
        (0, 1, 74_240, 0),
        (0, 1, 50, 1),
        // Versions that mainnet does not have follow the epoch.
        (0x70, 0x80, 101, 0x70),
    ] {
        let duty = on_mainnet(&exit(previous, current, epoch)).unwrap();
        assert_eq!(duty.signing_root, exit_root(version), "{previous} {current} {epoch}");
    }
}

#[test]
fn a_sent_root_settles_which_exit_is_meant_but_nothing_else() {
    // Capella's chain or a later one: fork_info alone leaves both readings open.
    for version in [2, 3] {
        let mut request = exit(2, 3, 101);
        request["signingRoot"] = exit_root(version).to_string().into();
        assert_eq!(on_mainnet(&request).unwrap().signing_root, exit_root(version));
    }
    let mut request = exit(2, 3, 101);
    request["signingRoot"] = exit_root(5).to_string().into();
    let error = error_on_mainnet(&request);
    let DutyError::RootMismatch { sent, computed, version, .. } = error else { panic!("{error}") };
    assert_eq!((sent, computed), (exit_root(5), exit_root(2)));
    assert_eq!(version, Some(ForkVersion([2, 0, 0, 0])));
}
