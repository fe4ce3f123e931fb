//! Each kind of group in each fork: what is added up, and how it is written.

use blst::{BLST_ERROR, min_pk::PublicKey};
use serde_json::{Value, json};
use signer_client::wire::Fork;

use super::{
    super::snapshot::SnapshotError,
    groups::{attestation, job_in, point, public_key, sync_contribution},
    *,
};
use crate::bls::CIPHERSUITE;

/// Checks an aggregate against the sum of these signers' keys, with nothing of the worker's.
fn assert_signed_by(group: &Value, signers: &[u64]) {
    let key = |signer: &u64| {
        PublicKey::uncompress(&const_hex::decode(public_key(*signer)).unwrap()).unwrap()
    };
    let keys: Vec<_> = signers.iter().map(key).collect();
    let keys: Vec<_> = keys.iter().collect();
    let message = const_hex::decode(group["signing_root"].as_str().unwrap()).unwrap();
    let signature = point(group["aggregate"]["signature"].as_str().unwrap());
    let result = signature.fast_aggregate_verify(true, &message, CIPHERSUITE, &keys);
    assert_eq!(result, BLST_ERROR::BLST_SUCCESS, "{group}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_added_up_by_committee_in_every_fork() {
    let service = service(1, &metrics());
    for fork in [Fork::Phase0, Fork::Deneb] {
        // The vote names its committee.
        let groups = [0, 1].map(|committee| attestation(fork, 9, committee, committee));
        assert_two_committees(&service, &job_in(fork, 9, &groups)).await;
    }
    for fork in [Fork::Electra, Fork::Fulu, Fork::Gloas] {
        // Both committees sign the same.
        let groups = [0, 1].map(|committee| attestation(fork, 9, 0, committee));
        assert_two_committees(&service, &job_in(fork, 9, &groups)).await;
    }
    let groups = [0, 1].map(|status| attestation(Fork::Gloas, 9, status, 1));
    assert_two_committees(&service, &job_in(Fork::Gloas, 9, &groups)).await;
    service.close();
}

async fn assert_two_committees(service: &AggregationService, job: &Value) {
    let done = run(service, job).await;
    assert_eq!(done["groups"].as_array().unwrap().len(), 2, "{done}");
    for group in done["groups"].as_array().unwrap() {
        assert_eq!(group["aggregate"]["bits"], "0x17");
        assert_eq!(
            (&group["used"]["count"], &group["aggregate"]["gained"]),
            (&json!(3), &json!(2))
        );
        assert_signed_by(group, &[0, 1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_counts_once_for_each_of_its_places_in_the_sync_committee() {
    let service = service(1, &metrics());
    for fork in [Fork::Altair, Fork::Gloas] {
        let done = run(&service, &job_in(fork, 9, &[sync_contribution(fork, 9)])).await;
        let group = &done["groups"][0];
        assert_eq!((&group["bits_len"], &group["aggregate"]["bits"]), (&json!(8), &json!("0x27")));
        assert_signed_by(group, &[0, 0, 1, 2]);
        assert_eq!(group["used"]["entries"][0]["tag"], "twice");
    }
    let early = job_in(Fork::Phase0, 9, &[sync_contribution(Fork::Altair, 9)]);
    let error = submit(&service, &early).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Snapshot(SnapshotError::Duty { group: 0, .. })),
        "{error}"
    );
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_does_not_fit_its_fork_slot_or_committee_is_refused() {
    let service = service(1, &metrics());
    let vote = |fork, index, committee| job_in(fork, 9, &[attestation(fork, 9, index, committee)]);
    let mut far = vote(Fork::Electra, 0, 0);
    far["groups"][0]["committee_index"] = "4".into();
    let mut twice = vote(Fork::Electra, 0, 0);
    twice["groups"] = vec![twice["groups"][0].clone(); 2].into();
    let other_slot = job_in(Fork::Electra, 10, &[attestation(Fork::Electra, 9, 0, 0)]);
    let mut subcommittee = job_in(Fork::Altair, 9, &[sync_contribution(Fork::Altair, 9)]);
    subcommittee["groups"][0]["subcommittee_index"] = "4".into();
    let cases = [
        (vote(Fork::Deneb, 1, 2), "groups[0].data.index is 1; before Electra it is"),
        (vote(Fork::Electra, 1, 1), "groups[0].data.index is 1; since Electra it is 0"),
        (vote(Fork::Gloas, 2, 1), "groups[0].data.index is 2; since Gloas it is 0 or 1"),
        (far, "groups[0].committee_index is 4; a slot has at most 4 committees"),
        (twice, "groups[1] is for the same message and committee as groups[0]"),
        (other_slot, "groups[0].data.slot is 9, not the snapshot's slot 10"),
        (subcommittee, "there is no subcommittee 4"),
    ];
    for (job, expected) in cases {
        let error = submit(&service, &job).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    service.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_named_fork_decides_only_where_the_version_does_not() {
    let service = service(1, &metrics());
    for name in ["electra", "ELECTRA", "Fulu"] {
        let mut alike = job_in(Fork::Electra, 9, &[attestation(Fork::Electra, 9, 0, 1)]);
        alike["fork_name"] = name.into();
        assert_eq!(run(&service, &alike).await["status"], "done", "{name}");
    }
    let mut other = job_in(Fork::Electra, 9, &[attestation(Fork::Electra, 9, 0, 1)]);
    other["fork_name"] = "deneb".into();
    let error = submit(&service, &other).await.unwrap_err();
    assert!(
        matches!(
            error,
            SubmitError::Snapshot(SnapshotError::WrongFork {
                claimed: Fork::Deneb,
                fork: Fork::Electra
            })
        ),
        "{error}"
    );
    other["fork_name"] = "tomorrow".into();
    let error = submit(&service, &other).await.unwrap_err().to_string();
    assert!(error.contains("fork_name"), "{error}");

    // A version that the network does not have. Its schedule says phase 0.
    let mut unknown = job(9, &[attestation(Fork::Electra, 9, 0, 1)]);
    let error = submit(&service, &unknown).await.unwrap_err().to_string();
    assert!(error.contains("before Electra"), "{error}");
    unknown["fork_name"] = "electra".into();
    submit(&service, &unknown).await.unwrap();

    let mut unknown = job(9, &[sync_contribution(Fork::Altair, 9)]);
    for name in [None, Some("phase0")] {
        unknown["fork_name"] = name.into();
        let error = submit(&service, &unknown).await.unwrap_err().to_string();
        assert!(error.contains("SYNC_COMMITTEE_MESSAGE is not used in PHASE0"), "{error}");
    }
    unknown["fork_name"] = "altair".into();
    submit(&service, &unknown).await.unwrap();
    service.close();
}
