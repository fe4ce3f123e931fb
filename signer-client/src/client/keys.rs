//! The keys of a signer as a stream of differences.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Deadline, RemoteSigner, SignError};
use crate::wire::PublicKey;

/// How the keys of a signer have changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// Keys that have come, in order.
    pub added: Vec<PublicKey>,
    /// Keys that have gone, in order.
    pub removed: Vec<PublicKey>,
}

/// Asks a signer for its keys again and again.
///
/// A signer that can't be asked keeps its keys: only its own answer removes one.
pub struct KeyWatch {
    signer: Arc<dyn RemoteSigner>,
    ticks: tokio::time::Interval,
    known: BTreeSet<PublicKey>,
}

impl fmt::Debug for KeyWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyWatch").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl KeyWatch {
    /// Asks `signer` at once and then at this interval (at least a millisecond). Nothing runs while
    /// nobody waits.
    pub fn new(signer: Arc<dyn RemoteSigner>, every: Duration) -> Self {
        let mut ticks = interval_at(Instant::now(), every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { signer, ticks, known: BTreeSet::new() }
    }

    /// The keys as they were at the last change.
    pub fn keys(&self) -> &BTreeSet<PublicKey> {
        &self.known
    }

    /// Waits for the next change; the first one adds all keys. Cancelling loses nothing.
    ///
    /// # Errors
    /// When the signer can't be asked; the next call goes on.
    pub async fn next(&mut self) -> Result<KeyChange, SignError> {
        loop {
            self.ticks.tick().await;
            let deadline = Deadline::within(self.ticks.period());
            let now: BTreeSet<_> = self.signer.public_keys(deadline).await?.into_iter().collect();
            let change = KeyChange {
                added: now.difference(&self.known).copied().collect(),
                removed: self.known.difference(&now).copied().collect(),
            };
            self.known = now;
            if change != KeyChange::default() {
                return Ok(change);
            }
        }
    }

    /// The same as an endless stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<KeyChange, SignError>> + Send {
        stream::unfold(self, async |mut watch| {
            let change = watch.next().await;
            Some((change, watch))
        })
    }
}
