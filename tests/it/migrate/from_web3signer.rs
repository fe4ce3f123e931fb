//! The move in: what arrives, what is refused, and what Web3Signer can still do.

use super::*;

#[tokio::test]
async fn every_version_moves_and_web3signer_is_silent_afterwards() {
    for version in 8..=12 {
        // Both of ours for the oldest and the newest, where Web3Signer's own ways differ most.
        let backends = if [8, 12].contains(&version) { &BACKENDS[..] } else { &BACKENDS[..1] };
        for backend in backends {
            moves_and_silences(version, *backend).await;
        }
    }
}

async fn moves_and_silences(version: i32, backend: Backend) {
    let (source, mut worker, id) = web3signer(version).await;
    if version == 12 {
        let high = "UPDATE metadata SET high_watermark_epoch = 20, high_watermark_slot = 640";
        run_sql(&source, high).await;
    }
    // As `watermark-repair` leaves it: a floor without a row.
    run_sql(&source, "INSERT INTO low_watermarks SELECT max(id), 400, 9, 8 FROM validators").await;
    let (options, _database) = midslot(backend).await;
    let enabled = if version >= 10 { "3 keys, 2 of them enabled" } else { "3 keys, 3 of them" };
    let ended = migrate(&options, &source, &[]).await;
    let compared = "Compared 3 keys, 3 attestations and 1 blocks with their copies: nothing is";
    assert_done(&ended, &[enabled, "3 attestations and 1 blocks are new here", compared]);

    // A running Web3Signer records nothing new, and none starts.
    let answer = worker.may_attest(id, (7, 8), &ROOT).await;
    if version >= 10 {
        assert!(!answer.unwrap(), "version {version}");
    } else {
        let error = format!("{:#}", answer.unwrap_err());
        assert!(error.contains("moved to Midslot"), "{error}");
    }
    let refused = Web3SignerWorker::start(&source, version).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("version -{version}")), "{refused}");

    let signer = options.start().await.unwrap();
    let second = if version >= 10 { REFUSED } else { OK };
    let at_high = if version == 12 { REFUSED } else { OK };
    for (key, body, wanted) in [
        (0, requests::attestation(5, 6, 1), REFUSED),
        (0, requests::attestation(6, 7, 1), REFUSED),
        (0, requests::attestation(5, 8, 1), REFUSED),
        (0, requests::attestation(4, 9, 1), REFUSED),
        (0, requests::block(300, 1), REFUSED),
        (0, requests::block(299, 1), REFUSED),
        (0, requests::attestation(7, 8, 1), OK),
        (0, requests::block(301, 1), OK),
        (1, requests::attestation(6, 7, 1), second),
        (2, requests::attestation(7, 10, 1), REFUSED),
        (2, requests::attestation(8, 9, 1), REFUSED),
        (2, requests::block(400, 1), REFUSED),
        (2, requests::attestation(8, 10, 1), OK),
        (2, requests::block(401, 1), OK),
        (2, requests::attestation(10, 20, 1), at_high),
        (2, requests::block(640, 1), at_high),
    ] {
        let answer = status(&signer, key, &body).await;
        assert_eq!(answer, wanted, "version {version}, {backend:?}, key {key}: {body}");
    }

    // Again: nothing happens, neither to what was signed since nor to who may sign.
    let options = stop(signer).await;
    let before = (export(&options, "before.json").await, dump(&source).await);
    let ended = migrate(&options, &source, &[]).await;
    assert_done(&ended, &["nothing was changed", compared]);
    assert_eq!((export(&options, "after.json").await, dump(&source).await), before);
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(8, 9, 1)).await, OK);
    assert_eq!(status(&signer, 0, &requests::attestation(8, 9, 2)).await, REFUSED);
}

