//! A signer whose records go from one database to the other, and what must hold of both whatever
//! stopped the move.

use std::net::SocketAddr;

use http::StatusCode;
use midslot_tests::signer::Start;

use super::*;

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
const KEYS: u64 = 2;

/// After how many interruptions which side signed.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub(super) source: u32,
    pub(super) nobody: u32,
    pub(super) target: u32,
}

/// A signer's folders with a place for records on either side.
pub(super) struct Pair {
    pub(super) options: SignerOptions,
    pub(super) database: TestDatabase,
    server: SocketAddr,
    /// Where the records are at first.
    source: Backend,
}

impl Pair {
    /// With a history on the source, known to the markers in the folders.
    pub(super) async fn new(source: Backend) -> Self {
        let cluster = PostgresCluster::shared().await.unwrap();
        let database = cluster.database().await.unwrap();
        let options = SignerOptions::with_interop_keys(KEYS);
        let mut pair = Self { options, database, server: cluster.address(), source };
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

    /// Where the server listens.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
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

    pub(super) fn words(&self) -> Vec<String> {
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

    /// Runs the move until it is killed at a point.
    pub(super) async fn run(&mut self, sweep: &mut Sweep) -> Option<String> {
        self.options.eth2.clear();
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        sweep.run(&mut self.options, &words).await
    }

    /// Runs the move as it is given, with the server at another address if there is one.
    pub(super) async fn run_plainly(&mut self, proxy: Option<SocketAddr>) -> Ended {
        self.options.eth2.clear();
        let mut words = self.words();
        if let Some(address) = proxy {
            let (direct, over) = (self.database.jdbc_url(), self.database.jdbc_url_at(address));
            for word in &mut words {
                *word = word.replace(&direct, &over);
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        command(&self.options, &words).await
    }

    /// After a move that ended, or that something stopped: at most one side signs. Then the same
    /// command ends it, the target signs and the source does not, and what left before is known.
    pub(super) async fn check(&mut self, is_done: bool, sides: &mut Sides, context: &str) {
        let (source, target) = (self.source, self.target());
        // One epoch each, so that one side does not stop the other by its record.
        let on_source = self.signs(source, 110).await;
        let on_target = self.signs(target, 111).await;
        assert!(!(on_source && on_target), "both sides sign: {context}");
        assert!(on_target || !is_done, "nobody signs: {context}");
        *match (on_source, on_target) {
            (true, _) => &mut sides.source,
            (_, true) => &mut sides.target,
            _ => &mut sides.nobody,
        } += 1;
        if !is_done {
            let ended = self.run_plainly(None).await;
            assert_eq!(ended.code, Some(0), "{context}: {}", ended.output);
        }
        assert!(!self.signs(source, 112).await, "{context}; the source signed: {on_source}");
        assert!(self.signs(target, 113).await, "{context}; the source signed: {on_source}");
        if on_source {
            assert!(!self.contradicts_110(target).await, "{context}");
        }
    }

    /// Whether a vote beside or around the one for target 110 is signed on this side.
    async fn contradicts_110(&mut self, side: Backend) -> bool {
        self.use_side(side);
        let options = std::mem::replace(&mut self.options, SignerOptions::empty());
        let signer = options.start().await.unwrap();
        let mut is_signed = false;
        for (source, target, root) in [(109, 110, 2), (108, 120, 1)] {
            let vote = requests::attestation(source, target, root);
            let answer = signer.client.sign(&key_files::public_key(0), &vote).await.unwrap();
            is_signed |= answer.status == OK;
        }
        self.options = signer.kill().await.unwrap();
        is_signed
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
        let mut votes = Vec::new();
        for key in 0..KEYS {
            let vote = requests::attestation(target - 1, target, 1);
            let answer = signer.client.sign(&key_files::public_key(key), &vote).await.unwrap();
            assert!([OK, REFUSED].contains(&answer.status), "{}", answer.text());
            votes.push(answer.status == OK);
        }
        self.options = signer.kill().await.unwrap();
        assert_eq!(votes, vec![votes[0]; votes.len()], "one key moved and the other did not");
        votes[0]
    }
}
