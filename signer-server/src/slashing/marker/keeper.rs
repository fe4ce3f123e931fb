//! Keeps the markers' memory of how much is on record up to date.
//!
//! The number in a marker is a lower bound: it is written only after so many transactions are
//! durable, never before. It lags by some seconds, because it is written when the database rests
//! and not on the way of a signature. After a crash those seconds are what the guard does not see.

use std::{path::PathBuf, sync::Weak, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::{Identity, Places};
use crate::slashing::lane::Status;

/// Time between two looks at the number.
const INTERVAL: Duration = Duration::from_secs(5);

/// After so many looks at a database that never rests the number is written all the same.
const MOST_LOOKS: u32 = 12;

/// What the markers say besides the number.
#[derive(Clone, Debug)]
pub(in crate::slashing) struct Keeper {
    pub(in crate::slashing) places: Places,
    pub(in crate::slashing) identity: Identity,
    pub(in crate::slashing) database: PathBuf,
}

impl Keeper {
    /// Writes the number whenever it has grown, until the database task is gone.
    pub(in crate::slashing) async fn keep(self, status: Weak<Status>, mut written: u64) {
        let mut looks = 0;
        loop {
            sleep(INTERVAL).await;
            let Some(status) = status.upgrade() else { return };
            let transactions = status.transactions();
            if transactions == written {
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
        #[expect(clippy::disallowed_methods, reason = "one at a time, and some seconds apart")]
        let written = spawn_blocking(move || {
            self.places.advance(&self.identity, transactions, &self.database);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "writing the slashing protection markers");
        }
    }
}
