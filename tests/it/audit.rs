//! The audit as its readers meet it: over HTTP, with the command, after a crash, after its time.

use std::{
    collections::BTreeSet,
    io::Read,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{Answer, HttpClient, Signer, SignerOptions, binary, key_files, requests};
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

const OK: StatusCode = StatusCode::OK;
const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
const PATIENCE: Duration = Duration::from_secs(20);

fn options(keys: u64) -> SignerOptions {
    SignerOptions::with_interop_keys(keys).root("--audit-api-enabled=true")
}

/// Runs the `audit` command on the data folder of `options`.
async fn command(options: &SignerOptions, arguments: &[&str]) -> Output {
    tokio::process::Command::new(binary::signer_binary())
        .arg(format!("--data-path={}", options.data_folder().display()))
        .arg("audit")
        .args(arguments)
        .output()
        .await
        .unwrap()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// The rows that the command prints as JSON lines.
async fn rows(options: &SignerOptions, arguments: &[&str]) -> Vec<Value> {
    let output = command(options, &[&["--format=json"], arguments].concat()).await;
    let (rows, errors) = text(&output);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The entries of a page over HTTP.
async fn entries(client: &HttpClient, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/midslot/v1/audit?{query}")).await.unwrap();
    assert_eq!(answer.status, OK, "{query}: {}", answer.text());
    answer.json()["entries"].as_array().unwrap().clone()
}

/// All entries once there are `count` and none waits for its end.
async fn settled(client: &HttpClient, count: usize) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let entries = entries(client, "limit=1000").await;
        let is_open = |entry: &Value| {
            entry["reason"].as_str().is_some_and(|reason| reason.contains("confirmed"))
        };
        if entries.len() >= count && !entries.iter().any(is_open) {
            assert_eq!(entries.len(), count, "{entries:#?}");
            return entries;
        }
        assert!(start.elapsed() < PATIENCE, "{} of {count} rows: {entries:#?}", entries.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

async fn extension(signer: &Signer, body: impl Into<Bytes>) -> Answer {
    let path = format!("/api/v1/eth2/ext/sign/{}", key_files::public_key(0));
    signer.client.send(Method::POST, &path, &[], body).await.unwrap()
}

/// One request for each way to end, and what its row must say: outcome, type, slot or epoch.
async fn one_of_every_end(signer: &Signer) -> Vec<(&'static str, Option<&'static str>, Value)> {
    let vote_slot: Value = (25 * 32).to_string().into();
    let vote = Some("ATTESTATION");
    assert_eq!(status(signer, 0, &requests::attestation(20, 25, 1)).await, OK);
    assert_eq!(status(signer, 0, &requests::attestation(20, 25, 1)).await, OK);
    assert_eq!(status(signer, 0, &requests::attestation(20, 25, 2)).await, 412);
    assert_eq!(status(signer, 99, &requests::randao_reveal(7)).await, 404);
    assert_eq!(status(signer, 1, &requests::block(900, 1)).await, OK);
    assert_eq!(signer.client.sign_raw("=1+1", "no JSON").await.unwrap().status, 400);
    let batch = signer.client.send(Method::POST, "/api/v1/eth2/sign", &[], "{}").await.unwrap();
    assert_eq!(batch.status, 400);
    let proof = r#"{"type":"PROOF_OF_VALIDATION","platform":"p","timestamp":"1"}"#;
    assert_eq!(extension(signer, proof).await.status, OK);
    assert_eq!(extension(signer, "no proof").await.status, 400);
    assert_eq!(extension(signer, " ".repeat(70_000)).await.status, 413);
    let late = [("x-signing-deadline-ms", "0"), ("accept", "application/json")];
    let path = format!("/api/v1/eth2/sign/{}", key_files::public_key(0));
    let body = requests::aggregation_slot(77).to_string();
    let shed = signer.client.send(Method::POST, &path, &late, body).await.unwrap();
    assert_eq!(shed.status, FAILED);
    vec![
        ("signed", vote, vote_slot.clone()),
        ("repeated", vote, vote_slot.clone()),
        ("refused", vote, vote_slot),
        ("unknown_key", Some("RANDAO_REVEAL"), "7".into()),
        ("signed", Some("BLOCK_V2"), "900".into()),
        ("malformed", None, Value::Null),
        ("malformed", None, Value::Null),
        ("signed", None, Value::Null),
        ("malformed", None, Value::Null),
        ("malformed", None, Value::Null),
        ("shed", Some("AGGREGATION_SLOT"), "77".into()),
    ]
}

#[tokio::test]
async fn every_end_leaves_one_row_that_every_reader_finds() {
    let options = options(2).eth2("--Xsigning-ext-enabled=true");
    let signer = options.start().await.unwrap();
    let expected = one_of_every_end(&signer).await;
    let all = settled(&signer.client, expected.len()).await;
    for ((outcome, duty_type, position), entry) in expected.iter().rev().zip(&all) {
        let found = [&entry["slot"], &entry["epoch"]].into_iter().find(|value| !value.is_null());
        assert_eq!(entry["outcome"], *outcome, "{entry}");
        assert_eq!(entry["type"].as_str(), *duty_type, "{entry}");
        assert_eq!(found.unwrap_or(&Value::Null), position, "{entry}");
        assert_eq!(entry["client"]["address"], "127.0.0.1");
    }

    let key = key_files::public_key(1);
    let newest = all[3]["time"].as_str().unwrap().to_owned();
    let conditions: Vec<(String, usize)> = vec![
        (format!("key={key}"), 1),
        ("type=attestation".to_owned(), 3),
        ("outcome=malformed".to_owned(), 4),
        ("outcome=shed".to_owned(), 1),
        ("client=127.0.0.1".to_owned(), all.len()),
        ("client=10.0.0.1".to_owned(), 0),
        ("slot=800".to_owned(), 3),
        ("slot=801-".to_owned(), 1),
        ("slot=78-899".to_owned(), 3),
        ("epoch=7".to_owned(), 1),
        ("since=1h".to_owned(), all.len()),
        ("until=1h".to_owned(), 0),
        (format!("since={newest}"), 4),
        (format!("until={newest}"), all.len() - 4),
        ("type=ATTESTATION&outcome=refused".to_owned(), 1),
    ];
    let address = format!("--url=http://{}", signer.client.address());
    let mut answers = Vec::new();
    for (condition, count) in &conditions {
        let found = entries(&signer.client, condition).await;
        assert_eq!(found.len(), *count, "{condition}: {found:#?}");
        let arguments: Vec<String> =
            condition.split('&').map(|condition| format!("--{condition}")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let asked = rows(&signer.options, &[&[&*address], &*arguments].concat()).await;
        assert_eq!(asked, found, "the command asks the running signer: {condition}");
        answers.push((condition, arguments.iter().map(|text| (*text).to_owned()).collect(), found));
    }
    let (_, options) = signer.stop().await.unwrap();
    for (condition, arguments, found) in answers {
        let arguments: Vec<String> = arguments;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // Time goes on between the two.
        if !condition.contains("1h") {
            assert_eq!(rows(&options, &arguments).await, found, "a stopped one: {condition}");
        }
    }
    assert_eq!(rows(&options, &["--limit=2"]).await, all[..2]);
    assert_eq!(rows(&options, &["--all"]).await, all);

    let (csv, _) = text(&command(&options, &["--format=csv"]).await);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), all.len() + 2, "{csv}");
    assert!(lines[0].starts_with("id,time,instance,client_address,"), "{csv}");
    assert!(csv.contains(",'=1+1,") && !csv.contains(",=1+1"), "{csv}");
    let (table, _) = text(&command(&options, &[]).await);
    assert_eq!(table.lines().count(), all.len() + 1, "{table}");
    assert!(table.contains("slot 900") && table.contains("epoch 7"), "{table}");
}

#[tokio::test]
async fn command_says_what_to_do_when_it_can_not_read() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let address = format!("--url=http://{}", signer.client.address());
    for (arguments, code, message) in [
        (vec![], 1, "--url http://127.0.0.1:9000"),
        (vec![&*address], 1, "--audit-api-enabled=true"),
        (vec!["--url=https://127.0.0.1"], 1, "https is not supported"),
        (vec!["--url=http://127.0.0.1:1"], 1, "can't be asked"),
        (vec!["--slot=x"], 2, "--slot (command line): expected a number"),
        (vec!["--format=xml"], 2, "expected one of table, json, csv"),
    ] {
        let output = command(&signer.options, &arguments).await;
        let (printed, errors) = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(message) && printed.is_empty(), "{arguments:?}: {errors}");
    }
    let empty = SignerOptions::empty();
    let output = command(&empty, &[]).await;
    assert!(!output.status.success() && text(&output).1.contains("slashing-protection.sqlite"));
    let left = std::fs::read_dir(empty.data_folder()).unwrap().count();
    assert_eq!(left, 0, "a command that only reads makes no file");

    let bad = signer.client.get("/midslot/v1/audit").await.unwrap();
    assert_eq!(bad.status, StatusCode::NOT_FOUND, "not served unless it is enabled");
}

#[tokio::test]
async fn parameters_that_mean_nothing_are_refused_by_name() {
    let signer = options(1).start().await.unwrap();
    for (query, name) in
        [("slot=x", "slot"), ("since=soon", "since"), ("type=VOTE", "type"), ("slots=1", "slots")]
    {
        let answer = signer.client.get(&format!("/midslot/v1/audit?{query}")).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text().contains(name), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn many_rows_come_once_each_while_more_arrive_and_a_closed_pipe_ends_quietly() {
    let signer = options(1).start().await.unwrap();
    let key = key_files::public_key(0);
    for slot in 0..1_100 {
        // Cheap rows: the key is not loaded.
        let body = requests::aggregation_slot(slot).to_string();
        signer.client.sign_raw(&key_files::public_key(5), body).await.unwrap();
    }
    let more = {
        let (client, key) = (signer.client.clone(), key.clone());
        tokio::spawn(async move {
            for slot in 5_000.. {
                if client.sign(&key, &requests::aggregation_slot(slot)).await.is_err() {
                    break;
                }
            }
        })
    };
    let address = format!("--url=http://{}", signer.client.address());
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        let found = rows(&signer.options, &[&address, "--all"]).await;
        let ids: Vec<i64> =
            found.iter().map(|row| row["id"].as_str().unwrap().parse().unwrap()).collect();
        assert!(ids.is_sorted_by(|newer, older| newer > older), "no row twice");
        let there: BTreeSet<_> = found
            .iter()
            .filter(|row| row["outcome"] == "unknown_key")
            .map(|row| row["slot"].as_str().unwrap())
            .collect();
        assert_eq!(there.len(), 1_100, "none missed");
    }
    let (_, options) = signer.stop().await.unwrap();
    more.await.unwrap();

    let mut reader = std::process::Command::new(binary::signer_binary())
        .arg(format!("--data-path={}", options.data_folder().display()))
        .args(["audit", "--all", "--format=json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = reader.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 10]).unwrap();
    drop(pipe);
    let ended = reader.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn expired_rows_go_and_the_records_stay() {
    let signer = options(1).root("--audit-bulk-retention-days=3").start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(20, 25, 1)).await, OK);
    assert_eq!(status(&signer, 0, &requests::randao_reveal(7)).await, OK);
    assert_eq!(status(&signer, 0, &requests::attestation(25, 26, 1)).await, OK);
    assert_eq!(status(&signer, 0, &requests::randao_reveal(8)).await, OK);
    settled(&signer.client, 4).await;
    let (_, options) = signer.stop().await.unwrap();

    // The first three are four days old now, the first one a hundred.
    let database = options.data_folder().join("slashing-protection.sqlite");
    let url = format!("sqlite:{}", database.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for statement in [
        "UPDATE audit SET received_at = received_at - 4 * 86400000000 WHERE id < 4",
        "UPDATE audit SET received_at = received_at - 96 * 86400000000 WHERE id = 1",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let signer = options.root("--metrics-enabled").start().await.unwrap();
    let start = Instant::now();
    let left = loop {
        let left = entries(&signer.client, "").await;
        if left.len() <= 2 {
            break left;
        }
        assert!(start.elapsed() < PATIENCE, "{left:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let ids: Vec<i64> =
        left.iter().map(|row| row["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, [4, 3], "the young row and the evidence of four days ago");
    let page = HttpClient::new(signer.metrics.unwrap()).get("/metrics").await.unwrap();
    for line in ["midslot_audit_expired_rows_total 2", "midslot_audit_lost_rows_total 0"] {
        assert!(page.text().contains(line), "{line}: {}", page.text());
    }
    assert_eq!(status(&signer, 0, &requests::attestation(20, 25, 2)).await, 412);
}

#[tokio::test]
async fn killed_in_strict_mode_no_released_signature_is_without_its_row() {
    let mut options = options(4).root("--audit-durability=strict");
    let mut first_slot = 10_000;
    for _ in 0..3 {
        let signer = options.start().await.unwrap();
        let tasks: Vec<_> = (0..8_u64)
            .map(|task| {
                let client = signer.client.clone();
                tokio::spawn(async move {
                    let key = key_files::public_key(task % 4);
                    let mut released = Vec::new();
                    for slot in (first_slot + task..).step_by(8) {
                        let body = requests::aggregation_slot(slot);
                        match client.sign(&key, &body).await {
                            Ok(answer) if answer.status == OK => released.push(slot),
                            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                            Err(_) => break,
                        }
                    }
                    released
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(400)).await;
        options = signer.kill().await.unwrap();
        let mut released = BTreeSet::new();
        for task in tasks {
            released.extend(task.await.unwrap());
        }
        assert!(released.len() > 20, "only {} signatures before the end", released.len());
        let slots = format!("--slot={first_slot}-");
        let written = rows(&options, &["--all", "--outcome=signed", &slots]).await;
        let written: BTreeSet<u64> =
            written.iter().map(|row| row["slot"].as_str().unwrap().parse().unwrap()).collect();
        let missing: Vec<_> = released.difference(&written).collect();
        assert!(missing.is_empty(), "released without a row: {missing:?}");
        first_slot += 1_000_000;
    }
}

/// Lets no file grow, and no byte of a file be written, as a full disk does; or lifts that again.
fn forbid_writes(signer: &Signer, forbid: bool) {
    let current = if forbid { Some(0) } else { None };
    let limit = Rlimit { current, maximum: None };
    prlimit(Some(signer.process_id().unwrap()), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn full_disk_in_strict_mode_stops_every_signature_until_there_is_room() {
    let mut options = options(1).root("--audit-durability=strict").eth2("--Xsigning-ext-enabled");
    // Otherwise a write above the limit ends the process before it can fail.
    options.wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).into();
    let signer = options.start().await.unwrap();
    let proof = r#"{"type":"PROOF_OF_VALIDATION","platform":"p","timestamp":"1"}"#;
    assert_eq!(status(&signer, 0, &requests::randao_reveal(1)).await, OK);

    forbid_writes(&signer, true);
    let answer =
        signer.client.sign(&key_files::public_key(0), &requests::randao_reveal(2)).await.unwrap();
    assert_eq!(answer.status, FAILED);
    assert!(answer.text().contains("audit row"), "{}", answer.text());
    assert_eq!(status(&signer, 0, &requests::aggregation_slot(3)).await, FAILED);
    assert_eq!(status(&signer, 0, &requests::attestation(20, 25, 1)).await, FAILED);
    assert_eq!(extension(&signer, proof).await.status, FAILED);

    forbid_writes(&signer, false);
    let start = Instant::now();
    let mut requests_made = 5;
    loop {
        requests_made += 1;
        if status(&signer, 0, &requests::randao_reveal(4)).await == OK {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the database never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = settled(&signer.client, requests_made).await;
    let epochs: Vec<_> = all
        .iter()
        .filter(|row| row["outcome"] == "signed")
        .map(|row| row["epoch"].as_str().unwrap())
        .collect();
    assert_eq!(epochs, ["4", "1"], "what was withheld says that it failed: {all:#?}");
}
