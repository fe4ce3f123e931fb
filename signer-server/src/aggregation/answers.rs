//! What the service answers, and why it does not.

use super::{
    job::Ending,
    jobs::MAX_LANES,
    snapshot::{JobId, SnapshotError},
    view::JobView,
};

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
    /// Busy lanes: name, running and pending job.
    pub lanes: Vec<(String, Option<JobId>, Option<JobId>)>,
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
}
