//! What is not signed, and what the caller is told.

use rustix::process::{Resource, Rlimit, prlimit};

use super::*;
use crate::overload::keep_busy;

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

/// An aggregate that anybody may sign, and a proof for each of these keys that selects it.
async fn signable(client: &HttpSigner, committee: u64, keys: u64) -> (String, Vec<SignAggregate>) {
    let slot = current_slot();
    let group = attested(client, fulu(), data(slot, 1000, 0), committee, 3).await;
    let job = run(client, AggregationRequest::new(fulu(), slot, vec![group])).await;
    let mut wishes = Vec::new();
    for index in 0..keys {
        let proof = selection_proof(client, index, slot).await;
        wishes.push(SignAggregate { selection_proof: Some(proof), ..wish(index) });
    }
    (job.job_id, wishes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signer_with_too_much_to_do_says_so_and_may_be_asked_again() {
    const KEYS: u64 = 400;
    const AGGREGATORS: u64 = 8;
    let signer = SignerOptions::with_interop_keys(KEYS)
        .root("--signing-threads=1")
        .root("--metrics-enabled")
        .root("--queue-bound-aggregate=1")
        .root("--aggregation-enabled")
        .start()
        .await
        .unwrap();
    let patient = client(&signer);
    let endpoint = Endpoint::new(&format!("http://{}", signer.client.address())).unwrap();
    let options = HttpOptions { max_retries: 0, ..HttpOptions::default() };
    let impatient = HttpSigner::new(vec![endpoint], options).unwrap();
    // The queue may be empty again before the requests have come.
    for attempt in 0..20 {
        let (job_id, wishes) = signable(&patient, attempt, AGGREGATORS).await;
        let wanted: Vec<_> = wishes
            .into_iter()
            .map(|sign| SignJobGroup { job_id: job_id.clone(), group: 0, sign })
            .collect();
        let batches = keep_busy(&signer, KEYS).await;
        let asked = wanted.iter().map(|request| impatient.sign_group(request, soon()));
        let answers = futures_util::future::join_all(asked).await;
        batches.join_all().await;
        if answers.iter().all(Result::is_ok) {
            continue;
        }
        for (request, answer) in wanted.iter().zip(answers) {
            let was_signed = match answer {
                Ok(released) => !released.repeated,
                Err(AggregationError::Signer(SignError::Overloaded { retry_after, message })) => {
                    assert!(retry_after.is_some(), "{message}");
                    assert!(message.starts_with("overloaded: "), "{message}");
                    false
                }
                Err(error) => panic!("{error:?}"),
            };
            // What was refused is not remembered as signed.
            let again = patient.sign_group(request, soon()).await.unwrap();
            assert_eq!(again.repeated, was_signed);
        }
        return;
    }
    panic!("there was always room");
}

/// Lets no file grow, and no byte of a file be written, as a full disk does; or lifts that again.
fn forbid_writes(signer: &Signer, forbid: bool) {
    let current = if forbid { Some(0) } else { None };
    let limit = Rlimit { current, maximum: None };
    prlimit(Some(signer.process_id().unwrap()), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn what_the_signer_fails_at_is_withheld_and_may_be_asked_again() {
    let mut options = SignerOptions::with_interop_keys(KEYS)
        .root("--aggregation-enabled")
        .root("--audit-durability=strict");
    // Otherwise a write above the limit ends the process before it can fail.
    options.wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).into();
    let signer = options.start().await.unwrap();
    let client = client(&signer);
    let (job_id, wishes) = signable(&client, 5, 1).await;
    let request = SignJobGroup { job_id, group: 0, sign: wishes[0] };
    let body = serde_json::to_string(&request).unwrap();
    let path = "/midslot/v1/aggregation/sign";
    let headers = [("content-type", "application/json")];

    forbid_writes(&signer, true);
    let answer = signer.client.send(http::Method::POST, path, &headers, body).await.unwrap();
    assert_eq!(answer.status, http::StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text());
    assert!(!answer.headers.contains_key("retry-after"));
    assert!(answer.text().contains("failed: "), "{}", answer.text());
    assert!(!answer.text().contains("signature\""), "{}", answer.text());

    forbid_writes(&signer, false);
    let patience = tokio::time::Instant::now() + Duration::from_mins(1);
    let released = loop {
        match client.sign_group(&request, soon()).await {
            Ok(released) => break released,
            Err(AggregationError::Signer(SignError::Failed { .. })) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(tokio::time::Instant::now() < patience, "the database never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!released.repeated, "what was withheld was not signed before");
    assert_as_ordinary(&client, key(0), fulu(), &released).await;
}
