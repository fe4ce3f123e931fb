//! Aggregation jobs: signatures of others, added up by the signer's worker.

use std::time::Duration;

use super::{BoxFuture, BoxStream, Deadline, SignError};
use crate::wire::{
    PublicKey, Root,
    aggregation::{
        AggregationJob, AggregationRequest, AggregationStatus, NumberedEvent, SignJobGroup,
        SignRefusal, SignedAggregate, SubmittedJob,
    },
};

/// Why there is no answer about a job.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AggregationError {
    /// The signer knows no such job: it never did, or it has started anew. Or it has no aggregation
    /// worker at all.
    #[error("the signer knows no such job")]
    NoJob,
    /// The result is no longer kept.
    #[error("the signer has dropped the result of the job")]
    Evicted,
    /// A table of public keys is not there: put it, then submit again.
    #[error("the signer does not have that table of public keys")]
    TableUnknown,
    /// The group has no result yet.
    #[error("the group is not finished")]
    Unfinished,
    /// The group is not signed, and the same request will not do better.
    #[error("the group is not signed: {message}")]
    NotSigned {
        /// Why.
        reason: SignRefusal,
        /// The same in the signer's words.
        message: String,
    },
    /// As with every other request.
    #[error(transparent)]
    Signer(#[from] SignError),
}

/// Whatever aggregates for a validator client. Jobs live in the memory of one signer.
pub trait RemoteAggregator: Send + Sync + 'static {
    /// Submits a job and does not wait for it. The same request again is the same job.
    fn submit<'a>(
        &'a self,
        request: &'a AggregationRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<SubmittedJob, AggregationError>>;

    /// Submits a job and waits until it is over: one round trip. If the signer starts anew meanwhile
    /// and does not know it any more, it is submitted again.
    fn aggregate<'a>(
        &'a self,
        request: &'a AggregationRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>>;

    /// A job as it stands after its next change, or after that time (10 s at most); at once if it is
    /// over.
    fn job<'a>(
        &'a self,
        job_id: &'a str,
        wait: Duration,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>>;

    /// What happens to a job, from its submission on or after the event of that number, until it is
    /// over or the deadline has passed. Goes on over a new connection when one is cut; ends after
    /// an error.
    fn events<'a>(
        &'a self,
        job_id: &'a str,
        after: Option<u64>,
        deadline: Deadline,
    ) -> BoxStream<'a, Result<NumberedEvent, AggregationError>>;

    /// Cancels a job. What is finished of it stays.
    fn cancel<'a>(
        &'a self,
        job_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>>;

    /// Has the aggregate of a finished group signed.
    fn sign_group<'a>(
        &'a self,
        request: &'a SignJobGroup,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<SignedAggregate, AggregationError>>;

    /// Puts the public keys of a committee, and gives their name for jobs. Putting them again is
    /// harmless.
    fn put_table<'a>(
        &'a self,
        keys: &'a [PublicKey],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Root, AggregationError>>;

    /// What the worker is doing.
    fn aggregation_status(
        &self,
        deadline: Deadline,
    ) -> BoxFuture<'_, Result<AggregationStatus, AggregationError>>;
}
