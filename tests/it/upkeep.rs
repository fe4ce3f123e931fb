//! What keeps a signer's records small and true over months: pruning, and what happens when an
//! older copy of the database comes back.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use midslot_tests::{HttpClient, Signer, SignerOptions, key_files, requests};
use serde_json::Value;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

/// How long anything in the background may take.
const PATIENCE: Duration = Duration::from_secs(30);

const MARKER: &str = ".midslot-slashing-protection";

fn database(options: &SignerOptions) -> PathBuf {
    options.data_folder().join("slashing-protection.sqlite")
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !reached().await {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A network that began so long ago that now is slot 10 of epoch 100, for some minutes.
fn network_in_epoch_100(options: SignerOptions) -> SignerOptions {
    const MAINNET: &str = include_str!("../../signer-server/networks/mainnet.yaml");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let genesis = now - (100 * 32 + 10) * 12;
    let file = options.folder.path().join("network.yaml");
    let text: String = MAINNET
        .lines()
        .map(|line| {
            if line.starts_with("MIDSLOT_GENESIS_TIME") {
                format!("MIDSLOT_GENESIS_TIME: {genesis}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    fs::write(&file, text).unwrap();
    let network = format!("--network={}", file.display());
    options.eth2(network)
}

/// Stops a signer after a vote 3 -> 4, copies its database, lets it sign 4 -> 5, stops it and puts
/// the copy in place of the database.
async fn set_back(options: SignerOptions, kill: bool) -> SignerOptions {
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(3, 4, 1)).await, OK);
    let (_, options) = signer.stop().await.unwrap();
    let copy = options.folder.path().join("copy");
    fs::copy(database(&options), &copy).unwrap();

    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(4, 5, 1)).await, OK);
    let options = if kill {
        let marker = signer.options.data_folder().join(MARKER);
        until("the marker knows of both votes", async || {
            fs::read_to_string(&marker).unwrap().contains("batches: 2\n")
        })
        .await;
        signer.kill().await.unwrap()
    } else {
        signer.stop().await.unwrap().1
    };
    let database = database(&options);
    for end in ["-wal", "-shm"] {
        let mut path = database.clone().into_os_string();
        path.push(end);
        drop(fs::remove_file(path));
    }
    fs::rename(&copy, &database).unwrap();
    options
}

#[tokio::test]
async fn older_copy_between_two_starts_is_refused_and_a_safe_start_makes_it_safe() {
    let options = network_in_epoch_100(SignerOptions::with_interop_keys(1));
    let mut options = set_back(options, false).await;
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    for part in ["older copy", "--safe-start", "--accept-new-slashing-protection-db"] {
        assert!(ended.output.contains(part), "{part} in {}", ended.output);
    }

    options.eth2.push("--safe-start".to_owned());
    let signer = options.start().await.unwrap();
    for (source, target) in [(4, 5), (99, 100), (99, 101)] {
        let vote = requests::attestation(source, target, 2);
        assert_eq!(status(&signer, 0, &vote).await, REFUSED, "{source} -> {target}");
    }
    assert_eq!(status(&signer, 0, &requests::block(3_210, 1)).await, REFUSED);
    assert_eq!(status(&signer, 0, &requests::attestation(100, 101, 1)).await, OK);
    assert_eq!(status(&signer, 0, &requests::block(3_300, 1)).await, OK);
    assert!(signer.options.log().contains("costs each key one duty"));

    let (_, mut options) = signer.stop().await.unwrap();
    options.eth2.pop();
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(100, 101, 2)).await, REFUSED);
    assert_eq!(status(&signer, 0, &requests::attestation(101, 102, 1)).await, OK);
}

#[tokio::test]
async fn older_copy_after_a_kill_is_refused() {
    let options = set_back(SignerOptions::with_interop_keys(1), true).await;
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("older copy"), "{}", ended.output);
}

#[tokio::test]
async fn safe_start_and_the_future_guard_need_the_genesis_time() {
    for option in ["--safe-start", "--refuse-far-future"] {
        let options = SignerOptions::with_interop_keys(1).eth2("--network=minimal").eth2(option);
        let ended = options.run_to_end().await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("needs the genesis time"), "{}", ended.output);
        assert!(ended.output.contains(option), "{}", ended.output);
    }
}

#[tokio::test]
async fn far_future_is_refused_when_asked_for() {
    let options = network_in_epoch_100(SignerOptions::with_interop_keys(1));
    let signer = options.eth2("--refuse-far-future=true").start().await.unwrap();
    let answer = signer
        .client
        .sign(&key_files::public_key(0), &requests::attestation(100, 104, 1))
        .await
        .unwrap();
    assert_eq!(answer.status, REFUSED);
    assert!(answer.text().contains("far ahead"), "{}", answer.text());
    assert_eq!(status(&signer, 0, &requests::block(4_000, 1)).await, REFUSED);
    assert_eq!(status(&signer, 0, &requests::randao_reveal(200)).await, OK);
    assert_eq!(status(&signer, 0, &requests::attestation(99, 100, 1)).await, OK);
}

