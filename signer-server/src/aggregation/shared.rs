//! What the threads of the service share: the jobs, and what is needed to read, prove and sign them.

use std::{
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{
    answers::{Accepted, SubmitError},
    jobs::{Jobs, NewJob, Signing},
    point_cache::Points,
    service::{AggregationOptions, Background},
    signing::{self, GroupSigner},
    snapshot::{Deadline, Delivery, Format, MAX_DEADLINE_MS, Submission, Surroundings, read},
    tables::Tables,
};
use crate::{
    audit::Client,
    clock,
    duty::{Network, NetworkClock},
    telemetry::metrics::Metrics,
};

/// How far a job's slot may lie before the present one, in slots.
const SLOTS_BEHIND: u64 = 64;
/// And after it.
const SLOTS_AHEAD: u64 = 2;

/// What its threads share.
pub(super) struct Shared {
    pub(super) jobs: Arc<Jobs>,
    pub(super) points: Points,
    pub(super) tables: Tables,
    pub(super) network: Network,
    pub(super) clock: Option<NetworkClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) options: AggregationOptions,
    pub(super) signer: Option<Arc<dyn GroupSigner>>,
    pub(super) runtime: Handle,
    pub(super) background: Background,
}

impl Shared {
    pub(super) fn read(&self, body: &[u8], format: Format) -> Result<Submission, SubmitError> {
        let surroundings = Surroundings {
            network: &self.network,
            window: self.window(),
            tables: &self.tables,
            can_sign: self.signer.is_some(),
        };
        Ok(read(body, format, &surroundings)?)
    }

    fn window(&self) -> Option<RangeInclusive<u64>> {
        let now = self.clock?.slot_at(now_unix_ms())?.0;
        Some(now.saturating_sub(SLOTS_BEHIND)..=now.saturating_add(SLOTS_AHEAD))
    }

    pub(super) fn submit(
        &self,
        submission: Submission,
        client: Client,
        arrived: Instant,
    ) -> Result<Accepted, SubmitError> {
        let Submission { id, snapshot, delivery } = submission;
        let Delivery { deadline, lane, on_busy } = delivery;
        let now = Instant::now();
        let deadline = match deadline {
            // Bodies wait for each other to be read, and nobody knows that but the clock.
            None => arrived + self.options.deadline,
            Some(Deadline::After(after)) => arrived + after,
            Some(Deadline::AtUnixMs(at)) => {
                now + Duration::from_millis(at.saturating_sub(now_unix_ms()))
                    .min(Duration::from_millis(MAX_DEADLINE_MS))
            }
        };
        let snapshot = Arc::new(snapshot);
        self.jobs.submit(NewJob { id, snapshot, lane, client, arrived, deadline, on_busy })
    }

    /// Has the groups of a job signed, outside of the worker. The stop of the signer waits for it.
    pub(super) fn start_signing(&self, signing: Signing) {
        // Without a signer no submission with a wish is taken.
        let Some(signer) = self.signer.clone() else { return };
        let Background { tasks, cut } = self.background.clone();
        let work = async move { signing::sign(&*signer, signing, &cut).await };
        tasks.spawn_on(work, &self.runtime);
    }
}

fn now_unix_ms() -> u64 {
    clock::now_unix_micros().max(0).cast_unsigned() / 1000
}
