//! What the service answers, and why it does not.

use signer_client::wire::Slot;

use super::{
    job::Ending,
    jobs::MAX_LANES,
    snapshot::{Fault, JobId, SnapshotError},
    view::JobView,
};
use crate::telemetry::metrics::{AggregationCounts, AggregationRefusal};

/// What became of a submission.
#[derive(Debug)]
pub struct Accepted {
    /// The job.
    pub id: JobId,
    /// Whether the same snapshot was there before.
    pub is_known: bool,
    /// Jobs of its lane before it; `None` if it does not wait.
    pub position: Option<usize>,
    /// As it stands.
    pub view: JobView,
}

/// Why a submission was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is something wrong with it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its lane is busy, and it would rather be refused.
    #[error("the lane is busy: one job runs and one is pending")]
    Busy,
    /// Too many lanes are busy.
    #[error("{MAX_LANES} lanes are busy already")]
    TooManyLanes,
    /// Too many bodies wait to be read.
    #[error("too many submissions wait to be read")]
    Overloaded,
    /// The signer stops.
    #[error("the signer is being stopped")]
    Stopping,
    /// A fault of this program.
    #[error("internal error")]
    Internal,
}

impl SubmitError {
    /// As metrics count it.
    pub(super) const fn as_refusal(&self) -> AggregationRefusal {
        match self {
            Self::Snapshot(error) => match error.fault() {
                Fault::Malformed => AggregationRefusal::Malformed,
                Fault::Unprocessable => AggregationRefusal::Unprocessable,
                Fault::TableUnknown => AggregationRefusal::TableUnknown,
            },
            Self::Busy | Self::TooManyLanes => AggregationRefusal::Busy,
            Self::Overloaded => AggregationRefusal::Overloaded,
            Self::Stopping => AggregationRefusal::Shutdown,
            Self::Internal => AggregationRefusal::Internal,
        }
    }
}

/// A job that is asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoJob {
    /// It is not known.
    #[error("no such job")]
    Unknown,
    /// It is no longer kept.
    #[error("the result is no longer kept; the job ended as {0}")]
    Evicted(Ending),
}

/// A group that is asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGroup {
    /// Its job is not there.
    #[error(transparent)]
    Job(#[from] NoJob),
    /// The job has no such group.
    #[error("group is {group}; the job has {groups}, counted from 0")]
    OutOfRange {
        /// The place that was asked for.
        group: usize,
        /// Number of groups.
        groups: usize,
    },
    /// It has no result yet, or its job did no work.
    #[error("the group is not finished")]
    Unfinished,
}

/// What the service is doing.
#[derive(Debug)]
pub struct Status {
    /// Busy lanes.
    pub lanes: Vec<LaneStatus>,
    /// Jobs that are kept.
    pub jobs: usize,
    /// Tables of public keys.
    pub tables: usize,
    /// Public keys in the cache.
    pub cached_keys: usize,
    /// Signatures in the cache.
    pub cached_signatures: usize,
    /// Threads that prove.
    pub threads: usize,
    /// What became of the jobs since the start.
    pub counts: AggregationCounts,
}

/// What a busy lane is doing.
#[derive(Debug)]
pub struct LaneStatus {
    /// Its name.
    pub name: String,
    /// The job that runs, and its slot.
    pub running: Option<(JobId, Slot)>,
    /// The job that comes next, and its slot.
    pub pending: Option<(JobId, Slot)>,
}
