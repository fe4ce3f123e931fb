//! Aggregation jobs: what Midslot's aggregation worker is given and what it answers, under
//! `/midslot/v1/aggregation/`.

mod job;
mod signing;
mod snapshot;
#[cfg(feature = "ssz")]
mod snapshot_ssz;
#[cfg(test)]
mod tests;

pub use job::{
    AggregateReport, AggregationJob, AggregationStatus, EntryKind, EntryReason, EntryReport,
    GroupReport, GroupStatus, JobEvent, JobReason, JobStatus, LaneStatus, NumberedEvent,
    ReportedEntries, SubmittedJob,
};
pub use signing::{
    GroupSigning, SignAggregate, SignJobGroup, SignRefusal, SignedAggregate, SignedMessage,
    SignedObject, SigningOutcome,
};
pub use snapshot::{
    AggregationChild, AggregationDeadline, AggregationGroup, AggregationOptions,
    AggregationRequest, AggregationSingle, AggregationSubject, GroupPositions, OnBusy, Overlap,
    Report, Verify,
};
