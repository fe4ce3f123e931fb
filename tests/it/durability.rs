//! On SQLite no signature leaves before its record is on disk: shown by the signer's own system calls,
//! in their order. (PostgreSQL counts its syncs itself: `both_databases/gates`.)

use http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions, Slashable, key_files,
    released::{Proposal, Vote},
    requests,
    system_calls::{Kind, Record, SystemCalls, Watch},
};
use tokio::task::JoinSet;

const WAL: &str = "slashing-protection.sqlite-wal";
const DATABASE: &str = "slashing-protection.sqlite";
const KEYS: u64 = 50;

async fn sign(signer: &Signer, duty: Slashable) -> (Slashable, String) {
    let key = key_files::public_key(duty.key());
    let answer = signer.client.sign(&key, &duty.body()).await.unwrap();
    (duty, answer.signature())
}

/// Signs one after the other, then a vote of every key at once, then repeats.
async fn released(signer: &Signer) -> Vec<(Slashable, String)> {
    let mut released = Vec::new();
    for number in 0..10 {
        let vote = Vote { key: 0, source: 10 + number, target: 11 + number, root: 1 };
        released.push(sign(signer, Slashable::Vote(vote)).await);
        let proposal = Proposal { key: 0, slot: 500 + number, root: 1 };
        released.push(sign(signer, Slashable::Proposal(proposal)).await);
    }
    let mut tasks = JoinSet::new();
    for key in 0..KEYS {
        for duty in [
            Slashable::Vote(Vote { key, source: 30, target: 31, root: 1 }),
            Slashable::Proposal(Proposal { key, slot: 900, root: 1 }),
        ] {
            let client = signer.client.clone();
            tasks.spawn(async move {
                let key = key_files::public_key(duty.key());
                (duty, client.sign(&key, &duty.body()).await.unwrap().signature())
            });
        }
    }
    released.extend(tasks.join_all().await);
    released
}

/// Where a signature left although its record was not known to be on disk: the record is written
/// first, then the log of the database (or the database itself) is synced, then the answer is sent.
fn unprotected(records: &[Record], released: &[(Slashable, String)]) -> Option<String> {
    released.iter().find_map(|(duty, signature)| {
        let root = duty.signing_root();
        let is_file = |record: &Record| [WAL, DATABASE].contains(&record.on.as_str());
        let written = records.iter().position(|record| {
            record.kind == Kind::Write && is_file(record) && record.holds(&root)
        });
        let Some(written) = written else { return Some(format!("{duty:?} was never written")) };
        let file = &records[written].on;
        let synced = records[written..]
            .iter()
            .position(|record| record.kind == Kind::Sync && record.on == *file);
        let Some(synced) = synced else { return Some(format!("{duty:?} was never synced")) };
        let sent = records
            .iter()
            .position(|record| record.kind == Kind::Send && record.holds(signature.as_bytes()));
        let Some(sent) = sent else { return Some(format!("{duty:?} was never sent")) };
        (sent <= written + synced).then(|| {
            format!("{duty:?}: written {written}, synced {}, sent {sent}", written + synced)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_sent_after_its_record_was_written_and_synced() {
    let mut options = SignerOptions::with_interop_keys(KEYS);
    let calls = SystemCalls::watch(&mut options, &Watch { with_bytes: true, kill: None });
    let signer = options.start().await.unwrap();
    let released = released(&signer).await;
    let (code, _options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0));

    let records = calls.records();
    assert_eq!(unprotected(&records, &released), None);

    // The judge would notice a sync that is missing, or one that comes too late.
    let mut without_syncs = records.clone();
    without_syncs.retain(|record| record.kind != Kind::Sync);
    assert!(unprotected(&without_syncs, &released).is_some());
    let signature = released[5].1.as_bytes();
    let sent = records.iter().position(|record| record.holds(signature)).unwrap();
    let is_late = |place: usize, record: &Record| record.kind == Kind::Sync && place < sent;
    let late = records.iter().enumerate().filter(|(place, record)| !is_late(*place, record));
    let late: Vec<_> = late.map(|(_, record)| record.clone()).collect();
    assert!(unprotected(&late, &released).is_some());
}

/// Votes that are asked for while so many others wait.
async fn votes(signer: &Signer, keys: u64, first_target: u64, count: u64, at_once: u64) {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        if number >= at_once {
            tasks.join_next().await.unwrap().unwrap();
        }
        let target = first_target + number / keys;
        let client = signer.client.clone();
        tasks.spawn(async move {
            let body = requests::attestation(target - 1, target, 1);
            let key = key_files::public_key(number % keys);
            let answer = client.sign(&key, &body).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_that_wait_together_share_a_sync() {
    const VOTES: u64 = 500;
    const MANY_KEYS: u64 = 250;
    let mut options = SignerOptions::with_interop_keys(MANY_KEYS);
    let calls = SystemCalls::watch(&mut options, &Watch::default());
    let signer = options.start().await.unwrap();
    let syncs = || {
        let is_sync = |record: &Record| record.kind == Kind::Sync;
        calls.records().into_iter().filter(is_sync).count() as u64
    };
    let mut target = 10;
    for at_once in [1, 50, 250] {
        let before = syncs();
        votes(&signer, MANY_KEYS, target, VOTES, at_once).await;
        target += VOTES / MANY_KEYS;
        let taken = syncs() - before;
        println!("{at_once} waiting: {} syncs for 1,000 votes", taken * 1_000 / VOTES);
        if at_once == 1 {
            assert!(taken >= VOTES, "{taken} syncs for {VOTES} votes, one after the other");
        } else {
            assert!(taken < VOTES, "{taken} syncs for {VOTES} votes, {at_once} waiting");
        }
    }
}
