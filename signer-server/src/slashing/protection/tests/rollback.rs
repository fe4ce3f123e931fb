//! An older copy of the database between two starts, and what makes it safe again.

use super::*;
use crate::{
    duty::Network,
    slashing::{
        Administration, AdministrationOptions, HighWatermark, LowWatermark, SafeFloors, Selection,
    },
};

const FLOORS: SafeFloors = SafeFloors { epoch: Epoch(100), slot: Slot(3_201) };

/// Folders whose database has forgotten the vote 4 -> 5 of key 1 and the registration of key 7, and
/// the newest one beside it.
async fn set_back() -> (Folders, PathBuf) {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    protection.close().await.unwrap();
    let copy = folders.data.path().join("copy");
    std::fs::copy(folders.database(), &copy).unwrap();

    let protection = folders.open().await.unwrap();
    protection.register(&[key(7)]).await.unwrap();
    sign(&protection, key(1), &attestation(4, 5, 1)).await.unwrap();
    sign(&protection, key(7), &attestation(4, 5, 1)).await.unwrap();
    protection.close().await.unwrap();
    let newest = folders.data.path().join("newest");
    std::fs::rename(folders.database(), &newest).unwrap();
    std::fs::rename(copy, folders.database()).unwrap();
    (folders, newest)
}

fn safely(folders: &Folders) -> OpenOptions {
    OpenOptions { safe_start: Some(FLOORS), ..folders.options() }
}

