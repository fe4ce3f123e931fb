//! Keeps the markers' memory of how much is on record up to date.
//!
//! The number in a marker is a lower bound: it is written only after so many transactions are
//! durable, never before. It lags by some seconds, because it is written when the database rests
//! and not on the way of a signature. After a crash those seconds are what the guard does not see.
//!
//! When slashing protection halts on a server, that is noted within a second: what gave the database
//! away (a transaction number, say) may be overtaken by the next start.

use std::{path::PathBuf, sync::Weak, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::{Identity, Places};
use crate::slashing::{ProtectionState, lane::Status};

/// Time between two looks for a halt.
const INTERVAL: Duration = Duration::from_millis(500);

/// After so many of them the number is looked at.
const LOOKS_PER_NUMBER: u32 = 10;

/// After so many looks at the number of a database that never rests it is written all the same.
const MOST_LOOKS: u32 = 12;

/// What the markers say besides the number.
#[derive(Clone, Debug)]
pub(in crate::slashing) struct Keeper {
    pub(in crate::slashing) places: Places,
    pub(in crate::slashing) identity: Identity,
    pub(in crate::slashing) database: PathBuf,
}

/// The database tasks that a keeper watches; it does not keep them alive.
#[derive(Debug)]
pub(in crate::slashing) struct Watched {
    /// The one that counts.
    pub(in crate::slashing) general: Weak<Status>,
    pub(in crate::slashing) all: Vec<Weak<Status>>,
}

impl Watched {
    fn halt_reason(&self) -> Option<&'static str> {
        let mut statuses = self.all.iter().filter_map(Weak::upgrade);
        statuses.find_map(|status| match status.state() {
            ProtectionState::Halted { reason } => Some(reason),
            _ => None,
        })
    }
}

impl Keeper {
    /// Writes the number whenever it has grown, and a halt, until the database task is gone.
    pub(in crate::slashing) async fn keep(self, tasks: Watched, mut written: u64) {
        let (mut looks_for_halt, mut looks) = (0, 0);
        loop {
            sleep(INTERVAL).await;
            let Some(status) = tasks.general.upgrade() else { return };
            let transactions = status.transactions();
            if let Some(reason) = tasks.halt_reason() {
                return self.note_halt(transactions, reason).await;
            }
            looks_for_halt += 1;
            if looks_for_halt % LOOKS_PER_NUMBER != 0 || transactions == written {
                continue;
            }
            looks += 1;
            if status.is_resting() || looks >= MOST_LOOKS {
                drop(status);
                self.clone().advance(transactions).await;
                (written, looks) = (transactions, 0);
            }
        }
    }

    /// Writes the number into the markers that are there. A marker that can't be written keeps its
    /// lower number, which is still true.
    pub(in crate::slashing) async fn advance(self, transactions: u64) {
        self.write(move |Self { places, identity, database }| {
            places.advance(identity, transactions, database);
        })
        .await;
    }

    /// Writes into the markers that are there why nothing may be signed on this database. A file's
    /// own content tells it again at the next start.
    pub(in crate::slashing) async fn note_halt(self, transactions: u64, reason: &'static str) {
        if self.identity.server.is_none() {
            return self.advance(transactions).await;
        }
        self.write(move |Self { places, identity, database }| {
            places.note_halt(identity, transactions, database, reason);
        })
        .await;
    }

    async fn write(self, write: impl FnOnce(&Self) + Send + 'static) {
        #[expect(clippy::disallowed_methods, reason = "one at a time, and some seconds apart")]
        let written = spawn_blocking(move || write(&self));
        if let Err(error) = written.await {
            tracing::error!(%error, "writing the slashing protection markers");
        }
    }
}
