//! `eth2 import`: add the slashing protection records of a file.
//!
//! The file is read twice: first to find every mistake, before the database is even opened, then
//! into one transaction.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    config::Config,
    slashing::{ImportOptions, ImportReport, KeyOutcome, SurveyedFile},
};

use super::{CommandError, block_on, network_root, open, say};

/// Time between two lines about the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(3);

const BYTES_PER_MEBIBYTE: u64 = 1 << 20;

/// Imports a file into the configured database, which is made when there is none.
pub fn run(config: &Config, from: &Path, allow_partial: bool) -> Result<(), CommandError> {
    let network_genesis_validators_root = network_root(config)?;
    let file = File::open(from).and_then(Reported::new);
    let file = file.map_err(|source| CommandError::Unreadable { path: from.to_owned(), source })?;
    let source = SurveyedFile::new(file)
        .map_err(|source| CommandError::File { path: from.to_owned(), source })?;
    let survey = source.survey();
    say(format_args!(
        "{}: {} keys, {} attestations, {} blocks",
        from.display(),
        survey.keys().len(),
        survey.attestations,
        survey.blocks
    ));
    for failure in &survey.failures {
        say(format_args!("can't import {failure}"));
    }
    let options = ImportOptions { network_genesis_validators_root, allow_partial };
    // A file that is refused shall not even leave an empty database.
    survey.check(options)?;

    block_on(async {
        let mut database = open(config, true).await?;
        let report = database.import(source, options).await?;
        tell(&report);
        database.close().await.map_err(CommandError::Close)
    })
}

/// Says what became of the keys: a line for each that an operator should know of, and the sum.
fn tell(report: &ImportReport) {
    for outcome in &report.imported {
        for remark in remarks(outcome) {
            say(format_args!("{}: {remark}", outcome.key));
        }
    }
    let sum = |part: fn(&KeyOutcome) -> u64| report.imported.iter().map(part).sum::<u64>();
    say(format_args!(
        "Imported {} keys: {} attestations and {} blocks are new, {} keys were as they are now; \
         {} entries were left out",
        report.imported.len(),
        sum(|outcome| outcome.attestations_added),
        sum(|outcome| outcome.blocks_added),
        sum(|outcome| u64::from(!outcome.changed)),
        report.failures.len(),
    ));
}

fn remarks(outcome: &KeyOutcome) -> impl Iterator<Item = String> {
    let slashable = outcome
        .slashable
        .then(|| "warning: the file itself holds slashable messages of this key".to_owned());
    let minified = outcome.minified.then(|| {
        "warning: two attestations have the same target and different sources; the key signs only \
         what lies above everything known of it"
            .to_owned()
    });
    let forgotten = (outcome.roots_forgotten > 0).then(|| {
        format!(
            "warning: {} records contradict the file; they are never signed again",
            outcome.roots_forgotten
        )
    });
    slashable.into_iter().chain(minified).chain(forgotten)
}

/// A file that says from time to time how far it was read.
struct Reported {
    file: File,
    position: u64,
    length: u64,
    reading: u32,
    last_report: Instant,
}

impl Reported {
    fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, position: 0, length, reading: 1, last_report: Instant::now() })
    }
}

impl Read for Reported {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position += read as u64;
        if self.last_report.elapsed() >= REPORT_INTERVAL {
            self.last_report = Instant::now();
            let what = if self.reading == 1 { "checking" } else { "importing" };
            say(format_args!(
                "{what}: {} of {} MiB",
                self.position / BYTES_PER_MEBIBYTE,
                self.length / BYTES_PER_MEBIBYTE
            ));
        }
        Ok(read)
    }
}

impl Seek for Reported {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(position)?;
        self.reading += 1;
        Ok(self.position)
    }
}
