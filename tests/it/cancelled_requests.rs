//! Clients that hang up at any moment, over real sockets, on either database: every other request is
//! answered, no lock stays, and audit and metrics agree about what became of each.

#![expect(clippy::print_stdout, reason = "what a run came to is read in its output")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::{
    Answer, Dice, HttpClient, Ledger, RawConnection, Signer, SignerOptions, Slashable, key_files,
    postgres::PostgresCluster,
    raw_http::sign_request,
    released::{Proposal, Vote},
    requests, soak,
};
use tokio::task::JoinSet;

const KEYS: u64 = 8;
/// Conversations at the same time, and requests of each.
const CLIENTS: u64 = 24;
const REQUESTS: u64 = 100;
const REQUESTS_OF_A_SOAK: u64 = 2_000;
/// How long the last rows of the audit may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a signer answers on a machine that is very busy. Any other failure fails the test.
const SLOW_DISK: &str = "the database did not answer in time";

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

/// A duty near a window that moves on with the number of the request.
fn contested(dice: &mut Dice, number: u64) -> Slashable {
    let (key, base) = (dice.roll(KEYS), requests::EPOCH + number / 4);
    let root = dice.root(2);
    if dice.roll(4) == 0 {
        return Slashable::Proposal(Proposal { key, slot: base * 4 + dice.roll(4), root });
    }
    let (source, target) = (base + dice.roll(2), base + 2 + dice.roll(3));
    Slashable::Vote(Vote { key, source, target, root })
}

/// What one client saw.
#[derive(Debug, Default)]
struct Tally {
    released: Ledger,
    /// Answers with a signature.
    signed: u64,
    refused: u64,
    /// Answers that the disk was too slow.
    failed: u64,
    hung_up: u64,
}

/// Sends requests and hangs up on half of them: in the middle of the request, or while the signer is at
/// it.
async fn ask_and_hang_up(client: HttpClient, seed: u64, count: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    for number in 0..count {
        let duty = contested(&mut dice, number);
        let request = sign_request(&key_files::public_key(duty.key()), &duty.body());
        let mut connection = RawConnection::open(client.address()).await.unwrap();
        match dice.roll(8) {
            0 => connection.send(&request[..request.len() / 2]).await.unwrap(),
            1..4 => connection.send(&request).await.unwrap(),
            _ => {
                connection.send(&request).await.unwrap();
                let (head, body) = connection.answer().await.unwrap();
                if head.starts_with("http/1.1 200 ") {
                    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                    tally.released.add(duty, body["signature"].as_str().unwrap().to_owned());
                    tally.signed += 1;
                } else if head.starts_with("http/1.1 412 ") {
                    tally.refused += 1;
                } else {
                    assert!(body.contains(SLOW_DISK), "{head}{body}");
                    tally.failed += 1;
                }
                continue;
            }
        }
        tally.hung_up += 1;
        // From before the signer has read it to after its answer.
        tokio::time::sleep(Duration::from_micros(dice.roll(12) * dice.roll(1_000))).await;
        drop(connection);
    }
    tally
}

/// Asks until the disk is fast enough, and counts how often it was not.
async fn ask(signer: &Signer, duty: &Slashable, failed: &mut u64) -> Answer {
    loop {
        let key = key_files::public_key(duty.key());
        let answer = signer.client.sign(&key, &duty.body()).await.unwrap();
        if answer.status != StatusCode::INTERNAL_SERVER_ERROR {
            return answer;
        }
        assert!(answer.text().contains(SLOW_DISK), "{}", answer.text());
        *failed += 1;
    }
}

/// How many requests ended in which way, by the metrics.
async fn counted(signer: &Signer) -> BTreeMap<String, u64> {
    let metrics = HttpClient::new(signer.metrics.expect("metrics are on"));
    let page = metrics.get("/metrics").await.unwrap();
    let mut outcomes = BTreeMap::new();
    for line in page.text().lines() {
        let Some(labels) = line.strip_prefix("midslot_requests_total{") else { continue };
        let (labels, number) = labels.split_once("} ").unwrap();
        let (_, outcome) = labels.split_once("outcome=\"").unwrap();
        let number: u64 = number.parse().unwrap();
        if number > 0 {
            *outcomes.entry(outcome.trim_end_matches('"').to_owned()).or_default() += number;
        }
    }
    outcomes
}

