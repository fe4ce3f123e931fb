//! What is not signed, and what the caller is told.

use super::*;

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
