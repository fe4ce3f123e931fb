//! The system calls by which a signer changes files and answers, written down or cut short.
//!
//! It is a [library in C](preload) that the real binary loads. It sees the calls that go through libc: those of SQLite, of the standard library and
//! of the network. [`Kill`] ends the process at one of them, so that a test can try every one in turn;
//! [`SystemCalls::records`] gives them in their order.

mod record;

use std::path::{Path, PathBuf};

pub use self::record::{Kind, Record};
use crate::{SignerOptions, preload};

/// Where at a call the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it was done.
    Before,
    /// A write or a send: half of its bytes went out. Else as [`Self::Before`].
    Half,
    /// It was done, and the program did not see its result.
    After,
}

/// The end of the process by `SIGKILL` at one call.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// Which call, from 1, counted since [`SystemCalls::arm`].
    pub at: u64,
    /// Where at that call.
    pub moment: Moment,
    /// Counts calls of this kind alone.
    pub kind: Option<Kind>,
    /// Counts calls on the file of this name alone.
    pub on: Option<&'static str>,
}

/// What is done with the calls of one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Ends it.
    pub kill: Option<Kill>,
    /// Writes down what was written and sent, too.
    pub with_bytes: bool,
}

/// The calls of the signers that are started with one set of options.
#[derive(Debug)]
pub struct SystemCalls {
    log: PathBuf,
    armed: PathBuf,
}

const PREFIX: &str = "MIDSLOT_SYSTEM_CALLS_";

impl SystemCalls {
    /// Makes processes that are started with these options from now on load the library, which counts
    /// no call yet. What an earlier watch has written down is gone.
    ///
    /// # Panics
    /// When the library can't be compiled: no test can say anything then.
    pub fn watch(options: &mut SignerOptions, watch: &Watch) -> Self {
        Self::forget(options);
        // Beside the folders, where the calls on these two are not looked at.
        let folder = options.folder.path().to_owned();
        let calls = Self { log: folder.join("calls"), armed: folder.join("armed") };
        for file in [&calls.log, &calls.armed] {
            drop(std::fs::remove_file(file));
        }
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut set = |name: &str, value: String| options.environment.push((name.into(), value));
        set(preload::VARIABLE, text(&preload::library("src/system_calls/interpose.c")));
        let name = folder.file_name().expect("a temporary folder has a name");
        set(&format!("{PREFIX}FOLDER"), format!("/{}/", text(name.as_ref())));
        set(&format!("{PREFIX}LOG"), text(&calls.log));
        set(&format!("{PREFIX}ARMED"), text(&calls.armed));
        if watch.with_bytes {
            set(&format!("{PREFIX}BYTES"), "1".into());
        }
        if let Some(Kill { at, moment, kind, on }) = watch.kill {
            let moment = match moment {
                Moment::Before => "before",
                Moment::Half => "half",
                Moment::After => "after",
            };
            set(&format!("{PREFIX}KILL_AT"), at.to_string());
            set(&format!("{PREFIX}MOMENT"), moment.into());
            set(&format!("{PREFIX}KIND"), kind.map_or("", Kind::name).into());
            set(&format!("{PREFIX}ON"), on.unwrap_or_default().into());
        }
        calls
    }

    /// Lets processes that are started from now on run without the library.
    pub fn forget(options: &mut SignerOptions) {
        options
            .environment
            .retain(|(name, _)| name != preload::VARIABLE && !name.starts_with(PREFIX));
    }

    /// Counts calls from now on: from the start of a process, when it is not running yet.
    ///
    /// # Panics
    /// When the file that says so can't be made.
    pub fn arm(&self) {
        std::fs::write(&self.armed, "").expect("a file in the signer's folder");
    }

    /// What was called so far, in this order: writes, syncs and changes of files when they had
    /// returned, sends when they began.
    ///
    /// # Panics
    /// When there is no log, because the library was not loaded.
    pub fn records(&self) -> Vec<Record> {
        let log = std::fs::read(&self.log).expect("the log of a process that loaded the library");
        record::read(&log)
    }

    /// The call at which the process was ended; `None` when it never came to it.
    ///
    /// # Panics
    /// As [`Self::records`].
    pub fn killed_at(&self) -> Option<String> {
        let mut records = self.records().into_iter();
        records.find(|record| record.kind == Kind::Killed).map(|record| record.on)
    }
}
