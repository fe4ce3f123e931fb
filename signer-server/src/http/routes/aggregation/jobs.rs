//! `POST /midslot/v1/aggregation/jobs` and one job.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        Extension, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use serde::Deserialize;

use super::{job_id, no_job};
use crate::{
    aggregation::{
        Accepted, AggregationService, Format, JobId, SubmitError, snapshot::Fault, view::JobView,
    },
    http::{
        body::{RawBody, Unread},
        body_budget::BodyBudget,
        identity,
        reply::{self, Refused, explain},
    },
    listen::Peer,
};

/// Longest time that an answer waits for a job.
const MAX_WAIT: Duration = Duration::from_secs(10);

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SubmitParameters {
    #[serde(default)]
    wait: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LookParameters {
    #[serde(default)]
    wait_ms: u64,
}

#[derive(serde::Serialize)]
struct Taken {
    job_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    accepted_entries: usize,
}

/// Takes a job. With `?wait=true` the answer is the job, as soon as it is over.
pub(in crate::http) async fn post(
    State(service): State<Arc<AggregationService>>,
    State(budget): State<BodyBudget>,
    Extension(peer): Extension<Peer>,
    parameters: Result<Query<SubmitParameters>, QueryRejection>,
    headers: HeaderMap,
    body: Result<RawBody, Unread>,
) -> Response {
    let Query(SubmitParameters { wait }) = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return explain(error.status(), &headers, &error.body_text()),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.refused().reply_own(&headers, &error.to_string()),
    };
    let format = match format(&headers) {
        Ok(format) => format,
        Err(message) => return explain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &headers, message),
    };
    let accepted = match service.submit(Whole(body), format, identity::client(peer)).await {
        Ok(accepted) => accepted,
        Err(error) => return refusal(&error, &headers),
    };
    if wait {
        return match service.ended_job(accepted.id, MAX_WAIT).await {
            Ok(view) if view.reason.is_some() => job(&budget, &headers, StatusCode::OK, &view),
            Ok(view) => located(job(&budget, &headers, StatusCode::ACCEPTED, &view), accepted.id),
            Err(error) => no_job(error, &headers),
        };
    }
    let Accepted { id, is_known, position, view } = accepted;
    if is_known {
        return job(&budget, &headers, StatusCode::OK, &view);
    }
    let taken = Taken {
        job_id: id.to_string(),
        status: view.status,
        reason: view.reason,
        position,
        accepted_entries: view.accepted_entries,
    };
    located(reply::json(StatusCode::ACCEPTED, &taken), id)
}

/// Adds where the job is.
fn located(mut response: Response, id: JobId) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("/midslot/v1/aggregation/jobs/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A job; with `?wait_ms=` as it stands after its next change, or then.
pub(in crate::http) async fn get(
    State(service): State<Arc<AggregationService>>,
    State(budget): State<BodyBudget>,
    id: Result<Path<String>, PathRejection>,
    parameters: Result<Query<LookParameters>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let wait = match parameters {
        Ok(Query(LookParameters { wait_ms })) => Duration::from_millis(wait_ms),
        Err(error) => return explain(error.status(), &headers, &error.body_text()),
    };
    if wait > MAX_WAIT {
        let message = format!("wait_ms must be at most {}", MAX_WAIT.as_millis());
        return Refused::Malformed.reply_own(&headers, &message);
    }
    let id = match job_id(id) {
        Ok(id) => id,
        Err(error) => return no_job(error, &headers),
    };
    match service.job(id, wait).await {
        Ok(view) => job(&budget, &headers, StatusCode::OK, &view),
        Err(error) => no_job(error, &headers),
    }
}

/// Cancels a job.
pub(in crate::http) async fn delete(
    State(service): State<Arc<AggregationService>>,
    State(budget): State<BodyBudget>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let id = match job_id(id) {
        Ok(id) => id,
        Err(error) => return no_job(error, &headers),
    };
    match service.cancel(id) {
        Ok((true, view)) => job(&budget, &headers, StatusCode::OK, &view),
        Ok((false, view)) => job(&budget, &headers, StatusCode::ACCEPTED, &view),
        Err(error) => no_job(error, &headers),
    }
}

/// The body as the reader wants it.
struct Whole(RawBody);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// JSON, unless the client says that it is SSZ.
fn format(headers: &HeaderMap) -> Result<Format, &'static str> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Format::Json) };
    let text = value.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/octet-stream") {
        Ok(Format::Ssz)
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Format::Json)
    } else {
        Err("a job is application/json or, in SSZ, application/octet-stream")
    }
}

/// A job with where its time went.
fn job(budget: &BodyBudget, headers: &HeaderMap, status: StatusCode, view: &JobView) -> Response {
    let mut response = reply::json_if_room(budget, headers, status, view.json_bytes(), view);
    let timing = view.server_timing();
    if let Ok(timing) = HeaderValue::from_str(&timing)
        && !timing.is_empty()
    {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response
}

fn refusal(error: &SubmitError, headers: &HeaderMap) -> Response {
    let message = error.to_string();
    match error {
        SubmitError::Snapshot(snapshot) => {
            let status = match snapshot.fault() {
                Fault::Malformed => StatusCode::BAD_REQUEST,
                Fault::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
                Fault::TableUnknown => StatusCode::CONFLICT,
            };
            explain(status, headers, &message)
        }
        SubmitError::Busy
        | SubmitError::TooManyLanes
        | SubmitError::Overloaded
        | SubmitError::Stopping => Refused::Overloaded.reply_own(headers, &message),
        SubmitError::Internal => Refused::Failed.reply_own(headers, &message),
    }
}
