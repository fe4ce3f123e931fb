//! The log of a SQLite database (its `-wal` file) that a crash of the machine has cut, zeroed or
//! garbled. SQLite takes what is whole of it for the database: an older one. Where the marker in the key
//! folder remembers more, nothing is signed on it. Where it does not yet, because the crash came within
//! seconds, what was on record before is still known.

use std::{
    fs,
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions, key_files, requests,
    signer::Start,
    system_calls::{Kill, Kind, Moment, SystemCalls, Watch},
};

const DATABASE: &str = "slashing-protection.sqlite";
const MARKER: &str = ".midslot-slashing-protection";
/// Bytes before the first frame of a log, and before the page in each frame (SQLite's file format, 4.1
/// and 4.2).
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4_096;
/// Votes before the signer rests, and before it crashes at the latest.
const EARLY: u64 = 3;
const LAST: u64 = 15;
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of the log from some byte on.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// It ends there.
    Cut,
    /// All of it is zero.
    Zeroed,
    /// One bit there is another one.
    Flipped,
}

/// `None` when the signer is gone.
async fn status(signer: &Signer, target: u64, root: u8) -> Option<StatusCode> {
    let vote = requests::attestation(target - 1, target, root);
    let answer = signer.client.sign(&key_files::public_key(0), &vote).await.ok()?;
    Some(answer.status)
}

/// What a crash left: votes for the targets from 1 on, the later ones in the log alone.
struct Crash {
    options: SignerOptions,
    database: Vec<u8>,
    log: Vec<u8>,
    /// The marker that was there, which knows of the votes up to [`EARLY`].
    early_marker: Vec<u8>,
    /// One that knows of all votes, as a signer that is never idle writes it.
    full_marker: Vec<u8>,
    last_target: u64,
}

