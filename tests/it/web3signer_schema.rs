//! The databases of Web3Signer that the tests make behave as Web3Signer's own do.

use std::time::Duration;

use midslot_tests::postgres::{PostgresCluster, WEB3SIGNER_VERSION, Web3SignerWorker};
use sqlx::Executor;

/// Long enough for a server on the same machine to answer, if it could.
const SILENCE: Duration = Duration::from_millis(500);
const ROOT_A: [u8; 32] = [0xaa; 32];
const ROOT_B: [u8; 32] = [0xbb; 32];

#[tokio::test]
async fn web3signer_writes_the_rows_it_is_known_to_write_at_every_version() {
    let cluster = PostgresCluster::shared().await.unwrap();
    for version in 8..=WEB3SIGNER_VERSION {
        let database = cluster.web3signer_database(version).await.unwrap();
        let mut worker = Web3SignerWorker::start(&database, version).await.unwrap();
        assert!(worker.pin_network(&[7; 32]).await.unwrap());
        assert!(!worker.pin_network(&[8; 32]).await.unwrap(), "another network");
        let key = worker.register(&[0xc0; 48]).await.unwrap();
        assert_eq!(worker.register(&[0xc0; 48]).await.unwrap(), key);
        for (vote, root, released, what) in [
            ((5, 6), ROOT_A, true, "the first"),
            ((5, 6), ROOT_A, true, "a repeat"),
            ((6, 7), ROOT_B, true, "the next"),
            ((5, 6), ROOT_B, false, "another root"),
            ((7, 9), ROOT_A, true, "a later one"),
            ((8, 8), ROOT_A, false, "surrounded"),
            ((6, 10), ROOT_A, false, "surrounds"),
            ((4, 11), ROOT_A, false, "below the watermark"),
            ((12, 11), ROOT_A, false, "source after target"),
        ] {
            let answer = worker.may_attest(key, vote, &root).await.unwrap();
            assert_eq!(answer, released, "version {version}: {what}");
        }
        for (slot, root, released) in [
            (300, ROOT_A, true),
            (300, ROOT_A, true),
            (300, ROOT_B, false),
            (299, ROOT_B, false),
            (301, ROOT_B, true),
        ] {
            let answer = worker.may_propose(key, slot, &root).await.unwrap();
            assert_eq!(answer, released, "version {version}: block {slot}");
        }
        let mut connection = database.connect().await.unwrap();
        let rows: String = sqlx::query_scalar(
            "SELECT concat_ws(' ',
                (SELECT string_agg(concat_ws('-', source_epoch, target_epoch), ',' ORDER BY id)
                 FROM signed_attestations),
                (SELECT string_agg(slot::text, ',' ORDER BY id) FROM signed_blocks),
                (SELECT concat_ws('-', slot, source_epoch, target_epoch) FROM low_watermarks))",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(rows, "5-6,6-7,7-9 300,301 300-5-6", "version {version}");
    }
    assert!(cluster.web3signer_database(7).await.is_err());
}

#[tokio::test]
async fn web3signer_stops_at_its_high_watermark_its_version_and_a_disabled_key() {
    let cluster = PostgresCluster::shared().await.unwrap();
    let database = cluster.web3signer_database(WEB3SIGNER_VERSION).await.unwrap();
    let mut worker = Web3SignerWorker::start(&database, WEB3SIGNER_VERSION).await.unwrap();
    worker.pin_network(&[7; 32]).await.unwrap();
    let key = worker.register(&[0xc0; 48]).await.unwrap();
    assert!(worker.may_attest(key, (5, 6), &ROOT_A).await.unwrap());
    assert!(worker.may_propose(key, 200, &ROOT_A).await.unwrap());
    let mut admin = database.connect().await.unwrap();
    let high = "UPDATE metadata SET high_watermark_epoch = 6, high_watermark_slot = 300";
    assert!(admin.execute(high).await.is_err(), "not above the low one");
    let high = "UPDATE metadata SET high_watermark_epoch = 10, high_watermark_slot = 300";
    admin.execute(high).await.unwrap();
    assert!(admin.execute("UPDATE low_watermarks SET slot = 301").await.is_err());
    assert!(worker.may_attest(key, (6, 9), &ROOT_A).await.unwrap());
    assert!(!worker.may_attest(key, (9, 10), &ROOT_A).await.unwrap());
    assert!(worker.may_propose(key, 299, &ROOT_A).await.unwrap());
    assert!(!worker.may_propose(key, 300, &ROOT_A).await.unwrap());

    // What a migration does before it reads waits for a request in flight and stops later ones.
    assert!(worker.decide_attestation(key, (6, 8), &ROOT_B).await.unwrap());
    let fence = "BEGIN; LOCK TABLE validators IN ACCESS EXCLUSIVE MODE;
        UPDATE validators SET enabled = false; UPDATE database_version SET version = -1; COMMIT";
    let mut fence = Box::pin(admin.execute(sqlx::raw_sql(fence)));
    assert!(tokio::time::timeout(SILENCE, &mut fence).await.is_err(), "it must wait");
    worker.commit().await.unwrap();
    fence.await.unwrap();
    assert!(!worker.may_attest(key, (6, 7), &ROOT_A).await.unwrap());
    assert!(!worker.may_propose(key, 250, &ROOT_A).await.unwrap());
    let refused = Web3SignerWorker::start(&database, WEB3SIGNER_VERSION).await.unwrap_err();
    assert!(refused.to_string().contains("version -1"), "{refused}");
}
