//! Pruning apart from every worker, for databases on which it has a connection of its own.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Status,
    pruner::{Pruner, PruningSchedule},
};
use crate::slashing::store::Store;

/// Between two steps, so that the database has time for others.
const PAUSE: Duration = Duration::from_millis(20);

/// Prunes until `stop`. Steps are safe to break off.
pub(super) async fn prune(
    store: impl Store,
    schedule: PruningSchedule,
    status: Arc<Status>,
    stop: CancellationToken,
) {
    stop.run_until_cancelled_owned(prune_for_ever(store, schedule, status)).await;
}

async fn prune_for_ever(mut store: impl Store, schedule: PruningSchedule, status: Arc<Status>) {
    let mut pruner = Pruner::new(Some(schedule));
    while let Some(due) = pruner.due() {
        sleep_until(due.max(Instant::now() + PAUSE)).await;
        let Some(policy) = pruner.begin_step() else { return };
        match store.prune_step(policy).await {
            Ok(step) => pruner.end_step(step, &status),
            Err(error) => {
                tracing::error!(%error, "pruning the slashing protection database");
                pruner.fail_step();
            }
        }
    }
}
