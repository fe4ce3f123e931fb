//! The way back to Web3Signer.

use super::*;

#[tokio::test]
async fn undo_restores_everything_and_switches_the_keys_off_here() {
    for (version, backend) in [(8, Backend::Sqlite), (11, Backend::Postgres), (12, Backend::Sqlite)]
    {
        let (source, _, id) = web3signer(version).await;
        let before = dump(&source).await;
        let (options, _database) = midslot(backend).await;
        assert_done(&migrate(&options, &source, &[]).await, &[]);
        assert_ne!(dump(&source).await, before);
        let ended = migrate(&options, &source, &["--undo"]).await;
        assert_done(&ended, &["Web3Signer's database is as it was"]);
        assert_eq!(dump(&source).await, before);

        let mut worker = Web3SignerWorker::start(&source, version).await.unwrap();
        assert!(worker.may_attest(id, (7, 8), &ROOT).await.unwrap());
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &requests::attestation(8, 9, 1)).await, REFUSED);
        assert_eq!(status(&signer, 2, &requests::attestation(8, 9, 1)).await, REFUSED);
        let options = stop(signer).await;
        let ended = migrate(&options, &source, &["--undo"]).await;
        assert_failed(&ended, &["there is nothing to undo"]);

        // And here once more, with what Web3Signer signed in between.
        let ended = migrate(&options, &source, &[]).await;
        assert_done(&ended, &["1 attestations and 0 blocks are new here"]);
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &requests::attestation(7, 8, 1)).await, REFUSED);
        assert_eq!(status(&signer, 0, &requests::attestation(8, 9, 1)).await, OK);
    }
}

#[tokio::test]
async fn undo_is_refused_once_something_was_signed_here_unless_forced() {
    for backend in BACKENDS {
        let (source, _, id) = web3signer(12).await;
        let (options, _database) = midslot(backend).await;
        assert_done(&migrate(&options, &source, &[]).await, &[]);
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &requests::attestation(7, 8, 1)).await, OK);
        assert_eq!(status(&signer, 2, &requests::block(500, 1)).await, OK);
        let options = stop(signer).await;
        let fenced = dump(&source).await;
        let ended = migrate(&options, &source, &["--undo"]).await;
        assert_failed(&ended, &["2 blocks and attestations", "Nothing was changed", "--force"]);
        assert_eq!(dump(&source).await, fenced);
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &requests::attestation(8, 9, 1)).await, OK, "still here");
        let options = stop(signer).await;

        let ended = migrate(&options, &source, &["--undo", "--force"]).await;
        assert_done(&ended, &["Web3Signer does not know of 3 blocks and attestations"]);
        let signer = options.start().await.unwrap();
        assert_eq!(status(&signer, 0, &requests::attestation(9, 10, 1)).await, REFUSED);
        let mut worker = Web3SignerWorker::start(&source, 12).await.unwrap();
        assert!(worker.may_attest(id, (9, 10), &ROOT).await.unwrap());
    }
}

#[tokio::test]
async fn another_database_can_neither_take_the_records_again_nor_give_them_back() {
    let (source, _, _) = web3signer(12).await;
    let (options, _) = midslot(Backend::Sqlite).await;
    assert_done(&migrate(&options, &source, &[]).await, &[]);
    let fenced = dump(&source).await;
    let (other, _) = midslot(Backend::Sqlite).await;
    let ended = migrate(&other, &source, &[]).await;
    assert_failed(&ended, &["were moved before, to the database with the identity"]);
    let ended = migrate(&other, &source, &["--undo", "--force"]).await;
    assert_failed(&ended, &["were moved before, to the database with the identity"]);
    assert_eq!(dump(&source).await, fenced);
}
