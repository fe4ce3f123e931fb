//! `kill -9` of the signer in the middle of a burst of conflicting requests, again and again, on
//! either database: what left stays on record, is signed again and contradicts nothing.

use std::time::Duration;

use http::StatusCode;
use midslot_tests::{
    Dice, Ledger, Signer, SignerOptions, Slashable, key_files,
    postgres::{PostgresCluster, TestDatabase},
    released::{Proposal, Vote},
    requests, soak,
};

const KEYS: u64 = 6;
/// Lives of the signer, and those of a soak.
const LIVES: u64 = 2;
const LIVES_OF_A_SOAK: u64 = 20;
/// Targets and slots of one burst; each is asked for with this many roots.
const TARGETS: u64 = 12;
const ROOTS: u8 = 3;

async fn postgres() -> (TestDatabase, SignerOptions) {
    let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
    let options = SignerOptions::with_interop_keys(KEYS)
        .eth2(format!("--slashing-protection-db-url={}", database.url()));
    (database, options)
}

/// Conflicting votes and blocks of all keys, in any order.
fn burst(life: u64, dice: &mut Dice) -> Vec<Slashable> {
    let base = requests::EPOCH + life * (TARGETS + 1);
    let mut duties = Vec::new();
    for number in 0..TARGETS {
        for (key, root) in (0..KEYS).flat_map(|key| (1..=ROOTS).map(move |root| (key, root))) {
            // Some of them surround others.
            let vote = Vote { key, source: base + dice.roll(2), target: base + 1 + number, root };
            duties.push(Slashable::Vote(vote));
            if number % 4 == 0 {
                duties.push(Slashable::Proposal(Proposal { key, slot: base * 32 + number, root }));
            }
        }
    }
    for place in (1..duties.len()).rev() {
        let other = dice.roll(u64::try_from(place).unwrap() + 1);
        duties.swap(place, usize::try_from(other).unwrap());
    }
    duties
}

async fn ask(signer: &Signer, duty: &Slashable) -> (StatusCode, Option<String>) {
    let answer =
        signer.client.sign(&key_files::public_key(duty.key()), &duty.body()).await.unwrap();
    let signature = (answer.status == StatusCode::OK).then(|| answer.signature());
    (answer.status, signature)
}

/// Sends everything at once, kills the signer while answers come in, and tells what had left.
async fn killed_in_a_burst(
    signer: Signer,
    life: u64,
    dice: &mut Dice,
) -> (SignerOptions, Ledger, usize) {
    let mut tasks = Vec::new();
    for duty in burst(life, dice) {
        let client = signer.client.clone();
        tasks.push(tokio::spawn(async move {
            let key = key_files::public_key(duty.key());
            let answer = client.sign(&key, &duty.body()).await.ok()?;
            Some((duty, (answer.status == StatusCode::OK).then(|| answer.signature())))
        }));
    }
    // The first answer says that the burst is under way.
    while !tasks.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
    let options = signer.kill().await.unwrap();
    let (mut released, mut cut_off) = (Ledger::default(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Some((duty, Some(signature))) => released.add(duty, signature),
            Some((_, None)) => {}
            None => cut_off += 1,
        }
    }
    (options, released, cut_off)
}

async fn lives(mut options: SignerOptions, seed: u64) {
    let mut dice = Dice(seed);
    let mut released = Ledger::default();
    let mut cut_off = 0;
    for life in 0..if soak().is_some() { LIVES_OF_A_SOAK } else { LIVES } {
        let signer = options.start().await.unwrap();
        let (left, fresh, cut) = killed_in_a_burst(signer, life, &mut dice).await;
        cut_off += cut;
        let signer = left.start().await.unwrap();
        for (duty, signature) in fresh.iter() {
            let (status, _) = ask(&signer, &duty.conflict()).await;
            assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{duty:?}");
            let (status, again) = ask(&signer, duty).await;
            assert_eq!((status, again.as_ref()), (StatusCode::OK, Some(signature)), "{duty:?}");
        }
        // What was cut off may be on record or not; a second time it must be answered either way.
        released.merge(fresh);
        for duty in burst(life, &mut dice) {
            let (status, signature) = ask(&signer, &duty).await;
            match signature {
                Some(signature) => released.add(duty, signature),
                None => assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{duty:?}"),
            }
        }
        options = signer.kill().await.unwrap();
    }
    assert!(cut_off > 0, "no request was cut off by a kill");
    released.assert_not_slashable();
    released.assert_signed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_bursts_lose_nothing_on_sqlite() {
    lives(SignerOptions::with_interop_keys(KEYS), 0xdead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_bursts_lose_nothing_on_postgres() {
    let (_database, options) = postgres().await;
    lives(options, 0xbeef).await;
}
