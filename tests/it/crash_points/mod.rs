//! `kill -9` at every single system call that changes a file or sends bytes, one after the other,
//! until the work runs through without one. `tests/src/system_calls` is the knife.

#![expect(clippy::print_stdout, reason = "what a sweep came to is read in its output")]

mod import;
mod lost_answers;
mod moves;
mod pair;

mod pruning;
mod signing;
mod start;

use std::ops::Range;

use midslot_tests::{
    SignerOptions, key_files,
    postgres::{PostgresCluster, TestDatabase},
    requests,
    signer::Ended,
    soak,
    system_calls::{Kill, Kind, Moment, SystemCalls, Watch},
};
use serde_json::{Value, json};

/// How many calls that change something a command makes.
async fn calls_of(options: &mut SignerOptions, words: &[&str]) -> usize {
    let calls = SystemCalls::watch(options, &Watch::default());
    let ended = command(options, words).await;
    SystemCalls::forget(options);
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    calls.records().len()
}

/// Where the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

/// A signer's folders with keys, on an empty database of this kind, which lives as long as the second
/// value.
async fn folders(backend: Backend, keys: u64) -> (SignerOptions, Option<TestDatabase>) {
    let options = SignerOptions::with_interop_keys(keys);
    match backend {
        Backend::Sqlite => (options, None),
        Backend::Postgres => {
            let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
            (options.on_postgres(&database), Some(database))
        }
    }
}

/// Runs a command behind `eth2`.
async fn command(options: &SignerOptions, words: &[&str]) -> Ended {
    options.run_command(words).await.unwrap()
}

/// What a database holds, by the signer's own export.
async fn export(options: &SignerOptions) -> Value {
    let path = options.folder.path().join("export.json");
    let ended = command(options, &["export", &format!("--to={}", path.display())]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// An interchange file of interop keys: votes for the targets, each from the epoch before, and a block
/// in the first slot of each.
fn interchange(keys: Range<u64>, targets: Range<u64>) -> String {
    let entry = |key: u64| {
        let votes: Vec<_> = targets
            .clone()
            .map(|target| {
                json!({ "source_epoch": (target - 1).to_string(),
                        "target_epoch": target.to_string(), "signing_root": requests::root(7) })
            })
            .collect();
        let block = |target: u64| json!({ "slot": (target * 32).to_string() });
        json!({ "pubkey": key_files::public_key(key), "signed_attestations": votes,
                "signed_blocks": targets.clone().map(block).collect::<Vec<_>>() })
    };
    json!({
        "metadata": { "interchange_format_version": "5",
                      "genesis_validators_root": requests::GENESIS_VALIDATORS_ROOT },
        "data": keys.map(entry).collect::<Vec<_>>(),
    })
    .to_string()
}

/// Points of one kind of call, or of any, from the first on.
struct Sweep {
    kind: Option<Kind>,
    moment: Moment,
    /// From one point to the next; a soak takes every one.
    step: u64,
    /// From here on every point is taken.
    every_from: u64,
    at: u64,
}

impl Sweep {
    fn new(kind: Option<Kind>, moment: Moment, step: u64) -> Self {
        let step = if soak().is_some() { 1 } else { step };
        Self { kind, moment, step, every_from: u64::MAX, at: 1 }
    }

    /// Of any call, for work that is long: `points` of about `calls`, and all of the last few, where
    /// such work comes into force.
    fn of_any(calls: usize, points: u64) -> Self {
        const LAST: u64 = 6;
        let every_from = u64::try_from(calls).unwrap().saturating_sub(LAST);
        let sweep = Self::new(None, Moment::Before, (every_from / points).max(1));
        Self { every_from, ..sweep }
    }

    /// Goes on to the next point.
    fn advance(&mut self) {
        let next = (self.at + self.step).min(self.every_from);
        self.at = next.max(self.at + 1);
    }

    /// Of everything that changes what others find, with steps for what is many.
    fn all(writes: u64, sends: u64) -> [Self; 8] {
        [
            Self::new(Some(Kind::Write), Moment::Before, writes),
            Self::new(Some(Kind::Write), Moment::Half, writes),
            Self::new(Some(Kind::Sync), Moment::Before, 1),
            Self::new(Some(Kind::Sync), Moment::After, 1),
            Self::new(Some(Kind::Send), Moment::Before, sends),
            Self::new(Some(Kind::Send), Moment::Half, sends),
            Self::new(Some(Kind::Cut), Moment::Before, 1),
            Self::new(Some(Kind::Rename), Moment::Before, 1),
        ]
    }

    /// Runs a command that is killed at this point, and goes on to the next one. Returns at what it was
    /// killed, `None` when it ran through.
    async fn run(&mut self, options: &mut SignerOptions, words: &[&str]) -> Option<String> {
        let calls = self.watch(options);
        calls.arm();
        let ended = command(options, words).await;
        SystemCalls::forget(options);
        self.advance();
        let killed_at = calls.killed_at();
        let wanted = if killed_at.is_some() { None } else { Some(0) };
        assert_eq!(ended.code, wanted, "{}", ended.output);
        killed_at
    }

    fn as_watch(&self) -> Watch {
        let kill = Kill { at: self.at, moment: self.moment, kind: self.kind, on: None };
        Watch { kill: Some(kill), with_bytes: false }
    }

    fn watch(&self, options: &mut SignerOptions) -> SystemCalls {
        SystemCalls::watch(options, &self.as_watch())
    }
}
