//! Aggregates that the worker has proved, signed: in a job, and by a request of their own; with the
//! typed client, against the real signer.

mod refused;
mod signed;

use std::time::Duration;

use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::{Value, json};
use signer_client::{
    client::{
        AggregationError, Deadline, Endpoint, HttpOptions, HttpSigner, RemoteAggregator,
        RemoteSigner, SignError,
    },
    selection::{is_aggregator, is_sync_committee_aggregator},
    wire::{
        AggregationSlot, AttestationData, Checkpoint, Epoch, ForkInfo, PublicKey, QuotedU64, Root,
        SignPayload, SignRequest, Signature, Slot, SyncAggregatorSelectionData,
        SyncCommitteeMessage,
        aggregation::{
            AggregationDeadline, AggregationGroup, AggregationJob, AggregationOptions,
            AggregationRequest, AggregationSingle, AggregationSubject, GroupPositions,
            GroupSigning, GroupStatus, JobReason, SignAggregate, SignJobGroup, SignRefusal,
            SignedAggregate, SignedObject, SigningOutcome, Verify,
        },
    },
};

const KEYS: u64 = 6;

async fn signer() -> Signer {
    signer_on("mainnet").await
}

async fn signer_on(network: &str) -> Signer {
    SignerOptions::with_interop_keys(KEYS)
        .eth2(format!("--network={network}"))
        .root("--aggregation-enabled")
        .root("--audit-api-enabled=true")
        .start()
        .await
        .unwrap()
}

fn client(signer: &Signer) -> HttpSigner {
    let endpoint = Endpoint::new(&format!("http://{}", signer.client.address())).unwrap();
    HttpSigner::new(vec![endpoint], HttpOptions::default()).unwrap()
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_mins(4))
}

fn key(index: u64) -> PublicKey {
    key_files::public_key(index).parse().unwrap()
}

fn fork_info(current_version: &str) -> ForkInfo {
    serde_json::from_value(requests::fork_info(current_version, current_version, 0)).unwrap()
}

fn fulu() -> ForkInfo {
    fork_info("0x06000000")
}

fn current_slot() -> Slot {
    Slot(requests::current_slot())
}

/// A vote whose target differs from fork to fork, so that slashing protection sees several votes.
fn data(slot: Slot, target: u64, index: u64) -> AttestationData {
    let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([1; 32]) };
    AttestationData {
        slot,
        index: QuotedU64(index),
        beacon_block_root: Root([2; 32]),
        source: checkpoint(target - 1),
        target: checkpoint(target),
    }
}

/// The committee of the first three keys, which has signed the vote.
async fn attested(
    client: &HttpSigner,
    fork_info: ForkInfo,
    data: AttestationData,
    committee_index: u64,
    committee_len: u64,
) -> AggregationGroup {
    let request = SignRequest {
        fork_info: Some(fork_info),
        signing_root: None,
        payload: SignPayload::Attestation(data),
    };
    let mut group = AggregationGroup::new(AggregationSubject::Attestation {
        data,
        committee_index: QuotedU64(committee_index),
        committee_len: QuotedU64(committee_len),
    });
    for position in 0..3_u16 {
        let key = key(position.into());
        let signature = client.sign(&key, &request, soon()).await.unwrap();
        group.pubkeys.push(Some(key));
        group.singles.push(AggregationSingle::new(position, signature));
    }
    group
}

fn wish(index: u64) -> SignAggregate {
    SignAggregate {
        aggregator_pubkey: key(index),
        aggregator_index: QuotedU64(700 + index),
        selection_proof: None,
        resign: false,
    }
}

/// Runs a job, again and again if its time runs out: the worker gives way to whatever else the
/// machine has to do.
async fn run(client: &HttpSigner, mut request: AggregationRequest) -> AggregationJob {
    request.deadline = Some(AggregationDeadline::AfterMs(QuotedU64(12_000)));
    for attempt in 0..20 {
        request.attempt = attempt;
        let job = client.aggregate(&request, soon()).await.unwrap();
        if job.complete == Some(true) {
            return job;
        }
        let ran_out = matches!(job.reason, Some(JobReason::Deadline | JobReason::BeforeStart));
        assert!(ran_out, "{job:?}");
    }
    panic!("no job was proved in time");
}

fn only_signed(signed: &[GroupSigning]) -> &SignedAggregate {
    match signed {
        [GroupSigning { group: 0, result: SigningOutcome::Signed(signed) }] => signed,
        other => panic!("not signed: {other:?}"),
    }
}

/// Demands that an ordinary request for the same message has the same signature.
async fn assert_as_ordinary(
    client: &HttpSigner,
    key: PublicKey,
    fork_info: ForkInfo,
    signed: &SignedAggregate,
) {
    let (payload, signature) = match &signed.object {
        SignedObject::AggregateAndProof(object) => {
            (SignPayload::AggregateAndProof(Box::new(object.message.clone())), object.signature)
        }
        SignedObject::ContributionAndProof(object) => (
            SignPayload::SyncCommitteeContributionAndProof(Box::new(object.message.clone())),
            object.signature,
        ),
    };
    let request = SignRequest { fork_info: Some(fork_info), signing_root: None, payload };
    assert_eq!(client.sign(&key, &request, soon()).await.unwrap(), signature);
}

async fn selection_proof(client: &HttpSigner, index: u64, slot: Slot) -> Signature {
    let request = SignRequest {
        fork_info: Some(fulu()),
        signing_root: None,
        payload: SignPayload::AggregationSlot(AggregationSlot { slot }),
    };
    client.sign(&key(index), &request, soon()).await.unwrap()
}
