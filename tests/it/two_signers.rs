//! Two signers on one PostgreSQL, asked for conflicting duties of the same keys at the same time,
//! while signers and server are killed: nothing slashable leaves, of each contest one duty wins, and
//! what was signed once is signed again by whoever is asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::{
    Dice, HttpClient, Ledger, Signer, SignerOptions, Slashable, key_files,
    postgres::{PostgresCluster, TestDatabase},
    released::{Proposal, Vote},
    requests, soak,
};

const KEYS: u64 = 8;
/// Conversations that ask at the same time.
const CLIENTS: u64 = 12;
/// How long they ask without a soak.
const SHORT: Duration = Duration::from_secs(6);
/// After so many requests the window of epochs moves on, so that there is always something to win.
const REQUESTS_PER_EPOCH: u64 = 30;
/// How long the fleet may take to recover from the last kill.
const PATIENCE: Duration = Duration::from_secs(40);
/// At most so many released duties are asked for again.
const REPLAYS: usize = 120;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

fn options(database: &TestDatabase) -> SignerOptions {
    SignerOptions::with_interop_keys(KEYS).on_postgres(database)
}

/// Where each signer is reached now; a signer that starts again has another port.
type Doors = Arc<[Mutex<HttpClient>; 2]>;

fn door(doors: &Doors, signer: usize) -> HttpClient {
    doors[signer].lock().unwrap().clone()
}

/// What the answers to one client were.
#[derive(Debug, Default)]
struct Tally {
    released: Ledger,
    refused: u64,
    /// Database away, or the connection broke.
    unanswered: u64,
}

/// A duty near the window that all clients fight for.
fn contested(dice: &mut Dice, base: u64) -> Slashable {
    let key = dice.roll(KEYS);
    if dice.roll(4) == 0 {
        let slot = base * 4 + dice.roll(6);
        return Slashable::Proposal(Proposal { key, slot, root: dice.root(3) });
    }
    let (source, target) = (base + dice.roll(3), base + 1 + dice.roll(6));
    Slashable::Vote(Vote { key, source, target, root: dice.root(3) })
}

async fn ask(client: &HttpClient, duty: &Slashable) -> anyhow::Result<midslot_tests::Answer> {
    client.sign(&key_files::public_key(duty.key()), &duty.body()).await
}