/// Opens the database of a signer that is not running.
async fn open(options: &SignerOptions) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database(options)).connect().await.unwrap()
}

/// Attestations per key in [`with_history`].
const HISTORY: i64 = 5_000;

/// A stopped signer whose keys have attested to the targets 1 to [`HISTORY`].
async fn with_history(keys: u64) -> SignerOptions {
    let options = SignerOptions::with_interop_keys(keys).root("--metrics-enabled");
    let (_, options) = options.start().await.unwrap().stop().await.unwrap();
    let mut connection = open(&options).await;
    for statement in [
        "INSERT INTO signed_attestation WITH RECURSIVE n(t) AS (SELECT 1 UNION ALL SELECT t + 1 \
         FROM n WHERE t < $1) SELECT v.id, n.t, n.t - 1, randomblob(32), 0, 0 FROM validator v, n",
        "UPDATE att_state SET floor_source = 0, floor_target = 1, max_source = $1 - 1, \
         max_target = $1",
    ] {
        sqlx::query(statement).bind(HISTORY).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    options
}

/// Demands that what is missing of [`with_history`] lies below the floors; returns how many records
/// there are.
async fn check_floors(options: &SignerOptions) -> i64 {
    let mut connection = open(options).await;
    let keys = sqlx::query(
        "SELECT s.floor_source, s.floor_target, s.max_target, min(a.target_epoch) AS lowest, \
         max(a.target_epoch) AS highest, count(*) AS records \
         FROM att_state s JOIN signed_attestation a USING (validator_id) GROUP BY s.validator_id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let mut records = 0;
    for key in keys {
        let number = |name: &str| -> i64 { key.get(name) };
        let lowest = number("lowest");
        assert_eq!(number("records"), number("highest") - lowest + 1, "no gap");
        assert!(lowest <= number("highest") - 250 + 1, "too much is gone: {lowest}");
        assert!(number("max_target") >= number("highest"));
        if lowest > 1 {
            assert!(number("floor_target") >= lowest - 1, "floor below what is gone");
            assert!(number("floor_source") >= lowest - 2, "floor below what is gone");
        }
        records += number("records");
    }
    records
}

async fn metric(client: &HttpClient, name: &str) -> f64 {
    let answer = client.get("/metrics").await.unwrap();
    let page = answer.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
}

#[tokio::test]
async fn pruning_killed_at_any_point_forgets_nothing_that_it_has_not_forbidden() {
    const KEYS: u64 = 4;
    let mut options = with_history(KEYS).await;
    options.eth2.push("--slashing-protection-pruning-at-boot-enabled=true".to_owned());
    let before = check_floors(&options).await;
    for (newest, pause_ms) in (HISTORY.cast_unsigned()..).zip([0, 5, 20, 60]) {
        let signer = options.start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        for key in 0..KEYS {
            // Whether or not its record is still there.
            let late = requests::attestation(2, 3, 1);
            assert_eq!(status(&signer, key, &late).await, REFUSED);
            let around = requests::attestation(1, newest + 1, 1);
            assert_eq!(status(&signer, key, &around).await, REFUSED);
            let next = requests::attestation(newest, newest + 1, 1);
            assert_eq!(status(&signer, key, &next).await, OK);
        }
        options = signer.kill().await.unwrap();
        check_floors(&options).await;
    }

    let signer = options.start().await.unwrap();
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    until("pruning ends", async || {
        metric(&metrics, "midslot_slashing_pruning_runs_total").await > 0.0
    })
    .await;
    assert!(metric(&metrics, "midslot_slashing_pruning_last_run_timestamp_seconds").await > 1e9);
    assert!(signer.options.log().contains("pruned the slashing protection database"));
    let (_, options) = signer.stop().await.unwrap();
    let kept = check_floors(&options).await;
    assert_eq!(kept, 250 * i64::try_from(KEYS).unwrap(), "of {before}");
}

#[tokio::test]
async fn pruning_comes_when_its_interval_is_over_and_can_be_switched_off() {
    let mut options = with_history(1).await;
    for option in [
        "--slashing-protection-pruning-enabled=false",
        "--slashing-protection-pruning-at-boot-enabled",
    ] {
        options.eth2.push(option.to_owned());
    }
    options.eth2[1].push_str("=true");
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(5_000, 5_001, 1)).await, OK);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, mut options) = signer.stop().await.unwrap();
    assert_eq!(check_floors(&options).await, HISTORY + 1, "switched off");

    options.eth2.clear();
    let signer = options.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, options) = signer.stop().await.unwrap();
    assert_eq!(check_floors(&options).await, HISTORY + 1, "not at the start by default");
}
