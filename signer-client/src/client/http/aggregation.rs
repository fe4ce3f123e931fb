//! Aggregation jobs over HTTP. All go to the first endpoint: a job is known where it was submitted.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Answer, Call, HttpSigner, Reach, exchange::OCTETS, get, post};
use crate::{
    client::{AggregationError, BoxFuture, BoxStream, Deadline, RemoteAggregator, SignError},
    wire::{
        PublicKey, Root,
        aggregation::{
            AggregationJob, AggregationRequest, AggregationStatus, NumberedEvent, SignJobGroup,
            SignRefusal, SignedAggregate, SigningOutcome, SubmittedJob,
        },
    },
};

const JOBS: &str = "/midslot/v1/aggregation/jobs";
/// How often a job is submitted while one waits for it, if the signer forgets it.
const MAX_SUBMISSIONS: usize = 3;
/// Longest time that the signer waits before it answers.
const MAX_WAIT: Duration = Duration::from_secs(10);

impl HttpSigner {
    async fn call<T: DeserializeOwned>(
        &self,
        call: Call,
        deadline: Deadline,
    ) -> Result<T, AggregationError> {
        read(&self.send(&call, Reach::FirstOnly, deadline, Vec::new()).await?)
    }

    /// Large jobs in SSZ, where it can say what they say.
    fn submission(&self, path: &str, request: &AggregationRequest) -> Result<Call, SignError> {
        let entries = request.groups.iter().map(|group| group.singles.len() + group.children.len());
        let is_large = entries.sum::<usize>() >= self.options.ssz_from_entries;
        match is_large.then(|| request.to_ssz_bytes()).flatten() {
            Some(ssz) => Ok(Call {
                method: Method::POST,
                path: path.to_owned(),
                body: ssz.into(),
                content_type: OCTETS,
            }),
            None => post(path.to_owned(), request),
        }
    }

    async fn job_after(
        &self,
        job_id: &str,
        wait: Duration,
        deadline: Deadline,
    ) -> Result<AggregationJob, AggregationError> {
        let wait = wait.min(MAX_WAIT).min(deadline.remaining()).as_millis();
        self.call(get(&format!("{}?wait_ms={wait}", path_of(job_id)?)), deadline).await
    }
}

impl RemoteAggregator for HttpSigner {
    fn submit<'a>(
        &'a self,
        request: &'a AggregationRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<SubmittedJob, AggregationError>> {
        Box::pin(async move { self.call(self.submission(JOBS, request)?, deadline).await })
    }

    fn aggregate<'a>(
        &'a self,
        request: &'a AggregationRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>> {
        Box::pin(async move {
            let call = self.submission(&format!("{JOBS}?wait=true"), request)?;
            let mut submissions_left = MAX_SUBMISSIONS - 1;
            let mut job: AggregationJob = self.call(call.clone(), deadline).await?;
            while !job.status.is_final() {
                job = match self.job_after(&job.job_id, MAX_WAIT, deadline).await {
                    // The signer has started anew and knows it no more. The same request is the
                    // same job.
                    Err(AggregationError::NoJob) if submissions_left > 0 => {
                        submissions_left -= 1;
                        self.call(call.clone(), deadline).await?
                    }
                    looked_at => looked_at?,
                };
            }
            Ok(job)
        })
    }

    fn job<'a>(
        &'a self,
        job_id: &'a str,
        wait: Duration,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>> {
        Box::pin(self.job_after(job_id, wait, deadline))
    }

    fn events<'a>(
        &'a self,
        job_id: &'a str,
        after: Option<u64>,
        deadline: Deadline,
    ) -> BoxStream<'a, Result<NumberedEvent, AggregationError>> {
        self.follow(job_id, after, deadline)
    }

    fn cancel<'a>(
        &'a self,
        job_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<AggregationJob, AggregationError>> {
        Box::pin(async move {
            let call = Call { method: Method::DELETE, ..get(&path_of(job_id)?) };
            self.call(call, deadline).await
        })
    }

    fn sign_group<'a>(
        &'a self,
        request: &'a SignJobGroup,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<SignedAggregate, AggregationError>> {
        Box::pin(async move {
            let call = post("/midslot/v1/aggregation/sign".to_owned(), request)?;
            match self.call(call, deadline).await? {
                SigningOutcome::Signed(signed) => Ok(signed),
                SigningOutcome::Refused { reason, message } => {
                    Err(AggregationError::NotSigned { reason, message })
                }
            }
        })
    }

    fn put_table<'a>(
        &'a self,
        keys: &'a [PublicKey],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Root, AggregationError>> {
        Box::pin(async move {
            let bytes = keys.iter().flat_map(|key| *key.as_bytes()).collect::<Bytes>();
            let name = Root(Sha256::digest(&bytes).into());
            let call = Call {
                method: Method::PUT,
                path: format!("/midslot/v1/aggregation/tables/{name}"),
                body: bytes,
                content_type: OCTETS,
            };
            let answer = self.send(&call, Reach::FirstOnly, deadline, Vec::new()).await?;
            answer.success().map_err(|error| refusal(&answer, error))?;
            Ok(name)
        })
    }

    fn aggregation_status(
        &self,
        deadline: Deadline,
    ) -> BoxFuture<'_, Result<AggregationStatus, AggregationError>> {
        Box::pin(self.call(get("/midslot/v1/aggregation/status"), deadline))
    }
}

/// The path of a job; what can be no name of one is not sent.
pub(super) fn path_of(job_id: &str) -> Result<String, AggregationError> {
    let is_name = !job_id.is_empty()
        && job_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(format!("{JOBS}/{job_id}")) } else { Err(AggregationError::NoJob) }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, AggregationError> {
    let body = answer.success().map_err(|error| refusal(answer, error))?;
    let malformed = SignError::Malformed("expected the JSON of an aggregation job");
    serde_json::from_slice(body).map_err(|_| malformed.into())
}

/// What a refusal means. Those that say why in one word have it before a colon.
pub(super) fn refusal(answer: &Answer, error: SignError) -> AggregationError {
    let text = answer.error_text();
    let word = text.split(':').next().unwrap_or_default();
    match (answer.status(), word) {
        (409, "table_unknown") => AggregationError::TableUnknown,
        (409, _) => AggregationError::Unfinished,
        (410, _) => AggregationError::Evicted,
        (404, "unknown_key") => SignError::UnknownKey.into(),
        (404, _) => AggregationError::NoJob,
        (422, _) => match serde_json::from_value(word.into()) {
            Ok(reason) if reason != SignRefusal::Other => {
                AggregationError::NotSigned { reason, message: text }
            }
            _ => error.into(),
        },
        _ => error.into(),
    }
}
