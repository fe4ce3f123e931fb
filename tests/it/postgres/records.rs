//! What an operator does with records on PostgreSQL while signers are live.

use std::{fs, path::PathBuf};

use ::http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions, interchange_file, key_files,
    released::{Vote, slashable_votes},
    requests,
};
use serde_json::{Value, json};

use super::*;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

fn signer_on(database: &TestDatabase) -> SignerOptions {
    SignerOptions::with_interop_keys(2).on_postgres(database)
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

fn file(options: &SignerOptions, name: &str) -> PathBuf {
    options.folder.path().join(name)
}

/// Runs a command that must succeed; returns what it said.
async fn command(options: &SignerOptions, arguments: &[&str]) -> String {
    let ended = options.run_command(arguments).await.unwrap();
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.output);
    ended.output
}

async fn export(options: &SignerOptions) -> Value {
    let path = file(options, "out.json");
    command(options, &["export", &format!("--to={}", path.display())]).await;
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn commands_need_a_database_that_is_there_and_import_makes_one() {
    let database = database().await;
    let options = signer_on(&database);
    let to = format!("--to={}", file(&options, "out.json").display());
    for arguments in [&["export", &*to][..], &["watermark-repair", "--epoch=1", "--slot=1"]] {
        let ended = options.run_command(arguments).await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("there is no slashing protection"), "{}", ended.output);
        assert!(ended.output.contains(database.name()), "{}", ended.output);
    }
    let mut connection = database.connect().await.unwrap();
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(tables, 0);

    let path = file(&options, "in.json");
    interchange_file::write(&path, 3, 300).unwrap();
    let said = command(&options, &["import", &format!("--from={}", path.display())]).await;
    assert!(said.contains("900 attestations and 3 blocks are new"), "{said}");
    let exported = export(&options).await;
    let data = exported["data"].as_array().unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!(data[2]["signed_attestations"].as_array().unwrap().len(), 300);
    let said = command(&options, &["import", &format!("--from={}", path.display())]).await;
    assert!(said.contains("0 attestations and 0 blocks are new, 3 keys were as they are"));
    assert!(!options.log().contains(database.password()), "{}", options.log());
}

