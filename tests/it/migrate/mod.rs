//! `eth2 migrate` as an operator calls it, on Web3Signer's databases and on both of ours.

mod between;
mod crashes;
mod from_web3signer;
mod undo;

use std::{fs, path::PathBuf, time::Duration};

use http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions, key_files,
    postgres::{PostgresCluster, TestDatabase, Web3SignerWorker},
    requests,
    signer::Ended,
};
use serde_json::Value;
use sqlx::PgConnection;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
const ROOT: [u8; 32] = [0xaa; 32];
const OTHER_ROOT: [u8; 32] = [0xbb; 32];
/// Other tests run beside it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the records are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];

/// A signer's folders with three keys, on a database of this kind; the database lives as long as
/// the second value.
async fn midslot(backend: Backend) -> (SignerOptions, Option<TestDatabase>) {
    let options = SignerOptions::with_interop_keys(3);
    match backend {
        Backend::Sqlite => (options, None),
        Backend::Postgres => {
            let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
            let options = options.eth2(format!("--slashing-protection-db-url={}", database.url()));
            (options, Some(database))
        }
    }
}

fn sqlite_file(options: &SignerOptions) -> PathBuf {
    options.data_folder().join("slashing-protection.sqlite")
}

fn bytes(hex: &str) -> Vec<u8> {
    const_hex::decode(hex).unwrap()
}

fn chain() -> [u8; 32] {
    bytes(requests::GENESIS_VALIDATORS_ROOT).try_into().unwrap()
}

/// Web3Signer's database of this version on mainnet, with three keys. The first has voted 5 -> 6 and
/// 6 -> 7 and proposed at slot 300; the second is disabled, where that is possible; the third has
/// done nothing.
async fn web3signer(version: i32) -> (TestDatabase, Web3SignerWorker, i32) {
    let cluster = PostgresCluster::shared().await.unwrap();
    let database = cluster.web3signer_database(version).await.unwrap();
    let mut worker = Web3SignerWorker::start(&database, version).await.unwrap();
    assert!(worker.pin_network(&chain()).await.unwrap());
    let mut ids = Vec::new();
    for key in 0..3 {
        ids.push(worker.register(&bytes(&key_files::public_key(key))).await.unwrap());
    }
    assert!(worker.may_attest(ids[0], (5, 6), &ROOT).await.unwrap());
    assert!(worker.may_attest(ids[0], (6, 7), &ROOT).await.unwrap());
    assert!(worker.may_propose(ids[0], 300, &ROOT).await.unwrap());
    assert!(worker.may_attest(ids[1], (5, 6), &ROOT).await.unwrap());
    if version >= 10 {
        let disable = sqlx::query("UPDATE validators SET enabled = false WHERE id = $1");
        disable.bind(ids[1]).execute(&mut connect(&database).await).await.unwrap();
    }
    (database, worker, ids[0])
}

async fn connect(database: &TestDatabase) -> PgConnection {
    database.connect().await.unwrap()
}

async fn run_sql(database: &TestDatabase, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut connect(database).await).await.unwrap();
}

/// Everything in Web3Signer's tables, and the names of all tables and triggers.
async fn dump(database: &TestDatabase) -> String {
    sqlx::query_scalar(
        "SELECT concat_ws(E'\\n',
           (SELECT string_agg(r::text, ' ' ORDER BY id) FROM validators r),
           (SELECT string_agg(r::text, ' ' ORDER BY id) FROM signed_attestations r),
           (SELECT string_agg(r::text, ' ' ORDER BY id) FROM signed_blocks r),
           (SELECT string_agg(r::text, ' ' ORDER BY validator_id) FROM low_watermarks r),
           (SELECT string_agg(r::text, ' ') FROM metadata r),
           (SELECT string_agg(r::text, ' ') FROM database_version r),
           (SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace),
           (SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
           (SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace))",
    )
    .fetch_one(&mut connect(database).await)
    .await
    .unwrap()
}

/// The arguments of `migrate from-web3signer`, as somebody gives them who has Web3Signer's own
/// options at hand.
fn from_web3signer(options: &SignerOptions, source: &TestDatabase, more: &[&str]) -> Vec<String> {
    let password = options.folder.path().join("web3signer.password");
    fs::write(&password, format!("{}\n", source.password())).unwrap();
    let (url, user) = (source.jdbc_url(), source.role());
    let arguments = [
        "migrate".to_owned(),
        "from-web3signer".to_owned(),
        format!("--url={url}"),
        format!("--username={user}"),
        format!("--password-file={}", password.display()),
    ];
    arguments.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

async fn run(options: &SignerOptions, arguments: &[String]) -> Ended {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    options.run_command(&words).await.unwrap()
}

async fn migrate(options: &SignerOptions, source: &TestDatabase, more: &[&str]) -> Ended {
    let ended = run(options, &from_web3signer(options, source, more)).await;
    assert!(!ended.output.contains(source.password()), "{}", ended.output);
    ended
}

#[track_caller]
fn assert_done(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_says(ended, parts);
}

#[track_caller]
fn assert_failed(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert_says(ended, parts);
}

#[track_caller]
fn assert_says(ended: &Ended, parts: &[&str]) {
    for part in parts {
        assert!(ended.output.contains(part), "{part:?} is not in {}", ended.output);
    }
}

async fn export(options: &SignerOptions, name: &str) -> Value {
    let path = options.folder.path().join(name);
    let ended =
        options.run_command(&["export", &format!("--to={}", path.display())]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

async fn stop(signer: Signer) -> SignerOptions {
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    options
}

/// Waits until so many sessions of the database wait for a lock.
async fn wait_for_lock(database: &TestDatabase) {
    let mut connection = database.superuser().await.unwrap();
    let start = std::time::Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if waiting > 0 {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "nobody waits for a lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
