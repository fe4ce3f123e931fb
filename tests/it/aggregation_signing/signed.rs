//! What is signed, and that it is what an ordinary request would have had signed.

use super::*;

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
        assert!(job.phases_ms["sign"] > 0.0, "{name}: {:?}", job.phases_ms);
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
