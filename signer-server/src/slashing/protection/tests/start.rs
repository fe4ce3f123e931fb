//! Opening and registering: whom the start refuses, and what markers and keys leave behind.

use super::*;
use crate::slashing::{MARKER_FILE_NAME, MarkerError};

#[tokio::test]
async fn network_pins_the_chain_and_another_network_does_not_start() {
    let folders = Folders::new();
    let on =
        |root| OpenOptions { network_genesis_validators_root: Some(root), ..folders.options() };
    let protection = SlashingProtection::open(on(OTHER_CHAIN)).await.unwrap();
    protection.register(&[key(1)]).await.unwrap();
    let error = sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::WrongGenesisValidatorsRoot { .. })));
    protection.close().await.unwrap();
    let error = SlashingProtection::open(on(CHAIN)).await.unwrap_err();
    assert!(
        matches!(error, OpenError::WrongGenesisValidatorsRoot { pinned, network, .. }
            if pinned == OTHER_CHAIN && network == CHAIN),
        "{error}"
    );
    SlashingProtection::open(on(OTHER_CHAIN)).await.unwrap();
}

#[tokio::test]
async fn second_server_on_the_same_file_is_told_so() {
    let folders = Folders::new();
    let first = folders.ready().await;
    let error = folders.open().await.unwrap_err();
    assert!(
        matches!(&error, OpenError::AlreadyRunning { database, .. } if *database == folders.database())
    );
    assert!(error.to_string().contains("already running"), "{error}");
    // The attempt did not disturb the first.
    sign(&first, key(1), &attestation(3, 4, 1)).await.unwrap();
    first.close().await.unwrap();
    folders.open().await.unwrap();
}

#[tokio::test]
async fn server_that_is_not_there_is_told_without_its_password() {
    // Nothing listens on the discard port.
    let url = "postgres://me:secret@127.0.0.1:9/signer".parse().unwrap();
    let error = SlashingProtection::open(OpenOptions::new(url)).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(&error, OpenError::Store { source: StoreError::NoConnection(_), .. }),
        "{text}"
    );
    assert!(text.contains("postgresql://127.0.0.1:9/signer"), "{text}");
    assert!(!format!("{text}{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn lost_database_stops_the_start_until_it_is_confirmed() {
    let folders = Folders::new();
    folders.ready().await.close().await.unwrap();
    for file in std::fs::read_dir(folders.data.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let error = folders.open().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::DatabaseMissing { .. }), "{text}");
    for part in [MARKER_FILE_NAME, "slashing.sqlite", "--accept-new-slashing-protection-db"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!folders.database().exists(), "nothing was made");

    let confirmed = OpenOptions { accept_new_database: true, ..folders.options() };
    SlashingProtection::open(confirmed).await.unwrap().close().await.unwrap();
    // Once is enough: the marker now remembers the new one.
    folders.open().await.unwrap();
}

#[tokio::test]
async fn replaced_database_stops_the_start_until_it_is_confirmed() {
    let (folders, others) = (Folders::new(), Folders::new());
    folders.ready().await.close().await.unwrap();
    others.ready().await.close().await.unwrap();
    std::fs::copy(others.database(), folders.database()).unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
    let confirmed = OpenOptions { accept_new_database: true, ..folders.options() };
    SlashingProtection::open(confirmed).await.unwrap().close().await.unwrap();
    folders.open().await.unwrap();
}

#[tokio::test]
async fn marker_is_there_when_register_returns_and_not_before() {
    let folders = Folders::new();
    let marker = folders.keys.path().join(MARKER_FILE_NAME);
    let protection = folders.open().await.unwrap();
    protection.register(&[]).await.unwrap();
    assert!(!marker.exists());
    protection.register(&[key(1)]).await.unwrap();
    assert!(marker.exists());
    protection.close().await.unwrap();
    folders.open().await.unwrap();
}

