//! What an export reads is of one instant, whatever goes on meanwhile.

use super::*;
use crate::slashing::store::{
    pruning::{Pruning, PruningPolicy},
    records::{LowWatermark, Records, Selection, Snapshot},
};

#[tokio::test]
async fn export_has_the_rows_of_its_floors_although_they_are_pruned_meanwhile() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000]).await;
    let Opened { general, pruning, attestations, .. } = &mut scene.stores;
    let signer = &mut attestations[0];
    let mut snapshot = general.begin_export().await.unwrap();
    let policy = PruningPolicy { epochs_to_keep: 250, slots_per_epoch: 1 };
    while !pruning.prune_step(policy).await.unwrap().is_last {}
    assert_eq!(attest(signer, 1, 1_000, 1_001, 1).await, Decision::New);
    let low = LowWatermark { epoch: Epoch(2_000), slot: Slot(2_000) };
    let mut operator = open(&scene.database).await.general;
    operator.raise_floors(Selection::All, low).await.unwrap();

    let records = snapshot.read(&[PublicKey([1; 48])]).await.unwrap().remove(0);
    assert_eq!(records.attestations.len(), 1_000);
    assert_eq!(records.attestation.floor.map(|floor| floor.target), Some(Epoch(1)));
    assert_eq!(records.attestation.max.map(|max| max.target), Some(Epoch(1_000)));
    assert_eq!(records.blocks.len(), 1_000);
    drop(snapshot);
    let refused = attest(signer, 1, 1_001, 1_999, 1).await;
    assert!(matches!(refused, Decision::Refused(_)), "the repair holds at once: {refused:?}");
}