#[tokio::test]
async fn repaired_watermarks_bind_live_signers_at_once() {
    let database = database().await;
    let start = || async {
        signer_on(&database)
            .eth2("--slashing-protection-db-health-check-interval-milliseconds=200")
            .start()
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(start(), start());
    for signer in [&one, &other] {
        assert_eq!(status(signer, 0, &requests::attestation(4, 5, 1)).await, OK);
    }
    let operator = signer_on(&database);
    let said = command(&operator, &["watermark-repair", "--epoch=20", "--slot=640"]).await;
    assert!(said.contains("2 keys"), "{said}");
    for (signer, root) in [(&one, 1), (&other, 2)] {
        for (body, wanted) in [
            (requests::attestation(19, 21, root), REFUSED),
            (requests::attestation(20, 20, root), REFUSED),
            (requests::attestation(4, 5, 1), OK),
            (requests::block(640, root), REFUSED),
        ] {
            assert_eq!(status(signer, 0, &body).await, wanted, "{body}");
        }
    }
    assert_eq!(status(&other, 0, &requests::attestation(20, 21, 1)).await, OK);

    let low = ["watermark-repair", "--set-high-watermark", "--epoch=20", "--slot=900"];
    let ended = operator.run_command(&low).await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("must be above every low watermark"), "{}", ended.output);
    let high = ["watermark-repair", "--set-high-watermark", "--epoch=30", "--slot=960"];
    command(&operator, &high).await;
    for signer in [&one, &other] {
        assert_eq!(status(signer, 1, &requests::attestation(29, 30, 1)).await, REFUSED);
        assert_eq!(status(signer, 1, &requests::block(960, 1)).await, REFUSED);
        let shown = json!({ "epoch": "30", "slot": "960" });
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while signer.client.get("/api/v1/eth2/highWatermark").await.unwrap().json() != shown {
            assert!(tokio::time::Instant::now() < deadline, "the high watermark is not shown");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    command(&operator, &["watermark-repair", "--remove-high-watermark"]).await;
    assert_eq!(status(&one, 1, &requests::attestation(29, 30, 1)).await, OK);
}

/// Keys and epochs of an import that lasts some seconds in an unoptimised build.
const KEYS: u64 = 400;
const EPOCHS: u64 = 250;

#[tokio::test]
async fn kill_9_during_an_import_leaves_all_or_nothing() {
    let database = database().await;
    let signer = signer_on(&database).start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(4, 5, 1)).await, OK);
    let options = signer_on(&database);
    let before = export(&options).await;
    let path = file(&options, "large.json");
    interchange_file::write(&path, KEYS, EPOCHS).unwrap();
    let from = format!("--from={}", path.display());
    let arguments = options.command_line(&["import", &from]);
    let mut connection = database.connect().await.unwrap();
    let mut writers = async || -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND granted \
             AND relation = 'signed_attestation_p1'::regclass",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap()
    };
    for _ in 0..2 {
        let mut import = options.spawn_alone(&arguments).unwrap();
        while writers().await == 0 {
            assert!(import.try_wait().unwrap().is_none(), "{}", options.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        import.kill().await.unwrap();
        // The server finds out when it next writes to the lost connection.
        while writers().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(export(&options).await, before);
        assert_eq!(status(&signer, 0, &requests::attestation(4, 5, 1)).await, OK);
    }
    command(&options, &["import", &from]).await;
    let after = export(&options).await;
    assert_eq!(after["data"].as_array().unwrap().len() as u64, KEYS + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_and_exports_beside_racing_signers_are_consistent() {
    let database = database().await;
    let signers = [open(&database.url()).await, open(&database.url()).await];
    let keys: Vec<PublicKey> = (0..12).map(key).collect();
    for signer in &signers {
        signer.register(&keys).await.unwrap();
    }
    // Names the chain.
    assert_eq!(said(&signers[0], 0, &attestation(0, 0, 1)).await, "new");
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let signer = signers[usize::try_from(number).unwrap() % 2].clone();
            tokio::spawn(race::race(signer, 0xfeed + number))
        })
        .collect();
    let operator = SignerOptions::empty().on_postgres(&database);
    let mut imported = Vec::new();
    let mut exports = Vec::new();
    for round in 1..=4_u64 {
        // In the middle of what the signers are racing for, and again with each round more.
        let votes: Vec<Vote> = (0..12)
            .map(|key| Vote { key, source: 2 * round, target: 3 * round + 1, root: 9 })
            .collect();
        let path = file(&operator, "in.json");
        fs::write(&path, file_of(&votes).to_string()).unwrap();
        command(&operator, &["import", &format!("--from={}", path.display())]).await;
        for vote in &votes {
            let duty = attestation(vote.source, vote.target, 8);
            let number = u32::try_from(vote.key).unwrap();
            let word = said(&signers[0], number, &duty).await;
            assert!(!matches!(word, "new" | "repeat" | "failed"), "{word} after the import");
        }
        imported.extend(votes);
        exports.push(export(&operator).await);
    }
    let mut released = Vec::new();
    for task in tasks {
        released.extend(task.await.unwrap().0);
    }
    released.sort_unstable();
    released.dedup();
    assert!(released.len() > 30, "only {}: the race shows nothing", released.len());
    assert_eq!(slashable_votes(&released), None);
    let mut connection = database.connect().await.unwrap();
    assert_eq!(race::trouble(&mut connection).await, (0, 0));
    for export in exports {
        // No two records of one key for one target: it is of one instant, before or after a vote.
        for key in export["data"].as_array().unwrap() {
            let votes = key["signed_attestations"].as_array().unwrap();
            let mut targets: Vec<&Value> = votes.iter().map(|vote| &vote["target_epoch"]).collect();
            let count = targets.len();
            targets.dedup();
            assert_eq!(targets.len(), count, "{key}");
        }
        let count = export["data"].as_array().unwrap().len();
        assert_eq!(count, 12);
    }
}

fn file_of(votes: &[Vote]) -> Value {
    let data: Vec<Value> = votes
        .iter()
        .map(|vote| {
            json!({
                "pubkey": key(u32::try_from(vote.key).unwrap()).to_string(),
                "signed_blocks": [],
                "signed_attestations": [{
                    "source_epoch": vote.source.to_string(),
                    "target_epoch": vote.target.to_string(),
                    "signing_root": Root([vote.root; 32]).to_string(),
                }],
            })
        })
        .collect();
    json!({
        "metadata": {
            "interchange_format_version": "5",
            "genesis_validators_root": CHAIN.to_string(),
        },
        "data": data,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_beside_racing_signers_lets_nothing_slashable_through() {
    let database = database().await;
    let schedule = PruningSchedule {
        policy: PruningPolicy { epochs_to_keep: 2 * race::STRIDE, slots_per_epoch: 1 },
        interval: Duration::from_millis(30),
        at_start: true,
    };
    let open = || async {
        let options = OpenOptions { pruning: Some(schedule), ..options(&database.url()) };
        SlashingProtection::open(options).await.unwrap()
    };
    let signers = [open().await, open().await];
    let keys: Vec<PublicKey> = (0..12).map(key).collect();
    for signer in &signers {
        signer.register(&keys).await.unwrap();
    }
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let signer = signers[usize::try_from(number).unwrap() % 2].clone();
            // So far apart that partitions become old while the signers race.
            tokio::spawn(race::race_at(signer, 0xb0b + number, race::STRIDE))
        })
        .collect();
    let (mut released, mut winners) = (Vec::new(), Vec::new());
    for task in tasks {
        let (votes, wins) = task.await.unwrap();
        released.extend(votes);
        winners.extend(wins);
    }
    released.sort_unstable();
    released.dedup();
    assert_eq!(slashable_votes(&released), None);
    assert!(released.len() > 50, "only {}: the race shows nothing", released.len());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(race::trouble(&mut connection).await, (0, 0));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let rows: u64 = signers.iter().map(|signer| signer.pruning().rows).sum();
        let first = "SELECT to_regclass('signed_attestation_p0') IS NULL";
        let is_gone: bool = sqlx::query_scalar(first).fetch_one(&mut connection).await.unwrap();
        if rows > 10 && is_gone {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{rows} rows; dropped: {is_gone}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for signer in &signers {
        assert!(signer.is_healthy());
    }
}
