//! Signing what a job has aggregated: the one thing that the worker asks of the signer.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    job::GroupResult,
    snapshot::{JobId, Snapshot},
};
use crate::audit::Client;

/// Signs aggregates that a job asks to be signed: after its groups are proved, outside of the
/// worker, by the ordinary way of a signing request.
pub trait GroupSigner: Send + Sync {
    /// Signs what it is asked for. Each group that has a wish gets one answer, by its place: JSON for
    /// the caller.
    fn sign(&self, work: SigningWork) -> BoxFuture<'static, Vec<(usize, Box<str>)>>;
}

/// The groups of a job, proved, with wishes to sign some of them.
#[derive(Debug)]
pub struct SigningWork {
    /// The job.
    pub job: JobId,
    /// Who submitted it.
    pub client: Client,
    /// The groups and their wishes.
    pub snapshot: Arc<Snapshot>,
    /// Their results. Only an aggregate that is verified may be signed.
    pub results: Vec<Arc<GroupResult>>,
}
