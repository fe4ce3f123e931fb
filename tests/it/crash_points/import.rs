//! `import` and `export` killed at every point: a file is imported whole or not at all, exported whole
//! or not at all, and the same command a second time does it.

use serde_json::Value;

use super::*;

const KEYS: u64 = 3;
/// Points of a run that is not a soak.
const POINTS: u64 = 8;

/// A database that holds some records, with a file of others.
async fn prepared(backend: Backend) -> (SignerOptions, Option<TestDatabase>, [String; 2]) {
    let (options, database) = folders(backend, KEYS).await;
    let words = [("old.json", 100..103), ("new.json", 101..110)].map(|(name, targets)| {
        let path = options.folder.path().join(name);
        std::fs::write(&path, interchange(0..KEYS, targets)).unwrap();
        format!("--from={}", path.display())
    });
    let ended = command(&options, &["import", &words[0]]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    (options, database, words)
}

async fn import_is_whole_or_absent(backend: Backend) {
    let (mut options, _database, [_, new]) = prepared(backend).await;
    let before = export(&options).await;
    let calls = calls_of(&mut options, &["import", &new]).await;
    let after = export(&options).await;
    assert_ne!(before, after);

    let mut sweep = Sweep::of_any(calls, POINTS);
    let (mut absent, mut whole) = (0, 0);
    loop {
        let (mut options, _database, [_, new]) = prepared(backend).await;
        let killed_at = sweep.run(&mut options, &["import", &new]).await;
        let found = export(&options).await;
        assert!(found == before || found == after, "killed at {killed_at:?}: {found:#}");
        if killed_at.is_none() {
            assert_eq!(found, after);
            break;
        }
        if found == before {
            absent += 1;
        } else {
            whole += 1;
        }
        let ended = command(&options, &["import", &new]).await;
        assert_eq!(ended.code, Some(0), "after a kill at {killed_at:?}: {}", ended.output);
        assert_eq!(export(&options).await, after, "after a kill at {killed_at:?}");
    }
    println!("{backend:?}: killed {absent} times without the file, {whole} times with it");
    assert!(absent > 0 && whole > 0, "{absent} times without, {whole} times with the file");
}

#[tokio::test]
async fn import_killed_at_any_call_is_whole_or_absent_on_sqlite() {
    import_is_whole_or_absent(Backend::Sqlite).await;
}

#[tokio::test]
async fn import_killed_at_any_call_is_whole_or_absent_on_postgres() {
    import_is_whole_or_absent(Backend::Postgres).await;
}

#[tokio::test]
async fn export_killed_at_any_call_leaves_no_part_of_a_file() {
    let (mut options, _, _) = prepared(Backend::Sqlite).await;
    let wanted = export(&options).await;
    let path = options.folder.path().join("killed.json");
    let to = format!("--to={}", path.display());
    let calls = calls_of(&mut options, &["export", &to]).await;
    let mut sweep = Sweep::of_any(calls, calls as u64);
    let mut kills = 0;
    loop {
        drop(std::fs::remove_file(&path));
        let killed_at = sweep.run(&mut options, &["export", &to]).await;
        if let Ok(bytes) = std::fs::read(&path) {
            let found: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(found, wanted, "killed at {killed_at:?}");
        }
        if killed_at.is_none() {
            break;
        }
        kills += 1;
    }
    assert!(path.exists() && kills > 0, "{kills} kills");
}