#[tokio::test]
async fn what_was_signed_is_signed_again_and_zero_roots_are_nobodys_repeat() {
    // The signing roots come from a signer of ours.
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let (vote, block) = (requests::attestation(5, 6, 1), requests::block(300, 1));
    assert_eq!(status(&signer, 0, &vote).await, OK);
    assert_eq!(status(&signer, 0, &block).await, OK);
    let exported = export(&stop(signer).await, "roots.json").await;
    let root = |list: &str| -> [u8; 32] {
        let root = exported["data"][0][list][0]["signing_root"].as_str().unwrap();
        bytes(root).try_into().unwrap()
    };

    let cluster = PostgresCluster::shared().await.unwrap();
    let source = cluster.web3signer_database(12).await.unwrap();
    let mut worker = Web3SignerWorker::start(&source, 12).await.unwrap();
    worker.pin_network(&chain()).await.unwrap();
    let key = worker.register(&bytes(&key_files::public_key(0))).await.unwrap();
    assert!(worker.may_attest(key, (5, 6), &root("signed_attestations")).await.unwrap());
    assert!(worker.may_attest(key, (6, 7), &[0; 32]).await.unwrap());
    assert!(worker.may_propose(key, 300, &root("signed_blocks")).await.unwrap());
    for backend in BACKENDS {
        let (options, _database) = midslot(backend).await;
        assert_done(&migrate(&options, &source, &[]).await, &[]);
        let moved = export(&options, "moved.json").await;
        let votes = moved["data"][0]["signed_attestations"].as_array().unwrap().clone();
        assert_eq!(votes[1]["target_epoch"], "7");
        assert!(votes[1].get("signing_root").is_none(), "{}", votes[1]);
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &vote).await, OK, "{backend:?}");
        assert_eq!(status(&signer, 0, &block).await, OK, "{backend:?}");
        let options = stop(signer).await;
        // For the other backend.
        assert_done(&migrate(&options, &source, &["--undo"]).await, &[]);
    }
}

#[tokio::test]
async fn the_fence_waits_for_a_signature_in_flight_and_moves_its_record() {
    for version in [8, 9, 10, 12] {
        let (source, mut worker, id) = web3signer(version).await;
        assert!(worker.decide_attestation(id, (7, 8), &OTHER_ROOT).await.unwrap());
        let (options, _) = midslot(Backend::Sqlite).await;
        let arguments = from_web3signer(&options, &source, &[]);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut moving = options.spawn_alone(&options.command_line(&words)).unwrap();
        wait_for_lock(&source).await;
        assert!(moving.try_wait().unwrap().is_none(), "{}", options.log());
        worker.commit().await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, moving.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{}", options.log());
        let moved = export(&options, "moved.json").await;
        let data = moved["data"].as_array().unwrap();
        let first = data.iter().find(|key| key["pubkey"] == key_files::public_key(0)).unwrap();
        let votes = first["signed_attestations"].as_array().unwrap();
        assert_eq!(votes[2]["target_epoch"], "8", "version {version}");
        assert_eq!(votes[2]["signing_root"], requests::root(0xbb), "version {version}");
    }
}

