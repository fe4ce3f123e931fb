//! The log of a SQLite database (its `-wal` file) that a crash of the machine has cut, zeroed or
//! garbled. SQLite takes what is whole of it for the database: an older one. The marker in the key
//! folder remembers more, so that nothing is signed on it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use http::StatusCode;
use midslot_tests::{Signer, SignerOptions, key_files, requests, signer::Start};

const DATABASE: &str = "slashing-protection.sqlite";
const MARKER: &str = ".midslot-slashing-protection";
/// Bytes before the first frame of a log, and before the page in each frame (SQLite's file format, 4.1
/// and 4.2).
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4_096;
/// Votes of the life that ends with the crash.
const VOTES: u64 = 12;
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

async fn status(signer: &Signer, target: u64, root: u8) -> StatusCode {
    let vote = requests::attestation(target - 1, target, root);
    signer.client.sign(&key_files::public_key(0), &vote).await.unwrap().status
}

/// A signer that has signed votes, whose marker knows of all of them, killed; with its files.
async fn crashed() -> (SignerOptions, [Vec<u8>; 3]) {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    for target in 1..=VOTES {
        assert_eq!(status(&signer, target, 1).await, StatusCode::OK);
    }
    let marker = signer.options.data_folder().join(MARKER);
    let start = Instant::now();
    while !fs::read_to_string(&marker).unwrap().contains(&format!("batches: {VOTES}\n")) {
        assert!(start.elapsed() < PATIENCE, "the marker never knew of all votes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let options = signer.kill().await.unwrap();
    let read = |path: &Path| fs::read(path).unwrap();
    let database = options.data_folder().join(DATABASE);
    let files = [read(&database), read(&database.with_extension("sqlite-wal")), read(&marker)];
    (options, files)
}

/// Starts a signer on these files. On a database that is not whole it must end, with a reason; else
/// every vote is known. Tells which of both.
async fn starts(
    options: SignerOptions,
    [database, log, marker]: &[Vec<u8>; 3],
    context: &str,
) -> (SignerOptions, bool) {
    let folder = options.data_folder();
    for (name, bytes) in [(DATABASE, database), (&format!("{DATABASE}-wal"), log)] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join(MARKER), marker).unwrap();
    fs::write(options.key_folder().join(MARKER), marker).unwrap();
    let before = options.log().len();
    match options.start_or_end().await.unwrap() {
        Start::Serves(signer) => {
            for target in 1..=VOTES {
                let known = [status(&signer, target, 2).await, status(&signer, target, 1).await];
                let wanted = [StatusCode::PRECONDITION_FAILED, StatusCode::OK];
                assert_eq!(known, wanted, "{context}, target {target}");
            }
            (signer.kill().await.unwrap(), true)
        }
        Start::Ended(options, status) => {
            assert_eq!(status.code(), Some(1), "{context}");
            let said = options.log().split_off(before);
            let reasons = ["older copy", "is missing", "malformed", "not a database"];
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{context}: {said}");
            (options, false)
        }
    }
}

#[tokio::test]
async fn damaged_log_is_refused_as_an_older_copy() {
    let (mut options, files) = crashed().await;
    let [database, log, marker] = &files;
    let frames = (log.len() - LOG_HEADER) / (FRAME_HEADER + PAGE);
    assert!(frames > 20, "{frames} frames in the log");
    let frame = |number: usize| LOG_HEADER + number * (FRAME_HEADER + PAGE);
    let mut places = vec![0, 12, LOG_HEADER / 2, log.len() - 1];
    for number in [0, 1, frames / 3, frames / 2, frames - 2, frames - 1] {
        // In its header, in its checksum, in its page.
        places.extend(
            [0, 10, FRAME_HEADER - 1, FRAME_HEADER, FRAME_HEADER + PAGE / 2]
                .map(|byte| frame(number) + byte),
        );
    }
    let (mut refused, mut whole) = (0, 0);
    for damage in [Damage::Cut, Damage::Zeroed, Damage::Flipped] {
        for &place in &places {
            let mut log = log.clone();
            match damage {
                Damage::Cut => log.truncate(place),
                Damage::Zeroed => log[place..].fill(0),
                Damage::Flipped => log[place] ^= 0x10,
            }
            let context = format!("{damage:?} at byte {place} of {}", files[1].len());
            let files = [database.clone(), log, marker.clone()];
            let started;
            (options, started) = starts(options, &files, &context).await;
            if started {
                whole += 1
            } else {
                refused += 1
            }
            let is_early = place < frame(frames / 3 + 1);
            assert!(!(started && is_early), "started although records are gone: {context}");
        }
    }
    // As it was, and with rubbish behind its end.
    for rubbish in [0, 1, FRAME_HEADER + PAGE] {
        let log = [&log[..], &vec![0xa5; rubbish]].concat();
        let files = [database.clone(), log, marker.clone()];
        let started;
        (options, started) = starts(options, &files, "rubbish at the end").await;
        assert!(started, "{}", options.log());
    }
    println!("{refused} starts were refused, {whole} found every record");
    assert!(refused > 0);
}
