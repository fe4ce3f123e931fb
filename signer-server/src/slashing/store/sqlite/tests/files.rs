//! Files that are removed, replaced or set back while the store has them open.

use super::*;

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("slashing.sqlite-wal")
}

#[tokio::test]
async fn removed_database_file_is_noticed_before_anything_is_released() {
    let mut scene = scene().await;
    std::fs::remove_file(database(&scene.folder)).unwrap();
    let error = scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    scene.store.recover().await.unwrap_err();
    assert!(!database(&scene.folder).exists(), "no empty database takes its place");
    let error = scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotOpen), "{error}");
}

/// A database with one record, and a copy of it from before that record.
async fn scene_with_backup() -> (Scene, PathBuf) {
    let mut scene = scene().await;
    let copy = scene.folder.path().join("backup.sqlite");
    connect::checkpoint_fully(scene.store.connection().unwrap()).await.unwrap();
    std::fs::copy(database(&scene.folder), &copy).unwrap();
    scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap();
    connect::checkpoint_fully(scene.store.connection().unwrap()).await.unwrap();
    (scene, copy)
}

#[tokio::test]
async fn older_copy_in_place_of_the_file_is_noticed_before_anything_is_released() {
    let (mut scene, copy) = scene_with_backup().await;
    std::fs::rename(&copy, database(&scene.folder)).unwrap();
    let error = scene.store.clear_attestations(&[vote(1, 2, 3, 1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    let error = scene.store.recover().await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
}

#[tokio::test]
async fn older_content_in_the_file_is_noticed_when_it_is_opened_again() {
    let (mut scene, copy) = scene_with_backup().await;
    std::fs::write(database(&scene.folder), std::fs::read(copy).unwrap()).unwrap();
    let error = scene.store.recover().await.unwrap_err();
    assert!(matches!(error, StoreError::WentBack { key } if key == PublicKey([1; 48])), "{error}");
}

#[tokio::test]
async fn removed_log_is_noticed_before_anything_is_released_and_nothing_is_lost() {
    let mut scene = scene().await;
    scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap();
    std::fs::remove_file(log(&scene.folder)).unwrap();
    let error = scene.store.clear_attestations(&[vote(2, 1, 2, 1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::LogReplaced), "{error}");

    // The records were only in the removed file; ending the connection saves them.
    scene.store.recover().await.unwrap();
    let batch = [vote(1, 1, 2, 1), vote(2, 1, 2, 1)];
    assert_eq!(scene.store.clear_attestations(&batch).await.unwrap(), [Decision::Repeat; 2]);
    let conflicts = scene.store.clear_attestations(&[vote(1, 1, 2, 2), vote(2, 1, 2, 2)]).await;
    for decision in conflicts.unwrap() {
        assert!(matches!(decision, Decision::Refused(Refusal::DoubleVote { .. })), "{decision:?}");
    }
}

#[tokio::test]
async fn repeat_is_not_released_when_its_record_is_gone() {
    let mut scene = scene().await;
    // Recorded, but say the client went away before it had the signature.
    scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap();
    std::fs::remove_file(database(&scene.folder)).unwrap();
    let error = scene.store.clear_attestations(&[vote(1, 1, 2, 1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
}

#[tokio::test]
async fn removed_file_is_noticed_without_a_slashable_request() {
    let mut scene = scene().await;
    let row = vote(1, 1, 2, 1).audit;
    scene.store.check().await.unwrap();
    scene.store.write_audit(&[&row]).await.unwrap();
    std::fs::remove_file(database(&scene.folder)).unwrap();
    let error = scene.store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    let error = scene.store.write_audit(&[&row]).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
}

#[tokio::test]
async fn lost_record_below_the_maxima_is_noticed_when_it_is_opened_again() {
    let mut scene = scene().await;
    for (source, target) in [(1, 2), (1, 9)] {
        scene.store.clear_attestations(&[vote(1, source, target, 1)]).await.unwrap();
    }
    connect::checkpoint_fully(scene.store.connection().unwrap()).await.unwrap();
    let before = std::fs::read(database(&scene.folder)).unwrap();
    // Late, so it moves no maximum.
    assert_eq!(scene.store.clear_attestations(&[vote(1, 1, 5, 1)]).await.unwrap(), [Decision::New]);
    connect::checkpoint_fully(scene.store.connection().unwrap()).await.unwrap();
    std::fs::write(database(&scene.folder), before).unwrap();
    let error = scene.store.recover().await.unwrap_err();
    assert!(matches!(error, StoreError::BatchesLost { written: 3, found: 2 }), "{error}");
}

#[tokio::test]
async fn settings_are_in_force_after_it_was_opened_again() {
    let mut scene = scene().await;
    scene.execute("PRAGMA synchronous = OFF").await;
    scene.store.recover().await.unwrap();
    connect::check_settings(scene.store.connection().unwrap()).await.unwrap();
}