async fn crash() -> Crash {
    let mut options = SignerOptions::with_interop_keys(1);
    // At the first page that is brought from the log to the database.
    let kill = Kill { at: 1, moment: Moment::Before, kind: Some(Kind::Write), on: Some(DATABASE) };
    let calls = SystemCalls::watch(&mut options, &Watch { kill: Some(kill), with_bytes: false });
    let signer = options.start().await.unwrap();
    for target in 1..=EARLY {
        assert_eq!(status(&signer, target, 1).await.unwrap(), StatusCode::OK);
    }
    let marker = signer.options.data_folder().join(MARKER);
    let start = Instant::now();
    while !fs::read_to_string(&marker).unwrap().contains(&format!("batches: {EARLY}\n")) {
        assert!(start.elapsed() < PATIENCE, "the marker never knew of the votes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    calls.arm();
    let mut last_target = EARLY;
    while last_target < LAST
        && let Some(status) = status(&signer, last_target + 1, 1).await
    {
        assert_eq!(status, StatusCode::OK);
        last_target += 1;
    }
    // It rests, and begins to bring them over.
    let (code, mut options) = signer.ended().await.unwrap();
    assert_eq!(code, None, "{}", options.log());
    assert!(calls.killed_at().is_some());
    SystemCalls::forget(&mut options);
    let file = options.data_folder().join(DATABASE);
    let database = fs::read(&file).unwrap();
    let log = fs::read(file.with_extension("sqlite-wal")).unwrap();
    let early_marker = fs::read(&marker).unwrap();
    // An orderly stop writes what a signer without rest writes every minute.
    let (code, options) = options.start().await.unwrap().stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    let full_marker = fs::read(&marker).unwrap();
    assert_ne!(early_marker, full_marker);
    Crash { options, database, log, early_marker, full_marker, last_target }
}

/// How many of the votes, from the first on, a signer on these files knows; `None` when it refuses to
/// start because records are missing. A vote behind one that is lost must be lost, too.
async fn known(crash: Crash, log: &[u8], marker: &[u8], context: &str) -> (Crash, Option<u64>) {
    let folder = crash.options.data_folder();
    fs::write(folder.join(DATABASE), &crash.database).unwrap();
    fs::write(folder.join(format!("{DATABASE}-wal")), log).unwrap();
    fs::write(folder.join(MARKER), marker).unwrap();
    fs::write(crash.options.key_folder().join(MARKER), marker).unwrap();
    let before = crash.options.log().len();
    match crash.options.start_or_end().await.unwrap() {
        Start::Ended(options, status) => {
            let said = options.log().split_off(before);
            assert_eq!(status.code(), Some(1), "{context}: {said}");
            assert!(said.contains("older copy"), "{context}: {said}");
            (Crash { options, ..crash }, None)
        }
        Start::Serves(signer) => {
            let mut known = 0;
            for target in 1..=crash.last_target {
                // The other root first: it is signed only where nothing is on record.
                let other = status(&signer, target, 2).await.unwrap();
                if other == StatusCode::OK {
                    break;
                }
                assert_eq!(other, StatusCode::PRECONDITION_FAILED, "{context}");
                let same = status(&signer, target, 1).await.unwrap();
                assert_eq!(same, StatusCode::OK, "{context}, target {target}");
                known = target;
            }
            (Crash { options: signer.kill().await.unwrap(), ..crash }, Some(known))
        }
    }
}

fn damaged(log: &[u8], damage: Damage, place: usize) -> Vec<u8> {
    let mut log = log.to_owned();
    match damage {
        Damage::Cut => log.truncate(place),
        Damage::Zeroed => log[place..].fill(0),
        Damage::Flipped => log[place] ^= 0x10,
    }
    log
}

#[tokio::test]
async fn damaged_log_is_refused_as_an_older_copy_and_loses_nothing_that_was_noted() {
    let mut crash = crash().await;
    let last = crash.last_target;
    let log = crash.log.clone();
    let frames = (log.len() - LOG_HEADER) / (FRAME_HEADER + PAGE);
    let frame = |number: usize| LOG_HEADER + number * (FRAME_HEADER + PAGE);
    let mut places = vec![0, 12, log.len() - 1];
    for number in [0, frames / 3, frames - 1] {
        // In its header, in its checksum, in its page.
        places.extend(
            [5, FRAME_HEADER - 1, FRAME_HEADER + PAGE / 2].map(|byte| frame(number) + byte),
        );
    }
    let (mut refused, mut whole, mut less) = (0, 0, 0);
    for damage in [Damage::Cut, Damage::Zeroed, Damage::Flipped] {
        for &place in &places {
            let context = format!("{damage:?} at byte {place} of {}", log.len());
            let bad_log = damaged(&log, damage, place);
            let full_marker = crash.full_marker.clone();
            let found;
            (crash, found) = known(crash, &bad_log, &full_marker, &context).await;
            match found {
                None => refused += 1,
                Some(found) => {
                    assert_eq!(found, last, "started although votes are lost: {context}");
                    whole += 1;
                }
            }
            // Once per place is enough: what the marker does not know, nobody can refuse.
            if matches!(damage, Damage::Zeroed) {
                let early_marker = crash.early_marker.clone();
                let found;
                (crash, found) = known(crash, &bad_log, &early_marker, &context).await;
                let found = found.expect("a marker that knows of no more lets it start");
                assert!(found >= EARLY, "a vote that the marker knew is lost: {context}");
                less += u32::from(found < last);
            }
        }
    }
    // As it was, and with rubbish behind its end.
    for rubbish in [0, 1, FRAME_HEADER + PAGE] {
        let log = [&log[..], &vec![0xa5; rubbish]].concat();
        let full_marker = crash.full_marker.clone();
        let found;
        (crash, found) = known(crash, &log, &full_marker, "rubbish at the end").await;
        assert_eq!(found, Some(last), "{rubbish} bytes of rubbish");
    }
    println!(
        "{last} votes, {frames} frames: {refused} starts refused, {whole} with every vote; without \
         the marker's word {less} starts on less"
    );
    assert!(refused > 0 && less > 0, "{refused} refused, {less} on less");
}
