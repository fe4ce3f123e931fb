//! Keys that an import holds, beside keys that go on signing.

use super::*;
use crate::slashing::{
    interchange::merge::KeyImport,
    refusal::RecordedAttestation,
    store::records::{ImportTransaction, Records, RecordsError},
};

#[tokio::test]
async fn only_requests_for_the_keys_of_an_import_fail_until_it_ends() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[10, 10, 10]).await;
    let mut operator = open(&scene.database).await.general;
    let vote = |target, root| RecordedAttestation {
        source: Epoch(target - 1),
        target: Epoch(target),
        signing_root: Some(Root([root; 32])),
    };
    let keys = [PublicKey([2; 48]), PublicKey([9; 48])];
    let mut import = operator.begin_import(CHAIN, &keys).await.unwrap();
    let content = keys.map(|key| KeyImport::new(key, vec![vote(20, 1), vote(30, 1)], vec![]));
    import.merge(&content).await.unwrap();

    let at = |target| VoteEpochs { source: Epoch(target - 1), target: Epoch(target) };
    for target in 11..15 {
        let batch = [1, 2, 3].map(|key| request(key, at(target), 1));
        let decisions = scene.stores.attestations[0].clear_attestations(&batch).await.unwrap();
        assert_eq!(decisions, [Decision::New, Decision::Unreadable, Decision::New], "{target}");
    }
    // Health, registration and blocks of others need none of these locks.
    scene.stores.general.check().await.unwrap();
    scene.stores.general.register(&[PublicKey([4; 48])]).await.unwrap();
    let block = request(1, Slot(11), 1);
    let decisions = scene.stores.blocks.clear_blocks(&[block]).await.unwrap();
    assert_eq!(decisions, [Decision::New]);

    import.commit().await.unwrap();
    let refused = scene.attest(2, 14, 15, 1).await;
    assert!(matches!(refused, Decision::Refused(_)), "at once: {refused:?}");
    assert_eq!(scene.attest(2, 29, 30, 1).await, Decision::Repeat);
    assert_eq!(scene.attest(2, 30, 31, 1).await, Decision::New);
}

#[tokio::test]
async fn an_import_that_is_dropped_has_done_nothing_and_holds_nothing() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[10]).await;
    let mut operator = open(&scene.database).await.general;
    let keys = [PublicKey([1; 48]), PublicKey([9; 48])];
    let mut import = operator.begin_import(CHAIN, &keys).await.unwrap();
    let far = RecordedAttestation { source: Epoch(1), target: Epoch(90_000), signing_root: None };
    import.merge(&[KeyImport::new(keys[0], vec![far], vec![])]).await.unwrap();
    drop(import);
    // The same connection is good for the next piece of work.
    let error = operator.begin_import(Root([9; 32]), &keys).await.map(drop).unwrap_err();
    assert!(matches!(error, RecordsError::OtherChain { .. }), "{error}");
    assert_eq!(operator.genesis_validators_root().await.unwrap(), Some(CHAIN));
    assert_eq!(scene.attest(1, 10, 11, 1).await, Decision::New);
    assert_eq!(scene.number("SELECT count(*) FROM validator").await, 1);
    let far = "SELECT count(*) FROM signed_attestation WHERE target_epoch > 11";
    assert_eq!(scene.number(far).await, 0);
}

#[tokio::test]
async fn a_file_that_is_spread_too_far_is_refused_whole() {
    let mut scene = Scene::new().await;
    let mut operator = open(&scene.database).await.general;
    let keys = [PublicKey([1; 48])];
    let votes = (0..2_001).map(|number| RecordedAttestation {
        source: Epoch(0),
        target: Epoch(225 * number),
        signing_root: None,
    });
    let mut import = operator.begin_import(CHAIN, &keys).await.unwrap();
    let error = import
        .merge(&[KeyImport::new(keys[0], votes.collect(), vec![])])
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, StoreError::TooManyPartitions { most: 2_000 }), "{error}");
    drop(import);
    operator.check().await.unwrap();
    assert_eq!(scene.number("SELECT count(*) FROM validator").await, 0);
}
