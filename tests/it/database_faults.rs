//! What happens to the database and the process while the signer runs. Whatever it is: nothing
//! slashable leaves without a record that lasts, the health tells, unprotected duties go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::{HttpClient, Signer, SignerOptions, key_files, requests};
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::Value;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// How long a change of the health may take; the slowest part is the pause between two attempts to
/// open the database again.
const PATIENCE: Duration = Duration::from_secs(20);

/// A signer that checks an idle database every 200 ms and shows its audit.
fn options(keys: u64) -> SignerOptions {
    SignerOptions::with_interop_keys(keys)
        .root("--audit-api-enabled=true")
        .eth2("--slashing-protection-db-health-check-interval-milliseconds=200")
}

fn database(options: &SignerOptions) -> PathBuf {
    options.data_folder().join("slashing-protection.sqlite")
}

fn log_of(database: &Path) -> PathBuf {
    database.with_extension("sqlite-wal")
}

pub(crate) async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

/// Signs and gives the signature.
pub(crate) async fn signature(signer: &Signer, key: u64, body: &Value) -> String {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().signature()
}

/// Waits until slashing protection reports this health.
pub(crate) async fn until_health(client: &HttpClient, wanted: &str) {
    let start = Instant::now();
    loop {
        let answer = client.get("/healthcheck").await.unwrap();
        let check = &answer.json()["checks"][1];
        assert_eq!(check["id"], "slashing-protection-db-health-check");
        if check["status"] == wanted {
            let status = if wanted == "UP" { OK } else { StatusCode::SERVICE_UNAVAILABLE };
            assert_eq!(answer.status, status);
            return;
        }
        assert!(start.elapsed() < PATIENCE, "the health never became {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Demands that nothing slashable is signed and everything else is.
pub(crate) async fn assert_only_unprotected_duties_go_on(signer: &Signer, target: u64) {
    for key in 0..2 {
        let vote = requests::attestation(target - 1, target, 1);
        assert_eq!(status(signer, key, &vote).await, FAILED);
        assert_eq!(status(signer, key, &requests::block(target * 32, 1)).await, FAILED);
        assert_eq!(status(signer, key, &requests::randao_reveal(target)).await, OK);
        assert_eq!(status(signer, key, &requests::aggregation_slot(target * 32)).await, OK);
    }
}

/// The outcomes in the audit with how often each occurs, once there are `rows` rows. Ids are
/// unique, so one row per request means that the sum is the number of requests.
pub(crate) async fn audit(client: &HttpClient, rows: usize) -> BTreeMap<String, usize> {
    let start = Instant::now();
    loop {
        let answer = client.get("/midslot/v1/audit?limit=1000").await.unwrap();
        let entries = answer.json()["entries"].as_array().unwrap().clone();
        // Rows of unfinished requests are completed a moment later.
        let open = entries.iter().any(|entry| {
            entry["reason"].as_str().is_some_and(|reason| reason.contains("confirmed"))
        });
        if entries.len() >= rows && !open {
            let mut outcomes = BTreeMap::new();
            for entry in &entries {
                let outcome = entry["outcome"].as_str().unwrap();
                *outcomes.entry(outcome.to_owned()).or_default() += 1;
                let is_signed = outcome == "signed" || outcome == "repeated";
                assert_eq!(is_signed, entry["bls_us"].is_u64(), "timings of {entry}");
            }
            return outcomes;
        }
        assert!(start.elapsed() < PATIENCE, "{} of {rows} rows: {entries:#?}", entries.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn outcomes<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(outcome, count)| (outcome.to_owned(), count)).into()
}

/// Lets no file grow, and no byte of a file be written, as a full disk does; or lifts that again.
fn forbid_writes(signer: &Signer, forbid: bool) {
    let current = if forbid { Some(0) } else { None };
    let limit = Rlimit { current, maximum: None };
    prlimit(Some(signer.process_id().unwrap()), Resource::Fsize, limit)
        .expect("the limit of the size of files can be set for a child");
}

#[tokio::test]
async fn full_disk_stops_slashable_signing_until_there_is_room() {
    let mut options = options(2);
    // Otherwise a write above the limit ends the process before it can fail.
    options.wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).into();
    let signer = options.start().await.unwrap();
    let before = requests::attestation(99, 100, 1);
    let released = signature(&signer, 0, &before).await;

    forbid_writes(&signer, true);
    assert_only_unprotected_duties_go_on(&signer, 101).await;
    until_health(&signer.client, "DOWN").await;
    assert_only_unprotected_duties_go_on(&signer, 102).await;

    forbid_writes(&signer, false);
    until_health(&signer.client, "UP").await;
    assert_eq!(signature(&signer, 0, &before).await, released);
    assert_eq!(status(&signer, 0, &requests::attestation(99, 100, 2)).await, REFUSED);
    let after = requests::attestation(101, 102, 2);
    let block = requests::block(102 * 32, 2);
    for key in 0..2 {
        // Nothing of what was refused is on record.
        signature(&signer, key, &after).await;
        signature(&signer, key, &block).await;
    }
    let expected = outcomes([("failed", 8), ("refused", 1), ("repeated", 1), ("signed", 13)]);
    assert_eq!(audit(&signer.client, 23).await, expected);

    let signer = signer.kill().await.unwrap().start().await.unwrap();
    for key in 0..2 {
        assert_eq!(status(&signer, key, &requests::attestation(101, 102, 1)).await, REFUSED);
        assert_eq!(status(&signer, key, &requests::block(102 * 32, 1)).await, REFUSED);
    }
    assert_eq!(signature(&signer, 0, &before).await, released);
    assert!(!signer.options.log().contains("panicked"), "{}", signer.options.log());
}

#[tokio::test]
async fn deleted_database_is_noticed_without_a_request_and_nothing_slashable_is_signed() {
    let signer = options(2).start().await.unwrap();
    let vote = requests::attestation(99, 100, 1);
    signature(&signer, 0, &vote).await;
    let database = database(&signer.options);
    fs::remove_file(&database).unwrap();
    until_health(&signer.client, "DOWN").await;
    assert_only_unprotected_duties_go_on(&signer, 101).await;
    assert_eq!(status(&signer, 0, &vote).await, FAILED, "its record is gone");
    assert!(!database.exists(), "no empty database takes its place");
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());

    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("is missing"), "{}", ended.output);
}

#[tokio::test]
async fn vote_after_the_database_was_deleted_is_not_signed() {
    let signer = options(2).start().await.unwrap();
    let database = database(&signer.options);
    let mut answers = Vec::new();
    for target in 100..140 {
        if target == 120 {
            fs::remove_file(&database).unwrap();
        }
        answers.push(status(&signer, 0, &requests::attestation(target - 1, target, 1)).await);
    }
    assert_eq!(answers[..20], [OK; 20]);
    assert_eq!(answers[20..], [FAILED; 20]);
}

#[tokio::test]
async fn older_copy_in_place_of_the_database_is_not_used() {
    let options = options(2).root("--metrics-enabled");
    let (_, options) = options.start().await.unwrap().stop().await.unwrap();
    let database = database(&options);
    let copy = options.folder.path().join("backup.sqlite");
    fs::copy(&database, &copy).unwrap();
    let signer = options.start().await.unwrap();
    signature(&signer, 0, &requests::attestation(99, 100, 1)).await;
    fs::rename(&copy, &database).unwrap();
    assert_ne!(status(&signer, 0, &requests::attestation(99, 100, 2)).await, OK);
    until_health(&signer.client, "DOWN").await;
    assert_halted(&signer, "the database file was removed or replaced while in use").await;
    assert_only_unprotected_duties_go_on(&signer, 101).await;

    // The way out: the database that knows everything is lost, so nothing before now is signed.
    let (code, mut options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("older copy"), "{}", ended.output);
    options.eth2.push("--safe-start".to_owned());
    let signer = options.start().await.unwrap();
    until_health(&signer.client, "UP").await;
    assert_eq!(status(&signer, 0, &requests::attestation(99, 100, 2)).await, REFUSED);
    let epoch = requests::current_slot() / requests::SLOTS_PER_EPOCH + 1;
    signature(&signer, 0, &requests::attestation(epoch, epoch + 1, 1)).await;
}

/// Demands that the health, the metrics, the log and the answers say that protection has halted.
pub(crate) async fn assert_halted(signer: &Signer, reason: &str) {
    let health = signer.client.get("/healthcheck").await.unwrap().json();
    let check = &health["checks"][1];
    assert_eq!(check["data"], serde_json::json!({ "state": "halted", "reason": reason }));
    let key = key_files::public_key(0);
    let answer = signer.client.sign(&key, &requests::attestation(99, 100, 2)).await.unwrap();
    assert_eq!(answer.status, FAILED);
    assert!(answer.text().contains(reason), "{}", answer.text());
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let page = page.text();
    for line in ["{state=\"running\"} 0", "{state=\"unavailable\"} 0", "{state=\"halted\"} 1"] {
        let line = format!("midslot_slashing_protection_state{line}");
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(signer.options.log().contains("HALTED"), "{}", signer.options.log());
}

#[tokio::test]
async fn deleted_log_costs_a_moment_and_no_record() {
    let signer = options(2).start().await.unwrap();
    let vote = requests::attestation(99, 100, 1);
    let released = signature(&signer, 0, &vote).await;
    // Its record may be nowhere else yet.
    fs::remove_file(log_of(&database(&signer.options))).unwrap();
    let start = Instant::now();
    while status(&signer, 1, &vote).await != OK {
        assert!(start.elapsed() < PATIENCE, "the database never came back");
    }
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    for key in 0..2 {
        assert_eq!(status(&signer, key, &requests::attestation(99, 100, 2)).await, REFUSED);
    }
    assert_eq!(signature(&signer, 0, &vote).await, released);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn read_only_data_folder_keeps_what_is_signed_and_stops_the_next_start() {
    let options = options(1).unprivileged();
    let signer = options.start().await.unwrap();
    signature(&signer, 0, &requests::attestation(98, 99, 1)).await;
    let folder = signer.options.data_folder();
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in &files {
        set_mode(file, 0o444);
    }
    set_mode(&folder, 0o555);

    // The files are open; what goes into them stays.
    let vote = requests::attestation(99, 100, 1);
    let released = signature(&signer, 0, &vote).await;
    until_health(&signer.client, "UP").await;
    let options = signer.kill().await.unwrap();
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("slashing-protection.sqlite"), "{}", ended.output);
    assert!(ended.output.contains("Permission denied"), "{}", ended.output);

    set_mode(&folder, 0o755);
    for file in files.iter().filter(|file| file.exists()) {
        set_mode(file, 0o644);
    }
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(99, 100, 2)).await, REFUSED);
    assert_eq!(signature(&signer, 0, &vote).await, released);
}