#[tokio::test]
async fn damaged_marker_stops_the_start_until_it_is_confirmed() {
    let folders = Folders::new();
    folders.ready().await.close().await.unwrap();
    std::fs::write(folders.keys.path().join(MARKER_FILE_NAME), "?").unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Marker(MarkerError::Damaged { .. })), "{error}");
    let confirmed = OpenOptions { accept_new_database: true, ..folders.options() };
    let protection = SlashingProtection::open(confirmed).await.unwrap();
    protection.register(&[key(1)]).await.unwrap();
    protection.close().await.unwrap();
    folders.open().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_keys_are_registered_once() {
    let folders = Folders::new();
    let protection = folders.open().await.unwrap();
    let keys: Vec<PublicKey> = (0..10_000_u32)
        .map(|number| {
            let mut key = [3; 48];
            key[..4].copy_from_slice(&number.to_be_bytes());
            PublicKey(key)
        })
        .collect();
    let start = Instant::now();
    protection.register(&keys).await.unwrap();
    println!("10,000 keys registered in {:?}", start.elapsed());
    protection.register(&keys).await.unwrap();
    sign(&protection, keys[0], &attestation(1, 2, 1)).await.unwrap();
    protection.close().await.unwrap();

    let start = Instant::now();
    let protection = folders.open().await.unwrap();
    println!("10,000 keys loaded in {:?}", start.elapsed());
    protection.register(&keys).await.unwrap();
    for key in [keys[0], keys[5_000], keys[9_999]] {
        sign(&protection, key, &attestation(2, 3, 1)).await.unwrap();
    }
    let error = sign(&protection, keys[0], &attestation(1, 2, 2)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(_)), "registering again lost nothing: {error}");
}

#[tokio::test]
async fn unreadable_marker_stops_the_start_until_it_is_confirmed() {
    let folders = Folders::new();
    folders.ready().await.close().await.unwrap();
    let marker = folders.keys.path().join(MARKER_FILE_NAME);
    std::fs::remove_file(&marker).unwrap();
    // No permission bit would keep root from reading a file.
    std::fs::create_dir(&marker).unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Marker(MarkerError::Unreadable { .. })), "{error}");
    assert!(error.to_string().contains("--accept-new-slashing-protection-db"), "{error}");
    let confirmed = OpenOptions { accept_new_database: true, ..folders.options() };
    SlashingProtection::open(confirmed).await.unwrap();
}

#[tokio::test]
async fn data_folder_may_move() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    protection.close().await.unwrap();
    let elsewhere = folders.data.path().join("moved");
    std::fs::create_dir(&elsewhere).unwrap();
    let path = elsewhere.join("slashing.sqlite");
    std::fs::rename(folders.database(), &path).unwrap();
    let moved = OpenOptions { database: DatabaseUrl::Sqlite(path), ..folders.options() };
    let protection = SlashingProtection::open(moved).await.unwrap();
    sign(&protection, key(1), &attestation(3, 4, 2)).await.unwrap_err();
}

#[tokio::test]
async fn key_folders_of_two_databases_do_not_mix() {
    let (folders, others) = (Folders::new(), Folders::new());
    folders.ready().await.close().await.unwrap();
    others.ready().await.close().await.unwrap();
    // The keys of the others may have signed what only their database knows.
    let both = vec![folders.keys.path().to_owned(), others.keys.path().to_owned()];
    let options = OpenOptions { marker_directories: both, ..folders.options() };
    let error = SlashingProtection::open(options).await.unwrap_err();
    assert!(
        matches!(&error, OpenError::DatabaseReplaced { marker, .. }
            if marker.starts_with(others.keys.path())),
        "{error}"
    );
}

#[tokio::test]
async fn protection_that_was_off_for_a_while_knows_what_it_knew_before() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    protection.close().await.unwrap();

    let off = || OpenOptions { enabled: false, ..folders.options() };
    let protection = SlashingProtection::open(off()).await.unwrap();
    protection.register(&[key(1), key(7)]).await.unwrap();
    sign(&protection, key(1), &attestation(5, 6, 1)).await.unwrap();
    protection.close().await.unwrap();

    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 2)).await.unwrap_err();
    assert!(!sign(&protection, key(1), &attestation(5, 6, 2)).await.unwrap().is_repeat());
    let error = sign(&protection, key(7), &attestation(5, 6, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Unregistered { .. }), "{error}");
    protection.close().await.unwrap();

    // A database that was lost while protection was off is still missed when it is on again.
    std::fs::remove_file(folders.database()).unwrap();
    SlashingProtection::open(off()).await.unwrap().close().await.unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
}
