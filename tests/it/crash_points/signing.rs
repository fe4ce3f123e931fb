//! A signer that is killed at every point of the way of votes and blocks, on either database.

use std::collections::BTreeSet;

use http::StatusCode;
use midslot_tests::{
    Answer, Ledger, Signer, SignerOptions, Slashable, key_files,
    postgres::PostgresCluster,
    released::{Proposal, Vote},
    requests,
    system_calls::SystemCalls,
};

use super::Sweep;

const KEYS: u64 = 4;
const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

/// The duties of one life: votes and a block of one key, each followed by what conflicts with it,
/// then a vote of every key, to be asked for at once.
struct Work {
    in_turn: Vec<Slashable>,
    at_once: Vec<Slashable>,
}

impl Work {
    /// Each life has epochs of its own.
    fn of_life(life: u64) -> Self {
        let base = requests::EPOCH + life * 4;
        let vote = |key, source, target, root| {
            Slashable::Vote(Vote { key, source: base + source, target: base + target, root })
        };
        let block = Slashable::Proposal(Proposal { key: 0, slot: base * 32, root: 1 });
        let first = vote(0, 1, 2, 1);
        Self {
            in_turn: vec![first, first.conflict(), vote(0, 0, 3, 1), block, block.conflict()],
            at_once: (0..KEYS).map(|key| vote(key, 2, 3, 2)).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Slashable> {
        self.in_turn.iter().chain(&self.at_once)
    }
}

/// The signature, if one came; `None` for a refusal, and for no answer when the signer may die. Asks
/// again where the machine is so busy that the database did not answer in time.
async fn ask(signer: &Signer, duty: &Slashable, may_die: bool) -> Option<String> {
    loop {
        let answer = ask_once(signer, duty, may_die).await?;
        if answer.status != StatusCode::INTERNAL_SERVER_ERROR {
            return (answer.status == OK).then(|| answer.signature());
        }
    }
}

async fn ask_once(signer: &Signer, duty: &Slashable, may_die: bool) -> Option<Answer> {
    match signer.client.sign(&key_files::public_key(duty.key()), &duty.body()).await {
        Ok(answer) => {
            let is_slow = answer.text().contains("did not answer in time");
            let is_expected = [OK, REFUSED].contains(&answer.status) || is_slow;
            assert!(is_expected, "{duty:?}: {} {}", answer.status, answer.text());
            Some(answer)
        }
        Err(error) => {
            assert!(may_die, "{duty:?}: {error:#}\n{}", signer.options.log());
            None
        }
    }
}

async fn work(signer: &Signer, work: &Work) -> Ledger {
    let mut released = Ledger::default();
    for duty in &work.in_turn {
        if let Some(signature) = ask(signer, duty, true).await {
            released.add(*duty, signature);
        }
    }
    let asked = work.at_once.iter().map(|duty| {
        let (client, duty) = (signer.client.clone(), *duty);
        tokio::spawn(async move {
            let key = key_files::public_key(duty.key());
            (duty, client.sign(&key, &duty.body()).await)
        })
    });
    for task in asked.collect::<Vec<_>>() {
        if let (duty, Ok(answer)) = task.await.unwrap()
            && answer.status == OK
        {
            released.add(duty, answer.signature());
        }
    }
    released
}

/// Asks a signer that started again for the work of its last life. What left is signed again and
/// what conflicts is refused; of each of the other duties it or its conflict is signed.
async fn check(signer: &Signer, life: u64, work: &Work, released: &mut Ledger, fresh: Ledger) {
    for (duty, signature) in fresh.iter() {
        assert_eq!(ask(signer, &duty.conflict(), false).await, None, "{duty:?}");
        assert_eq!(ask(signer, duty, false).await.as_ref(), Some(signature), "{duty:?}");
    }
    released.merge(fresh);
    for duty in work.all() {
        let pair = [*duty, duty.conflict()];
        // The one that may be on record first, or the other.
        let order = if life.is_multiple_of(2) { [0, 1] } else { [1, 0] };
        for place in order {
            if let Some(signature) = ask(signer, &pair[place], false).await {
                released.add(pair[place], signature);
            }
        }
    }
    released.assert_not_slashable();
    // Neither the first vote, nor the block, nor a vote of those at once lies around another one.
    for duty in [work.in_turn[0], work.in_turn[3]].iter().chain(&work.at_once[1..]) {
        let is_released = |duty| released.iter().any(|(released, _)| *released == duty);
        assert!(
            is_released(*duty) || is_released(duty.conflict()),
            "nobody may sign {duty:?} any more"
        );
    }
}

/// Kills a signer at each point of these, starting it again on the same records each time. Returns
/// at what it was killed.
async fn sweep(
    options: SignerOptions,
    sweeps: impl IntoIterator<Item = Sweep>,
) -> BTreeSet<String> {
    let mut killed_at = BTreeSet::new();
    let mut released = Ledger::default();
    let (mut options, mut last, mut life) = (options, None, 0);
    for mut sweep in sweeps {
        loop {
            let calls = sweep.watch(&mut options);
            let signer = options.start().await.unwrap();
            let http_port = signer.client.address().port();
            if let Some((work, fresh)) = last.take() {
                check(&signer, life, &work, &mut released, fresh).await;
            }
            life += 1;
            calls.arm();
            let duties = Work::of_life(life);
            let fresh = work(&signer, &duties).await;
            last = Some((duties, fresh));
            options = signer.kill().await.unwrap();
            let Some(point) = calls.killed_at() else { break };
            // The ports of clients are others each time.
            let point = match point.split_once('>') {
                Some((own, _)) if own == format!("send {http_port}") => "send answer".to_owned(),
                Some((_, other)) => format!("send to {other}"),
                None => point,
            };
            killed_at.insert(point);
            sweep.advance();
        }
    }
    SystemCalls::forget(&mut options);
    let signer = options.start().await.unwrap();
    let (work, fresh) = last.unwrap();
    check(&signer, life, &work, &mut released, fresh).await;
    released.assert_signed();
    println!("{life} lives, {} duties released, killed at {killed_at:?}", released.len());
    killed_at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_call_a_signer_on_sqlite_contradicts_nothing() {
    let points = sweep(SignerOptions::with_interop_keys(KEYS), Sweep::all(11, 1)).await;
    for point in [
        "write slashing-protection.sqlite-wal",
        "sync slashing-protection.sqlite-wal",
        "send answer",
    ] {
        assert!(points.contains(point), "never killed at {point}: {points:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_call_a_signer_on_postgres_contradicts_nothing() {
    let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
    let server = PostgresCluster::shared().await.unwrap().address().port();
    let options = SignerOptions::with_interop_keys(KEYS).on_postgres(&database);
    let points = sweep(options, Sweep::all(1, 2)).await;
    for point in [format!("send to {server}"), "send answer".to_owned()] {
        assert!(points.contains(&point), "never killed at {point}: {points:?}");
    }
}