#[tokio::test]
async fn a_signature_that_waits_for_the_fence_is_refused_by_it() {
    for version in [9, 12] {
        let (source, mut worker, id) = web3signer(version).await;
        // Holds the fence up when everything is copied.
        let mut blocker = connect(&source).await;
        sqlx::raw_sql("BEGIN; SELECT FROM database_version FOR UPDATE")
            .execute(&mut blocker)
            .await
            .unwrap();
        let (options, _) = midslot(Backend::Sqlite).await;
        let arguments = from_web3signer(&options, &source, &[]);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut moving = options.spawn_alone(&options.command_line(&words)).unwrap();
        wait_for_lock(&source).await;
        let signing = tokio::spawn(async move { worker.may_attest(id, (7, 8), &ROOT).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!signing.is_finished(), "it must wait");
        sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, moving.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{}", options.log());
        match signing.await.unwrap() {
            Ok(released) => assert!(!released, "version {version}"),
            Err(error) => assert!(format!("{error:#}").contains("moved to Midslot"), "{error:#}"),
        }
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM signed_attestations")
            .fetch_one(&mut connect(&source).await)
            .await
            .unwrap();
        assert_eq!(rows, 3, "version {version}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_moved_and_changes_nothing() {
    let (source, mut worker, id) = web3signer(12).await;
    let (options, _) = midslot(Backend::Sqlite).await;
    let before = dump(&source).await;
    let ended = migrate(&options, &source, &["--dry-run"]).await;
    let found =
        "3 keys, 2 of them enabled; 3 attestations, 1 blocks; 0 keys with slashable records";
    assert_done(&ended, &["version 12", requests::GENESIS_VALIDATORS_ROOT, found]);
    assert_eq!(dump(&source).await, before);
    assert!(!sqlite_file(&options).exists());
    assert!(worker.may_attest(id, (7, 8), &ROOT).await.unwrap());
}

#[tokio::test]
async fn rows_that_can_not_be_are_all_named_and_nothing_is_moved() {
    let (source, mut worker, id) = web3signer(12).await;
    run_sql(
        &source,
        "INSERT INTO validators (public_key) VALUES ('\\xc0ffee');
         INSERT INTO signed_attestations (validator_id, source_epoch, target_epoch) VALUES
           (NULL, 1, 2), (1, 7, 9223372036854775808), (1, 8, -9);
         INSERT INTO signed_attestations (validator_id, source_epoch, target_epoch, signing_root)
           VALUES (1, 9, 10, '\\xbeef');
         INSERT INTO signed_blocks (validator_id, slot) VALUES (1, 18446744073709551615);
         UPDATE low_watermarks SET slot = 99999999999999999999 WHERE validator_id = 2;
         UPDATE metadata SET genesis_validators_root = '\\x01'",
    )
    .await;
    let before = dump(&source).await;
    let (options, _) = midslot(Backend::Sqlite).await;
    for more in [&["--dry-run"][..], &[]] {
        let ended = migrate(&options, &source, more).await;
        let key = key_files::public_key(0);
        assert_failed(
            &ended,
            &[
                "0xc0ffee: the key of validator 4 has 3 bytes instead of 48",
                "target 2, root of no bytes) belongs to no key",
                &format!("{key}: signed_attestations: row "),
                "target 9223372036854775808",
                "target -9",
                "root of 2 bytes",
                "slot 18446744073709551615",
                "slot 99999999999999999999",
                "the genesis validators root has 1 bytes instead of 32",
                "8 rows of Web3Signer's database can't be moved; nothing was changed",
            ],
        );
        assert_eq!(dump(&source).await, before);
        assert!(!sqlite_file(&options).exists());
    }
    assert!(worker.may_propose(id, 301, &ROOT).await.unwrap(), "it goes on signing");
}

#[tokio::test]
async fn strange_databases_and_other_chains_are_refused() {
    let (source, mut worker, id) = web3signer(12).await;
    let before = dump(&source).await;
    let (mut options, _) = midslot(Backend::Sqlite).await;
    options.eth2.push("--network=gnosis".to_owned());
    for more in [&["--dry-run"][..], &[]] {
        let ended = migrate(&options, &source, more).await;
        assert_failed(&ended, &["genesis validators root 0x4b363db9", "--network"]);
    }
    options.eth2.pop();
    let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
    let ended = migrate(&options, &database, &[]).await;
    assert_failed(&ended, &["does not hold Web3Signer's tables", "currentSchema"]);
    run_sql(&source, "UPDATE database_version SET version = 13").await;
    assert_failed(&migrate(&options, &source, &[]).await, &["version 13", "8 to 12"]);
    run_sql(&source, "UPDATE database_version SET version = 12").await;
    assert_failed(&migrate(&options, &source, &["--undo"]).await, &["no slashing protection"]);
    assert_eq!(dump(&source).await, before);
    assert!(!sqlite_file(&options).exists());
    assert!(worker.may_attest(id, (7, 8), &ROOT).await.unwrap());

    for (more, reason) in [
        (&["--dry-run", "--undo"][..], "together with --undo"),
        (&["--force"], "only means something with --undo"),
        (&["--password=x"], "--password is given, too"),
    ] {
        let ended = migrate(&options, &source, more).await;
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        assert_says(&ended, &[reason]);
    }
}

#[tokio::test]
async fn a_user_without_the_right_to_fence_is_told_so() {
    let (source, mut worker, id) = web3signer(12).await;
    let (reader, role) = (PostgresCluster::shared().await.unwrap().database().await.unwrap(), {
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC"
    });
    run_sql(&source, role).await;
    let url = source.url().replace(source.password(), reader.password());
    let url = url.replace(&format!("//{}:", source.role()), &format!("//{}:", reader.role()));
    let (options, _) = midslot(Backend::Sqlite).await;
    let url = format!("--url={url}");
    let command = ["migrate", "from-web3signer", &url];
    let ended = options.run_command(&[&command[..], &["--dry-run"]].concat()).await.unwrap();
    assert_done(&ended, &["3 keys"]);
    let ended = options.run_command(&command).await.unwrap();
    assert_failed(&ended, &["it must own Web3Signer's tables"]);
    assert!(!ended.output.contains(reader.password()), "{}", ended.output);
    assert!(worker.may_attest(id, (7, 8), &ROOT).await.unwrap());
}
