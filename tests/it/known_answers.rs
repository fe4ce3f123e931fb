//! Every type in every fork against signing roots and signatures that another implementation made
//! (see `tests/fixtures/README.md`).

use std::collections::BTreeMap;

use http::StatusCode;
use midslot_tests::{
    SignerOptions,
    fixtures::{self, SigningCase, SigningFile},
};

/// The known answers of one file, through a signer for each network that the file uses. Slashing
/// protection is off: the cases of a file are not one validator's life.
async fn check(file_name: &str) {
    let (_, file) = fixtures::read_all::<SigningFile>("signing")
        .into_iter()
        .find(|(name, _)| name == file_name)
        .unwrap_or_else(|| panic!("no fixture file {file_name}"));
    let mut by_network = BTreeMap::<&str, Vec<&SigningCase>>::new();
    for case in &file.cases {
        by_network.entry(&case.network).or_default().push(case);
    }
    let mut failures = Vec::new();
    for (network, cases) in by_network {
        let signer = SignerOptions::with_interop_keys(1)
            .eth2("--slashing-protection-enabled=false")
            .eth2("--allow-generic-slashable-domains=true")
            .eth2(format!("--network={}", fixtures::network_option(network)))
            .start()
            .await
            .unwrap();
        for case in cases {
            let answer = signer.client.sign(&file.public_key, &case.request).await.unwrap();
            if answer.status != StatusCode::OK {
                failures.push(format!("{}: {} {}", case.name, answer.status, answer.text()));
                continue;
            }
            if answer.signature() != case.signature {
                failures.push(format!("{}: another signature", case.name));
            }
            let mut request = case.request.clone();
            request["signingRoot"] = case.signing_root.clone().into();
            let answer = signer.client.sign(&file.public_key, &request).await.unwrap();
            if answer.status != StatusCode::OK || answer.signature() != case.signature {
                failures.push(format!("{}: with its root: {}", case.name, answer.text()));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        file.cases.len(),
        failures.join("\n")
    );
}

macro_rules! one_test_per_file {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                check(stringify!($name)).await;
            }
        )*

        #[test]
        fn every_fixture_file_has_a_test_and_every_type_a_file() {
            let tested = [$(stringify!($name),)*];
            let files: Vec<_> =
                fixtures::read_all::<SigningFile>("signing").into_iter().map(|(name, _)| name).collect();
            assert_eq!(files, tested);
            for duty_type in signer_server::duty::DutyType::ALL {
                assert!(tested.contains(&duty_type.name().to_lowercase().as_str()), "{duty_type:?}");
            }
        }
    };
}

one_test_per_file! {
    aggregate_and_proof
    aggregate_and_proof_v2
    aggregation_slot
    attestation
    block
    block_v2
    builder_request_auth
    deposit
    execution_payload_bid
    execution_payload_envelope
    generic
    payload_attestation_message
    proposer_preferences
    randao_reveal
    sync_committee_contribution_and_proof
    sync_committee_message
    sync_committee_selection_proof
    validator_registration
    voluntary_exit
}
