//! `migrate` of each kind killed at every point: at no moment do both sides sign, and the same command
//! ends what it began.

use http::StatusCode;
use midslot_tests::postgres::Web3SignerWorker;

use super::{
    pair::{Pair, Sides},
    *,
};

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
/// Points of a run that is not a soak.
const POINTS: u64 = 5;

async fn one_side_signs_at_most(source: Backend) {
    let mut whole = Pair::new(source).await;
    let words = whole.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    whole.options.eth2.clear();
    let calls = calls_of(&mut whole.options, &words).await;

    let mut sweep = Sweep::of_any(calls, POINTS);
    let mut sides = Sides::default();
    loop {
        let mut pair = Pair::new(source).await;
        let killed_at = pair.run(&mut sweep).await;
        if killed_at.is_none() {
            pair.check(true, &mut sides, "moved").await;
            break;
        }
        pair.check(false, &mut sides, &format!("killed at {killed_at:?}")).await;
    }
    println!("from {source:?}: {sides:?}");
    assert!(sides.source > 0 && sides.target > 1, "{sides:?}");
}

#[tokio::test]
async fn move_to_postgres_killed_at_any_call_leaves_one_side_that_signs() {
    one_side_signs_at_most(Backend::Sqlite).await;
}

#[tokio::test]
async fn move_to_sqlite_killed_at_any_call_leaves_one_side_that_signs() {
    one_side_signs_at_most(Backend::Postgres).await;
}

/// Web3Signer's database with one key that has voted 5 -> 6.
async fn web3signer() -> (TestDatabase, Web3SignerWorker, i32) {
    let cluster = PostgresCluster::shared().await.unwrap();
    let database = cluster.web3signer_database(12).await.unwrap();
    let mut worker = Web3SignerWorker::start(&database, 12).await.unwrap();
    let chain = const_hex::decode(requests::GENESIS_VALIDATORS_ROOT).unwrap();
    assert!(worker.pin_network(&chain.try_into().unwrap()).await.unwrap());
    let key = const_hex::decode(key_files::public_key(0)).unwrap();
    let id = worker.register(&key).await.unwrap();
    assert!(worker.may_attest(id, (5, 6), &[7; 32]).await.unwrap());
    (database, worker, id)
}

fn from_web3signer(options: &SignerOptions, source: &TestDatabase) -> Vec<String> {
    let password = options.folder.path().join("web3signer.password");
    std::fs::write(&password, source.password()).unwrap();
    vec![
        "migrate".to_owned(),
        "from-web3signer".to_owned(),
        format!("--url={}", source.jdbc_url()),
        format!("--username={}", source.role()),
        format!("--password-file={}", password.display()),
    ]
}

async fn status(signer: &midslot_tests::Signer, (from, to): (u64, u64)) -> StatusCode {
    let vote = requests::attestation(from, to, 1);
    signer.client.sign(&key_files::public_key(0), &vote).await.unwrap().status
}

#[tokio::test]
async fn move_from_web3signer_killed_at_any_call_ends_or_is_undone() {
    let (source, _, _) = web3signer().await;
    let mut options = SignerOptions::with_interop_keys(1);
    let words = from_web3signer(&options, &source);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let calls = calls_of(&mut options, &words).await;

    let mut sweep = Sweep::of_any(calls, 2 * POINTS);
    let (mut open, mut fenced, mut undone) = (0, 0, 0);
    for undo in [false, true].into_iter().cycle() {
        let (source, mut worker, id) = web3signer().await;
        let mut options = SignerOptions::with_interop_keys(1);
        let words = from_web3signer(&options, &source);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let killed_at = sweep.run(&mut options, &words).await;
        // A signature of Web3Signer that it is about to release.
        let web3signer_signs = worker.may_attest(id, (6, 7), &[7; 32]).await.unwrap();
        if killed_at.is_none() {
            assert!(!web3signer_signs);
            break;
        }
        let context = format!("killed at {killed_at:?}");
        // Where our database knows the key at all, it signs only after the fence.
        let ended = command(&options, &["export", "--to=-"]).await;
        let ours_knows = ended.code == Some(0) && ended.output.contains(&key_files::public_key(0));
        if web3signer_signs {
            open += 1;
        } else {
            fenced += 1;
        }
        if undo && !web3signer_signs {
            let ended = command(&options, &[&words[..], &["--undo"]].concat()).await;
            assert_eq!(ended.code, Some(0), "{context}: {}", ended.output);
            let mut worker = Web3SignerWorker::start(&source, 12).await.unwrap();
            assert!(worker.may_attest(id, (6, 7), &[7; 32]).await.unwrap(), "{context}");
            let signer = options.start().await.unwrap();
            assert_eq!(status(&signer, (30, 31)).await, REFUSED, "both sign, {context}");
            undone += 1;
            continue;
        }
        if ours_knows {
            let signer = options.start().await.unwrap();
            let signs = status(&signer, (20, 21)).await == OK;
            assert!(!(signs && web3signer_signs), "both sign, {context}");
            options = signer.kill().await.unwrap();
        }
        let ended = command(&options, &words).await;
        assert_eq!(ended.code, Some(0), "{context}: {}", ended.output);
        assert!(!worker.may_attest(id, (8, 9), &[7; 32]).await.unwrap(), "{context}");
        let signer = options.start().await.unwrap();
        for (vote, wanted) in [((5, 6), REFUSED), ((4, 40), REFUSED), ((40, 41), OK)] {
            assert_eq!(status(&signer, vote).await, wanted, "{vote:?}, {context}");
        }
        if web3signer_signs {
            assert_eq!(status(&signer, (6, 7)).await, REFUSED, "{context}");
        }
    }
    println!("killed {open} times before the fence, {fenced} times after it, {undone} undone");
    assert!(open > 0 && fenced > undone && undone > 0, "{open} before, {fenced} after the fence");
}
