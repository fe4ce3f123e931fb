//! Aggregates that the worker has proved, signed: in a job, and by a request of their own; with the
//! typed client, against the real signer.

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

#[tokio::test]
async fn in_every_fork_the_one_shot_signature_is_that_of_an_ordinary_request() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    // Before Electra the vote names the committee; then a bit beside it does, and since Gloas the
    // index of the vote is the payload's status.
    let forks = [
        ("0x00000000", "phase0", 5, None),
        ("0x04000000", "deneb", 5, None),
        ("0x05000000", "electra", 0, Some("0x2000000000000000")),
        ("0x06000000", "fulu", 0, Some("0x2000000000000000")),
        ("0x07000000", "gloas", 1, Some("0x2000000000000000")),
    ];
    for (number, (version, name, index, committee_bits)) in (0_u64..).zip(forks) {
        let fork_info = fork_info(version);
        let vote = data(slot, 1000 + number, index);
        let mut group = attested(&client, fork_info, vote, 5, 3).await;
        group.sign = Some(wish(0));
        let job = run(&client, AggregationRequest::new(fork_info, slot, vec![group])).await;
        let aggregate = job.groups[0].aggregate.as_ref().unwrap();
        assert!(aggregate.verified, "{name}");
        let published = only_signed(&job.signed);
        let json = serde_json::to_value(published).unwrap();
        assert_eq!((&json["version"], &json["repeated"]), (&json!(name), &json!(false)));
        let message = &json["data"]["message"];
        assert_eq!(message["aggregator_index"], "700");
        assert_eq!(message["aggregate"]["aggregation_bits"], "0x0f");
        assert_eq!(message["aggregate"]["data"], serde_json::to_value(vote).unwrap());
        let bits = committee_bits.map_or(Value::Null, Value::from);
        assert_eq!(message["aggregate"]["committee_bits"], bits, "{name}");
        assert_as_ordinary(&client, key(0), fork_info, published).await;
    }
}

/// A subcommittee in which each key sits at two positions and has signed the head.
async fn sync_group(client: &HttpSigner, fork_info: ForkInfo, slot: Slot) -> AggregationGroup {
    let head = Root([2; 32]);
    let request = SignRequest {
        fork_info: Some(fork_info),
        signing_root: None,
        payload: SignPayload::SyncCommitteeMessage(SyncCommitteeMessage {
            beacon_block_root: head,
            slot,
        }),
    };
    let mut group = AggregationGroup::new(AggregationSubject::SyncContribution {
        beacon_block_root: head,
        subcommittee_index: QuotedU64(2),
    });
    for index in 0..3_u16 {
        let key = key(index.into());
        let signature = client.sign(&key, &request, soon()).await.unwrap();
        group.singles.push(AggregationSingle {
            pos: GroupPositions::Several(vec![index, 5 + index]),
            pubkey: Some(key),
            ..AggregationSingle::new(0, signature)
        });
    }
    group
}

#[tokio::test]
async fn contributions_count_a_validator_once_for_each_of_its_positions_and_are_signed() {
    // Everybody aggregates in the small committees of this network.
    let signer = signer_on("minimal").await;
    let client = client(&signer);
    let (slot, fork_info) = (Slot(1000), fork_info("0x06000001"));
    let mut group = sync_group(&client, fork_info, slot).await;
    group.sign = Some(wish(1));
    let job = run(&client, AggregationRequest::new(fork_info, slot, vec![group])).await;
    assert_eq!(job.groups[0].aggregate.as_ref().unwrap().coverage, 6);
    let published = only_signed(&job.signed);
    let json = serde_json::to_value(published).unwrap();
    assert_eq!(
        (&json["version"], &json["kind"]),
        (&json!("fulu"), &json!("contribution_and_proof"))
    );
    let contribution = &json["data"]["message"]["contribution"];
    assert_eq!(contribution["slot"], "1000");
    assert_eq!(contribution["subcommittee_index"], "2");
    assert_eq!(contribution["aggregation_bits"], "0xe7");
    assert_as_ordinary(&client, key(1), fork_info, published).await;
}

