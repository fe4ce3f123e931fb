//! Signing what a job has aggregated: the one thing that the worker asks of the signer.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use signer_client::wire::aggregation::{SignRefusal, SigningOutcome};

use super::{
    job::{Ending, GroupToSign},
    shared::Shared,
    snapshot::JobId,
    view::Json,
};
use crate::audit::Client;

/// Signs aggregates that a job asks to be signed: after its groups are proved, outside of the
/// worker, by the ordinary way of a signing request.
pub trait GroupSigner: Send + Sync {
    /// Signs what it is asked for. Each group gets one answer, by its place.
    fn sign(&self, work: SigningWork) -> BoxFuture<'static, Vec<(usize, SigningOutcome)>>;
}

/// The groups of a job that are to be signed. What was signed on them is not needed any more.
#[derive(Debug)]
pub struct SigningWork {
    /// Who submitted the job.
    pub client: Client,
    /// The groups, each with its place in the snapshot. Only an aggregate that is verified may be
    /// signed.
    pub groups: Vec<(usize, GroupToSign)>,
}

/// A job that waits for its signatures. It ends when this is dropped, whatever became of them: a
/// signer that panics, or a runtime that ends before it, leaves no job without an end.
pub(super) struct AwaitsSignatures {
    shared: Arc<Shared>,
    job: JobId,
    ending: Ending,
    answers: Vec<(usize, Json)>,
}

impl AwaitsSignatures {
    pub(super) fn new(shared: Arc<Shared>, job: JobId, ending: Ending, work: &SigningWork) -> Self {
        let failed = |&(place, _): &(usize, GroupToSign)| {
            let message = "internal error".to_owned();
            (place, Json::of(&SigningOutcome::Refused { reason: SignRefusal::Failed, message }))
        };
        Self { shared, job, ending, answers: work.groups.iter().map(failed).collect() }
    }

    /// Ends the job with these answers.
    pub(super) fn answered(mut self, answers: &[(usize, SigningOutcome)]) {
        self.answers = answers.iter().map(|(place, answer)| (*place, Json::of(answer))).collect();
    }
}

impl Drop for AwaitsSignatures {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(job) = state.store.get_mut(self.job) {
            job.signed = std::mem::take(&mut self.answers);
        }
        self.shared.end(&mut state, self.job, self.ending);
    }
}