/// The same by the rows of the audit, page by page.
async fn written(signer: &Signer) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    let mut before = String::new();
    loop {
        let path = format!("/midslot/v1/audit?limit=1000{before}");
        let page = signer.client.get(&path).await.unwrap().json();
        for entry in page["entries"].as_array().unwrap() {
            let outcome = entry["outcome"].as_str().unwrap();
            let is_open = entry["reason"].as_str().is_some_and(|why| why.contains("confirmed"));
            let outcome = if is_open { "not yet known" } else { outcome };
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return outcomes,
        }
    }
}

async fn assert_audit_and_metrics_agree(signer: &Signer) -> BTreeMap<String, u64> {
    let start = Instant::now();
    loop {
        let (counted, written) = (counted(signer).await, written(signer).await);
        if counted == written {
            return counted;
        }
        assert!(start.elapsed() < PATIENCE, "metrics {counted:?}, audit {written:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn hang_up_at_any_moment(options: SignerOptions) -> Signer {
    let options = options.root("--audit-api-enabled=true").root("--metrics-enabled=true");
    let signer = options.start().await.unwrap();
    let count = if soak().is_some() { REQUESTS_OF_A_SOAK } else { REQUESTS };
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(ask_and_hang_up(signer.client.clone(), 0xdead + number, count));
    }
    let mut total = Tally::default();
    for tally in clients.join_all().await {
        total.released.merge(tally.released);
        total.signed += tally.signed;
        total.refused += tally.refused;
        total.failed += tally.failed;
        total.hung_up += tally.hung_up;
    }
    let Tally { mut released, mut signed, mut refused, mut failed, hung_up } = total;
    released.assert_not_slashable();
    assert!(hung_up > 500 && released.len() > 50 && refused > 50, "{hung_up} {refused}");

    // No lock and no queue is left behind: every key signs what is new.
    for key in 0..KEYS {
        let base = requests::EPOCH + count + 10;
        for duty in [
            Slashable::Vote(Vote { key, source: base, target: base + 1, root: 1 }),
            Slashable::Proposal(Proposal { key, slot: base * 4, root: 1 }),
        ] {
            released.add(duty, ask(&signer, &duty, &mut failed).await.signature());
            signed += 1;
        }
    }
    let step = released.len().div_ceil(200);
    for (duty, signature) in released.iter().step_by(step) {
        assert_eq!(&ask(&signer, duty, &mut failed).await.signature(), signature, "{duty:?}");
        let answer = ask(&signer, &duty.conflict(), &mut failed).await;
        assert_eq!(answer.status, REFUSED, "{duty:?}: {}", answer.text());
        signed += 1;
        refused += 1;
    }
    released.assert_not_slashable();

    let outcomes = assert_audit_and_metrics_agree(&signer).await;
    let of = |name: &str| outcomes.get(name).copied().unwrap_or(0);
    println!("{hung_up} hung up, {} duties released: {outcomes:?}", released.len());
    assert!(of("abandoned") > 0, "no request was dropped while the signer was at it");
    // Every answer that came has its row. Of those who hung up, some did so after their answer was on
    // its way, and some before anybody read their request.
    let late = of("refused").checked_sub(refused).expect("refusals without a row")
        + (of("signed") + of("repeated")).checked_sub(signed).expect("signatures without a row");
    let too_slow = of("failed").checked_sub(failed).expect("failures without a row");
    let gone = late + too_slow + of("abandoned") + of("malformed");
    assert!(gone <= hung_up, "{gone} of {hung_up}: {outcomes:?}");
    assert_eq!(signer.client.get("/healthcheck").await.unwrap().status, OK);
    signer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_leave_nothing_behind_on_sqlite() {
    let signer = hang_up_at_any_moment(SignerOptions::with_interop_keys(KEYS)).await;
    assert_eq!(signer.stop().await.unwrap().0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_leave_nothing_behind_on_postgres() {
    let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
    let options = SignerOptions::with_interop_keys(KEYS).on_postgres(&database);
    let signer = hang_up_at_any_moment(options).await;
    let mut connection = database.superuser().await.unwrap();
    let holding = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE a.usename = $1 AND l.locktype = 'transactionid'";
    let start = Instant::now();
    // The signer's own work (its audit, say) holds locks for a moment; what is left behind stays.
    while sqlx::query_scalar::<_, i64>(holding)
        .bind(database.role())
        .fetch_one(&mut connection)
        .await
        .unwrap()
        > 0
    {
        assert!(start.elapsed() < PATIENCE, "a transaction was left behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(signer.stop().await.unwrap().0, Some(0));
}