#[tokio::test]
async fn stopped_process_goes_on_without_signing_twice() {
    const KEYS: u64 = 4;
    const ROOTS: u8 = 4;
    const COPIES: u8 = 3;
    let signer = options(KEYS).start().await.unwrap();
    for key in 0..KEYS {
        signature(&signer, key, &requests::attestation(99, 100, 1)).await;
    }
    let mut tasks = Vec::new();
    for (target, root) in (101..105_u64).flat_map(|target| (1..=ROOTS).map(move |r| (target, r))) {
        for key in (0..KEYS).flat_map(|key| std::iter::repeat_n(key, COPIES.into())) {
            let client = signer.client.clone();
            tasks.push(tokio::spawn(async move {
                let body = requests::attestation(100, target, root);
                let answer = client.sign(&key_files::public_key(key), &body).await.unwrap();
                let signature = (answer.status == OK).then(|| answer.signature());
                (key, target, root, answer.status, signature)
            }));
        }
    }
    let requests = tasks.len() + 4;
    // In the middle of it, for longer than a request may wait for the database.
    tokio::time::sleep(Duration::from_millis(30)).await;
    signer.signal(Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_millis(4500)).await;
    signer.signal(Signal::CONT).unwrap();

    let mut released = BTreeMap::<(u64, u64), BTreeSet<(u8, String)>>::new();
    for task in tasks {
        let (key, target, root, status, signature) = task.await.unwrap();
        assert!([OK, REFUSED, FAILED].contains(&status), "{status}");
        if let Some(signature) = signature {
            released.entry((key, target)).or_default().insert((root, signature));
        }
    }
    until_health(&signer.client, "UP").await;
    audit(&signer.client, requests).await;
    let signer = signer.kill().await.unwrap().start().await.unwrap();
    for ((key, target), signatures) in released {
        assert_eq!(signatures.len(), 1, "key {key} signed twice for target {target}");
        for (root, released) in signatures {
            let repeat = requests::attestation(100, target, root);
            assert_eq!(signature(&signer, key, &repeat).await, released);
            let conflict = requests::attestation(100, target, root + 1);
            assert_eq!(status(&signer, key, &conflict).await, REFUSED);
        }
    }
}
