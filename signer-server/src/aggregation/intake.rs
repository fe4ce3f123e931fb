//! One thread of low priority on which bodies are read: a body of 16 MiB takes up to 100 ms, which
//! must not be taken from the threads that answer signing requests.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, SyncSender},
    thread,
};

use parking_lot::Mutex;

use crate::low_priority;

/// Bodies that may wait. Their bytes count against the budget of all bodies.
const MAX_WAITING: usize = 1024;

type Reading = Box<dyn FnOnce() + Send>;

/// The thread's inbox.
pub(super) struct Intake(Mutex<Option<SyncSender<Reading>>>);

impl fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Intake")
    }
}

/// Why something is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Too much waits already.
    Full,
    /// Nothing is taken any more.
    Closed,
}

impl Intake {
    pub(super) fn start() -> std::io::Result<Self> {
        let (inbox, readings) = mpsc::sync_channel::<Reading>(MAX_WAITING);
        thread::Builder::new().name("aggregation-intake".to_owned()).spawn(move || {
            low_priority::enter();
            for reading in readings {
                // The panic is in the log; whoever waits for the reading learns that it is gone.
                let _ = catch_unwind(AssertUnwindSafe(reading));
            }
        })?;
        Ok(Self(Mutex::new(Some(inbox))))
    }

    /// Reads when all before it is read.
    pub(super) fn run(&self, reading: Reading) -> Result<(), NotTaken> {
        let inbox = self.0.lock();
        inbox.as_ref().ok_or(NotTaken::Closed)?.try_send(reading).map_err(|_| NotTaken::Full)
    }

    /// Takes nothing any more. What waits is still read.
    pub(super) fn close(&self) {
        self.0.lock().take();
    }
}