#[tokio::test]
async fn only_selected_keys_sign_contributions() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    let group = sync_group(&client, fulu(), slot).await;
    let job = run(&client, AggregationRequest::new(fulu(), slot, vec![group])).await;
    for index in 0..KEYS {
        let data = SyncAggregatorSelectionData { slot, subcommittee_index: QuotedU64(2) };
        let request = SignRequest {
            fork_info: Some(fulu()),
            signing_root: None,
            payload: SignPayload::SyncCommitteeSelectionProof(data),
        };
        let proof = client.sign(&key(index), &request, soon()).await.unwrap();
        // A proof that comes along counts like one that is made.
        let sign = SignAggregate { selection_proof: Some(proof), ..wish(index) };
        let request = SignJobGroup { job_id: job.job_id.clone(), group: 0, sign };
        match client.sign_group(&request, soon()).await {
            Ok(_) => assert!(is_sync_committee_aggregator(512, &proof)),
            Err(AggregationError::NotSigned { reason: SignRefusal::NotAggregator, .. }) => {
                assert!(!is_sync_committee_aggregator(512, &proof));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn the_first_signature_is_given_again_unless_another_one_is_asked_for() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    let whole = attested(&client, fulu(), data(slot, 1000, 0), 5, 3).await;
    let mut part = whole.clone();
    part.singles.truncate(2);
    let first = run(&client, AggregationRequest::new(fulu(), slot, vec![part])).await;
    let second = run(&client, AggregationRequest::new(fulu(), slot, vec![whole])).await;
    let ask = async |job: &str, sign| {
        let request = SignJobGroup { job_id: job.to_owned(), group: 0, sign };
        client.sign_group(&request, soon()).await.unwrap()
    };
    let earliest = ask(&first.job_id, wish(0)).await;
    assert!(!earliest.repeated);
    // The better aggregate comes too late: nodes would take the first one only.
    let again = ask(&second.job_id, wish(0)).await;
    assert!(again.repeated);
    assert_eq!(again.object, earliest.object);
    // Another aggregator is another matter.
    let other = ask(&second.job_id, wish(1)).await;
    assert!(!other.repeated);
    let anew = ask(&second.job_id, SignAggregate { resign: true, ..wish(0) }).await;
    assert!(!anew.repeated);
    assert_ne!(anew.object, earliest.object);
    assert_as_ordinary(&client, key(0), fulu(), &anew).await;
    let last = ask(&first.job_id, wish(0)).await;
    assert!(last.repeated);
    assert_eq!(last.object, anew.object);

    // Rows are written in batches.
    let path = format!("/midslot/v1/audit?type=AGGREGATE_AND_PROOF_V2&key={}", key(0));
    let patience = tokio::time::Instant::now() + Duration::from_mins(1);
    let outcomes = loop {
        let answer = signer.client.get(&path).await.unwrap().json();
        let entries = answer["entries"].as_array().unwrap().clone();
        if entries.len() == 4 {
            break entries.into_iter().map(|entry| entry["outcome"].clone()).collect::<Vec<_>>();
        }
        assert!(tokio::time::Instant::now() < patience, "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let count = |name: &str| outcomes.iter().filter(|outcome| *outcome == name).count();
    assert_eq!((count("signed"), count("repeated")), (2, 2), "{outcomes:?}");
}

#[tokio::test]
async fn one_signature_is_made_for_many_who_ask_at_once() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    let group = attested(&client, fulu(), data(slot, 1000, 0), 5, 3).await;
    let job = run(&client, AggregationRequest::new(fulu(), slot, vec![group])).await;
    let request = SignJobGroup { job_id: job.job_id, group: 0, sign: wish(0) };
    let answers =
        futures_util::future::join_all((0..20).map(|_| client.sign_group(&request, soon()))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| answer.object == answers[0].object));
}

#[tokio::test]
async fn what_must_not_be_signed_is_not() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    let group = attested(&client, fulu(), data(slot, 1000, 0), 5, 2048).await;
    let job = run(&client, AggregationRequest::new(fulu(), slot, vec![group.clone()])).await;
    let refused = async |sign| {
        let request = SignJobGroup { job_id: job.job_id.clone(), group: 0, sign };
        client.sign_group(&request, soon()).await
    };
    // One in 128 is selected in the largest committee.
    for index in 0..KEYS {
        let proof = selection_proof(&client, index, slot).await;
        match refused(wish(index)).await {
            Ok(published) => {
                assert!(is_aggregator(2048, &proof));
                assert_as_ordinary(&client, key(index), fulu(), &published).await;
            }
            Err(AggregationError::NotSigned { reason, .. }) => {
                assert!(!is_aggregator(2048, &proof));
                assert_eq!(reason, SignRefusal::NotAggregator);
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Somebody else's proof, and that of another slot.
    for proof in [
        selection_proof(&client, 1, slot).await,
        selection_proof(&client, 0, Slot(slot.0 + 1)).await,
        Signature([0xc0; 96]),
    ] {
        let error = refused(SignAggregate { selection_proof: Some(proof), ..wish(0) }).await;
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                AggregationError::NotSigned { reason: SignRefusal::BadSelectionProof, .. }
            ),
            "{error}"
        );
    }
    let error = refused(wish(99)).await.unwrap_err();
    assert!(matches!(error, AggregationError::Signer(SignError::UnknownKey)), "{error}");

    // Not verified, though every signature is right.
    let unverified = AggregationRequest {
        options: AggregationOptions { verify: Verify::None, ..AggregationOptions::default() },
        ..AggregationRequest::new(
            fulu(),
            slot,
            vec![AggregationGroup { sign: Some(wish(0)), ..group.clone() }],
        )
    };
    assert_refused(&run(&client, unverified).await, SignRefusal::NotVerified);
    // Nothing in it.
    let mut empty = AggregationGroup { sign: Some(wish(0)), ..group.clone() };
    empty.singles.truncate(1);
    empty.singles[0].signature = Signature([0xff; 96]);
    let job = run(&client, AggregationRequest::new(fulu(), slot, vec![empty])).await;
    assert_eq!(job.groups[0].status, GroupStatus::Empty);
    assert_refused(&job, SignRefusal::NoAggregate);
    // An index that the fork does not have, and a kind that has no form to be signed in.
    let wrong_index = AggregationGroup {
        subject: AggregationSubject::Attestation {
            data: data(slot, 1000, 1),
            committee_index: QuotedU64(5),
            committee_len: QuotedU64(3),
        },
        ..group.clone()
    };
    let raw = AggregationGroup {
        subject: AggregationSubject::Raw { signing_root: Root([7; 32]), bits_len: QuotedU64(3) },
        ..group
    };
    for group in [wrong_index, raw] {
        let group = AggregationGroup { sign: Some(wish(0)), ..group };
        let request = AggregationRequest::new(fulu(), slot, vec![group]);
        let error = client.submit(&request, soon()).await.unwrap_err();
        let status = match error {
            AggregationError::Signer(SignError::Rejected { status, .. }) => status,
            other => panic!("{other}"),
        };
        assert_eq!(status, 422);
    }
}

fn assert_refused(job: &AggregationJob, expected: SignRefusal) {
    match &job.signed[..] {
        [GroupSigning { group: 0, result: SigningOutcome::Refused { reason, .. } }] => {
            assert_eq!(*reason, expected);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_typed_client_knows_jobs_tables_and_refusals() {
    let signer = signer().await;
    let client = client(&signer);
    let slot = current_slot();
    let mut group = attested(&client, fulu(), data(slot, 1000, 0), 5, 3).await;
    let keys: Vec<_> = group.pubkeys.drain(..).flatten().collect();
    group.pubkey_table = Some(Root([9; 32]));
    let request = AggregationRequest::new(fulu(), slot, vec![group]);
    let error = client.submit(&request, soon()).await.unwrap_err();
    assert!(matches!(error, AggregationError::TableUnknown), "{error}");
    let name = client.put_table(&keys, soon()).await.unwrap();
    assert_eq!(client.put_table(&keys, soon()).await.unwrap(), name);

    let mut request = request;
    request.groups[0].pubkey_table = Some(name);
    let submitted = client.submit(&request, soon()).await.unwrap();
    assert_eq!(submitted.accepted_entries, 3);
    assert_eq!(client.submit(&request, soon()).await.unwrap().job_id, submitted.job_id);
    let mut job = client.job(&submitted.job_id, Duration::ZERO, soon()).await.unwrap();
    while !job.status.is_final() {
        job = client.job(&submitted.job_id, Duration::from_secs(5), soon()).await.unwrap();
    }
    assert_eq!(client.aggregate(&request, soon()).await.unwrap().job_id, job.job_id);
    assert_eq!(client.cancel(&job.job_id, soon()).await.unwrap(), job);
    let status = client.aggregation_status(soon()).await.unwrap();
    assert_eq!((status.jobs, status.tables, status.accepted), (1, 1, 1));
    assert_eq!((status.ended["done"], status.ended["dropped"]), (1, 0));

    let unknown = format!("agg_{}", "0".repeat(32));
    for id in [unknown.as_str(), "agg_0", "../status", ""] {
        let error = client.job(id, Duration::ZERO, soon()).await.unwrap_err();
        assert!(matches!(error, AggregationError::NoJob), "{id}: {error}");
    }
    let sign = SignJobGroup { job_id: unknown, group: 0, sign: wish(0) };
    let error = client.sign_group(&sign, soon()).await.unwrap_err();
    assert!(matches!(error, AggregationError::NoJob), "{error}");
    let sign = SignJobGroup { job_id: job.job_id, group: 1, sign: wish(0) };
    let error = client.sign_group(&sign, soon()).await.unwrap_err();
    assert!(matches!(error, AggregationError::Signer(SignError::Rejected { status: 422, .. })));
}