async fn fight(doors: Doors, asked: Arc<AtomicU64>, seed: u64, end: Instant) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    while Instant::now() < end {
        let asked = asked.fetch_add(1, Ordering::Relaxed);
        let duty = contested(&mut dice, requests::EPOCH + asked / REQUESTS_PER_EPOCH);
        let signer = usize::try_from(dice.roll(2)).unwrap();
        match ask(&door(&doors, signer), &duty).await {
            Ok(answer) if answer.status == OK => tally.released.add(duty, answer.signature()),
            Ok(answer) if answer.status == REFUSED => tally.refused += 1,
            Ok(answer) => {
                let away = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
                assert!(away.contains(&answer.status), "{} {}", answer.status, answer.text());
                tally.unanswered += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(_) => {
                tally.unanswered += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    tally
}

/// Kills one after the other until the end, and starts it again.
async fn kill_around(
    cluster: &mut PostgresCluster,
    mut signers: [Option<Signer>; 2],
    doors: &Doors,
    end: Instant,
) -> ([Signer; 2], u32) {
    let mut dice = Dice(0xdead);
    let mut kills = 0;
    let pause = |dice: &mut Dice| Duration::from_millis(300 + dice.roll(700));
    while Instant::now() < end {
        tokio::time::sleep(pause(&mut dice)).await;
        if kills % 3 == 1 {
            cluster.kill().await.unwrap();
            tokio::time::sleep(pause(&mut dice) / 4).await;
            cluster.restart().await.unwrap();
        } else {
            let victim = usize::from(kills % 3 == 2);
            let options = signers[victim].take().unwrap().kill().await.unwrap();
            let signer = options.start().await.unwrap();
            *doors[victim].lock().unwrap() = signer.client.clone();
            signers[victim] = Some(signer);
        }
        kills += 1;
    }
    (signers.map(Option::unwrap), kills)
}

async fn until_healthy(client: &HttpClient) {
    let start = Instant::now();
    while client.get("/healthcheck").await.unwrap().status != OK {
        assert!(start.elapsed() < PATIENCE, "a signer never recovered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// For some targets and slots of each key, every conflicting duty is asked of both signers twice, at
/// the same time. Of each, all answers to one duty are its signature and all others a refusal.
async fn assert_one_wins_each(doors: &Doors, base: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for round in 0..3 {
        for key in 0..KEYS {
            let slot = (base + round) * 4 + 10;
            let vote =
                |root| Slashable::Vote(Vote { key, source: base, target: base + 1 + round, root });
            let block = |root| Slashable::Proposal(Proposal { key, slot, root });
            for duty in [&vote as &dyn Fn(u8) -> Slashable, &block] {
                let mut tasks = Vec::new();
                for number in 0..12_u8 {
                    let duty = duty(1 + number % 3);
                    let client = door(doors, usize::from(number % 2));
                    tasks.push(tokio::spawn(async move { (duty, ask(&client, &duty).await) }));
                }
                let mut signed = Vec::new();
                for task in tasks {
                    let (duty, answer) = task.await.unwrap();
                    let answer = answer.unwrap();
                    if answer.status == OK {
                        ledger.add(duty, answer.signature());
                        signed.push(duty);
                    } else {
                        assert_eq!(answer.status, REFUSED, "{}", answer.text());
                    }
                }
                assert_eq!(signed, [signed[0]; 4], "one winner, and all who asked for it");
            }
        }
    }
    ledger
}

/// Both signers sign again what left and refuse what conflicts with it.
async fn assert_repeats(doors: &Doors, released: &Ledger) {
    let step = released.len().div_ceil(REPLAYS);
    for (place, (duty, signature)) in released.iter().step_by(step).enumerate() {
        for signer in 0..2 {
            let client = door(doors, signer);
            assert_eq!(&ask(&client, duty).await.unwrap().signature(), signature);
            if (place + signer) % 2 == 0 {
                let answer = ask(&client, &duty.conflict()).await.unwrap();
                assert_eq!(answer.status, REFUSED, "{:?}: {}", duty, answer.text());
            }
        }
    }
}

/// Every vote and every block that left is in the database, with its root.
async fn assert_recorded(database: &TestDatabase, released: &Ledger) {
    let mut connection = database.connect().await.unwrap();
    for (duty, _) in released.iter() {
        let key = const_hex::decode(key_files::public_key(duty.key())).unwrap();
        let (sql, place) = match duty {
            Slashable::Vote(vote) => (
                "SELECT signing_root FROM signed_attestation a JOIN validator v \
                 ON v.id = a.validator_id WHERE v.pubkey = $1 AND a.target_epoch = $2",
                vote.target,
            ),
            Slashable::Proposal(proposal) => (
                "SELECT signing_root FROM signed_block b JOIN validator v \
                 ON v.id = b.validator_id WHERE v.pubkey = $1 AND b.slot = $2",
                proposal.slot,
            ),
        };
        let root: Vec<u8> = sqlx::query_scalar(sql)
            .bind(key)
            .bind(i64::try_from(place).unwrap())
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{duty:?} left without a record: {error}"));
        assert_eq!(root, duty.signing_root(), "{duty:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_signers_that_are_killed_release_nothing_slashable() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let (one, other) = tokio::join!(options(&database).start(), options(&database).start());
    let (one, other) = (one.unwrap(), other.unwrap());
    let doors: Doors = Arc::new([&one, &other].map(|signer| Mutex::new(signer.client.clone())));

    let end = Instant::now() + soak().unwrap_or(SHORT);
    let asked = Arc::new(AtomicU64::new(0));
    let fights: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (doors, asked) = (Arc::clone(&doors), Arc::clone(&asked));
            tokio::spawn(fight(doors, asked, 0x5eed + number, end))
        })
        .collect();
    let (_signers, kills) = kill_around(&mut cluster, [Some(one), Some(other)], &doors, end).await;
    let mut total = Tally::default();
    for fight in fights {
        let tally = fight.await.unwrap();
        total.released.merge(tally.released);
        total.refused += tally.refused;
        total.unanswered += tally.unanswered;
    }
    for signer in 0..2 {
        until_healthy(&door(&doors, signer)).await;
    }
    let asked = asked.load(Ordering::Relaxed);
    let Tally { mut released, refused, unanswered } = total;
    println!(
        "{asked} requests, {kills} kills: {} duties released, {refused} requests refused, \
         {unanswered} unanswered",
        released.len()
    );
    assert!(kills >= 3 && unanswered > 0, "{kills} kills, {unanswered} requests felt them");
    assert!(released.len() > 50 && refused > 50, "the race shows nothing");

    let base = requests::EPOCH + asked / REQUESTS_PER_EPOCH + 20;
    released.merge(assert_one_wins_each(&doors, base).await);
    released.assert_not_slashable();
    released.assert_signed();
    assert_recorded(&database, &released).await;
    assert_repeats(&doors, &released).await;
}
