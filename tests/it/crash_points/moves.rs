//! `migrate` of each kind killed at every point: at no moment do both sides sign, and the same command
//! ends what it began.

use http::StatusCode;
use midslot_tests::{postgres::Web3SignerWorker, signer::Start};

use super::*;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
const KEYS: u64 = 2;
/// Points of a run that is not a soak.
const POINTS: u64 = 5;

/// A signer's folders with a place for records on either side.
struct Pair {
    options: SignerOptions,
    database: TestDatabase,
    /// Where the records are at first.
    source: Backend,
}

impl Pair {
    /// With a history on the source, known to the markers in the folders.
    async fn new(source: Backend) -> Self {
        let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
        let mut pair = Self { options: SignerOptions::with_interop_keys(KEYS), database, source };
        pair.use_side(source);
        let path = pair.options.folder.path().join("history.json");
        std::fs::write(&path, interchange(0..KEYS, 100..104)).unwrap();
        let from = format!("--from={}", path.display());
        let ended = command(&pair.options, &["import", &from]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        let password = pair.options.folder.path().join("password");
        std::fs::write(password, pair.database.password()).unwrap();
        pair
    }

    fn target(&self) -> Backend {
        match self.source {
            Backend::Sqlite => Backend::Postgres,
            Backend::Postgres => Backend::Sqlite,
        }
    }

    /// Lets the signer use this side from now on.
    fn use_side(&mut self, side: Backend) {
        self.options.eth2.clear();
        if side == Backend::Postgres {
            let url = format!("--slashing-protection-db-url={}", self.database.url());
            self.options.eth2.push(url);
        }
    }

    fn words(&self) -> Vec<String> {
        let file = self.options.data_folder().join("slashing-protection.sqlite");
        let folder = self.options.folder.path().display();
        let (sqlite, postgres) = (file.display().to_string(), self.database.jdbc_url());
        let (name, from, to) = match self.source {
            Backend::Sqlite => ("sqlite-to-postgres", sqlite, postgres),
            Backend::Postgres => ("postgres-to-sqlite", postgres, sqlite),
        };
        vec![
            "migrate".to_owned(),
            name.to_owned(),
            format!("--from={from}"),
            format!("--to={to}"),
            format!("--username={}", self.database.role()),
            format!("--password-file={folder}/password"),
        ]
    }

    async fn run(&mut self, sweep: Option<&mut Sweep>) -> Option<String> {
        self.options.eth2.clear();
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(sweep) = sweep {
            return sweep.run(&mut self.options, &words).await;
        }
        let ended = command(&self.options, &words).await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        None
    }

    /// Starts the signer on this side, without any confirmation, and asks for a vote of each key for this
    /// target: whether they were signed. `false` also when it does not start.
    async fn signs(&mut self, side: Backend, target: u64) -> bool {
        self.use_side(side);
        let options = std::mem::replace(&mut self.options, SignerOptions::empty());
        let signer = match options.start_or_end().await.unwrap() {
            Start::Serves(signer) => signer,
            Start::Ended(options, status) => {
                assert_eq!(status.code(), Some(1), "{}", options.log());
                self.options = options;
                return false;
            }
        };
        let mut signed = Vec::new();
        for key in 0..KEYS {
            let vote = requests::attestation(target - 1, target, 1);
            let answer = signer.client.sign(&key_files::public_key(key), &vote).await.unwrap();
            assert!([OK, REFUSED].contains(&answer.status), "{}", answer.text());
            signed.push(answer.status == OK);
        }
        self.options = signer.kill().await.unwrap();
        assert_eq!(signed, vec![signed[0]; signed.len()], "one key moved and the other did not");
        signed[0]
    }
}

async fn one_side_signs_at_most(source: Backend) {
    let mut whole = Pair::new(source).await;
    let words = whole.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    whole.options.eth2.clear();
    let calls = calls_of(&mut whole.options, &words).await;

    let mut sweep = Sweep::of_any(calls, POINTS);
    let (mut source_signs, mut nobody_signs, mut target_signs) = (0, 0, 0);
    loop {
        let mut pair = Pair::new(source).await;
        let target = pair.target();
        let killed_at = pair.run(Some(&mut sweep)).await;
        // One epoch each, so that one side does not stop the other by its record.
        let on_source = pair.signs(source, 110).await;
        let on_target = pair.signs(target, 111).await;
        assert!(!(on_source && on_target), "both sides sign after a kill at {killed_at:?}");
        match (on_source, on_target) {
            (true, _) => source_signs += 1,
            (_, true) => target_signs += 1,
            _ => nobody_signs += 1,
        }
        if killed_at.is_none() {
            assert!(on_target, "moved, and nobody signs");
            break;
        }
        pair.run(None).await;
        let context =
            format!("after a kill at {killed_at:?}, where the source signed: {on_source}");
        assert!(!pair.signs(source, 112).await, "{context}");
        assert!(pair.signs(target, 113).await, "{context}");
        // What left on either side is known: nothing around it is signed.
        assert!(pair.signs(target, 114).await, "{context}");
        if on_source {
            assert!(!surround_is_signed(&mut pair, target, (108, 120)).await, "{context}");
        }
    }
    println!(
        "from {source:?}: {source_signs} points where the source signs, {nobody_signs} where nobody \
         does, {target_signs} where the target does"
    );
    assert!(source_signs > 0 && target_signs > 0);
}

/// Whether a vote around the one for target 110 is signed on this side.
async fn surround_is_signed(pair: &mut Pair, side: Backend, (from, to): (u64, u64)) -> bool {
    pair.use_side(side);
    let options = std::mem::replace(&mut pair.options, SignerOptions::empty());
    let signer = options.start().await.unwrap();
    let vote = requests::attestation(from, to, 1);
    let answer = signer.client.sign(&key_files::public_key(0), &vote).await.unwrap();
    let double = requests::attestation(109, 110, 2);
    let double = signer.client.sign(&key_files::public_key(0), &double).await.unwrap();
    pair.options = signer.kill().await.unwrap();
    answer.status == OK || double.status == OK
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
            open += 1
        } else {
            fenced += 1
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