async fn is_refused(protection: &SlashingProtection, number: u8, duty: &Duty) -> bool {
    match sign(protection, key(number), duty).await {
        Ok(_) => false,
        Err(NotCleared::Refused(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn older_copy_stops_the_start() {
    let (folders, newest) = set_back().await;
    let error = folders.open().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::DatabaseRolledBack { known: 3, found: 1, .. }), "{text}");
    for part in ["older copy", MARKER_FILE_NAME, "--safe-start", CONFIRM_OPTION] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // The newest one is welcome.
    std::fs::rename(newest, folders.database()).unwrap();
    let protection = folders.ready().await;
    assert!(is_refused(&protection, 1, &attestation(4, 5, 2)).await);
}

#[tokio::test]
async fn confirmed_older_copy_is_another_database_from_then_on() {
    let (folders, newest) = set_back().await;
    let confirmed = OpenOptions { accept_new_database: true, ..folders.options() };
    SlashingProtection::open(confirmed).await.unwrap().close().await.unwrap();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(5, 6, 1)).await.unwrap();
    protection.close().await.unwrap();
    // It does not know what was signed since it was taken out.
    std::fs::rename(newest, folders.database()).unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
}

#[tokio::test]
async fn copy_from_before_an_operators_change_is_an_older_copy_too() {
    let folders = Folders::new();
    folders.ready().await.close().await.unwrap();
    let (copy, newest) = (folders.data.path().join("copy"), folders.data.path().join("newest"));
    for change in ["raise floors", "set the high watermark", "remove it", "switch a key off"] {
        std::fs::copy(folders.database(), &copy).unwrap();
        let mut operator = Administration::open(AdministrationOptions {
            database: DatabaseUrl::Sqlite(folders.database()),
            postgres: PostgresOptions::default(),
            marker_directories: vec![folders.keys.path().to_owned()],
            accept_new_database: false,
            create: false,
        })
        .await
        .unwrap();
        let high = HighWatermark { epoch: Epoch(9), slot: Slot(288) };
        match change {
            "raise floors" => {
                let low = LowWatermark { epoch: Epoch(5), slot: Slot(160) };
                operator.raise_floors(Selection::All, low).await.map(drop)
            }
            "set the high watermark" => operator.set_high_watermark(Some(high)).await,
            "remove it" => operator.set_high_watermark(None).await,
            _ => operator.set_enabled(&[key(1)], false).await,
        }
        .unwrap();
        operator.close().await.unwrap();

        std::fs::rename(folders.database(), &newest).unwrap();
        std::fs::rename(&copy, folders.database()).unwrap();
        let error = folders.open().await.unwrap_err();
        assert!(matches!(error, OpenError::DatabaseRolledBack { .. }), "{change}: {error}");
        std::fs::rename(&newest, folders.database()).unwrap();
        folders.open().await.unwrap().close().await.unwrap();
    }
}

#[tokio::test]
async fn safe_start_signs_only_what_nobody_can_have_signed() {
    let (folders, newest) = set_back().await;
    let protection = SlashingProtection::open(safely(&folders)).await.unwrap();
    // Key 7 was registered in the lost database only.
    protection.register(&[key(1), key(7)]).await.unwrap();
    for number in [1, 7] {
        for (source, target) in [(4, 5), (99, 100), (99, 101), (5, 102)] {
            let vote = attestation(source, target, 2);
            assert!(is_refused(&protection, number, &vote).await, "{number}: {source}-{target}");
        }
        assert!(is_refused(&protection, number, &block(3_201, 1)).await);
        sign(&protection, key(number), &attestation(100, 101, 1)).await.unwrap();
        sign(&protection, key(number), &block(3_202, 1)).await.unwrap();
    }
    let repeat = sign(&protection, key(1), &attestation(3, 4, 1)).await.unwrap();
    assert!(repeat.is_repeat(), "what is on record is still known");
    protection.close().await.unwrap();

    // The floors stay, also for keys that are registered later.
    let protection = folders.open().await.unwrap();
    protection.register(&[key(8)]).await.unwrap();
    assert!(is_refused(&protection, 2, &attestation(99, 100, 1)).await);
    assert!(is_refused(&protection, 8, &attestation(99, 100, 1)).await);
    sign(&protection, key(8), &attestation(100, 101, 1)).await.unwrap();
    protection.close().await.unwrap();

    std::fs::rename(newest, folders.database()).unwrap();
    let error = folders.open().await.unwrap_err();
    assert!(matches!(error, OpenError::DatabaseReplaced { .. }), "{error}");
}

#[tokio::test]
async fn safe_start_replaces_a_lost_database() {
    let folders = Folders::new();
    folders.ready().await.close().await.unwrap();
    std::fs::remove_file(folders.database()).unwrap();
    folders.open().await.unwrap_err();
    let protection = SlashingProtection::open(safely(&folders)).await.unwrap();
    protection.register(&[key(1)]).await.unwrap();
    assert!(is_refused(&protection, 1, &attestation(99, 100, 1)).await);
    sign(&protection, key(1), &attestation(100, 101, 1)).await.unwrap();
    protection.close().await.unwrap();
    folders.open().await.unwrap();
}

#[tokio::test]
async fn safe_start_never_lowers_a_floor() {
    let folders = Folders::new();
    let protection = folders.ready().await;
    sign(&protection, key(1), &attestation(200, 201, 1)).await.unwrap();
    sign(&protection, key(1), &block(9_000, 1)).await.unwrap();
    protection.close().await.unwrap();
    let protection = SlashingProtection::open(safely(&folders)).await.unwrap();
    assert!(is_refused(&protection, 1, &attestation(150, 201, 2)).await);
    assert!(is_refused(&protection, 1, &attestation(199, 202, 2)).await);
    assert!(is_refused(&protection, 1, &block(9_000, 2)).await);
    sign(&protection, key(1), &attestation(201, 202, 1)).await.unwrap();
}

#[tokio::test]
async fn marker_of_an_earlier_version_says_nothing_about_the_number() {
    let (folders, _) = set_back().await;
    let marker = folders.keys.path().join(MARKER_FILE_NAME);
    let text = std::fs::read_to_string(&marker).unwrap();
    let earlier = text.replace("batches: ", "words of a later version: ");
    assert_ne!(earlier, text);
    std::fs::write(&marker, earlier).unwrap();
    folders.ready().await.close().await.unwrap();
    assert!(std::fs::read_to_string(&marker).unwrap().contains("batches: 1\n"));
}

#[tokio::test]
async fn far_future_is_refused_only_when_asked_for() {
    let folders = Folders::new();
    let clock = NetworkClock::of(&Network::by_name_or_file("mainnet").unwrap()).unwrap();
    let guarded = OpenOptions { far_future_guard: Some(clock), ..folders.options() };
    let protection = SlashingProtection::open(guarded).await.unwrap();
    protection.register(&[key(1)]).await.unwrap();
    let far = attestation(1, 1 << 40, 1);
    let error = sign(&protection, key(1), &far).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::EpochFarAhead { .. })), "{error}");
    let error = sign(&protection, key(1), &block(1 << 40, 1)).await.unwrap_err();
    assert!(matches!(error, NotCleared::Refused(Refusal::SlotFarAhead { .. })), "{error}");
    sign(&protection, key(1), &randao()).await.unwrap();
    sign(&protection, key(1), &attestation(1, 2, 1)).await.unwrap();
    protection.close().await.unwrap();
    let protection = folders.ready().await;
    sign(&protection, key(1), &far).await.unwrap();
}
