//! `GET /midslot/v1/aggregation/jobs/{id}/events`: what happens to a job, as server-sent events
//! (WHATWG HTML, section 9.2).
//!
//! Events are numbered from 0; who was cut off says the last one it has in `Last-Event-ID`. The
//! stream ends after `done`, which has the whole job.

use std::{convert::Infallible, fmt::Write, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};

use super::{job_id, no_job};
use crate::{
    aggregation::{AggregationService, Event, JobId},
    http::reply::{self, Refused},
};

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";

/// Follows a job.
pub(in crate::http) async fn get(
    State(service): State<Arc<AggregationService>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let id = match job_id(id) {
        Ok(id) => id,
        Err(error) => return no_job(error, &headers),
    };
    let first = match first_event(&headers) {
        Ok(first) => first,
        Err(message) => return Refused::Malformed.reply_own(&headers, message),
    };
    if let Err(error) = service.job(id, std::time::Duration::ZERO).await {
        return no_job(error, &headers);
    }
    let chunks = stream::unfold(Some((service, id, first)), |following| async {
        let (service, id, first) = following?;
        let (text, next) = chunk(&service, id, first).await?;
        Some((Ok::<_, Infallible>(text), next.map(|next| (service, id, next))))
    });
    let mut response = reply::with_type(StatusCode::OK, EVENT_STREAM, Body::from_stream(chunks));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn first_event(headers: &HeaderMap) -> Result<usize, &'static str> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let last: Option<usize> = value.to_str().ok().and_then(|text| text.parse().ok());
    last.and_then(|last| last.checked_add(1))
        .ok_or("the header Last-Event-ID must be the number of an event")
}

/// The next events, and the number of the one after them unless the job is over. `None` when there
/// are none any more.
async fn chunk(
    service: &AggregationService,
    id: JobId,
    first: usize,
) -> Option<(String, Option<usize>)> {
    let events = service.events(id, first).await.ok()?;
    let mut next = Some(first);
    let mut text = String::new();
    for (number, event, json) in events {
        next = Some(number + 1);
        // Writing to a text does not fail.
        let _ = match (event, json) {
            (Event::Group(_), Some(json)) => {
                write!(text, "id: {number}\nevent: group\ndata: {}\n\n", json.get())
            }
            (Event::Group(_), None) => Ok(()),
            (Event::State(state), _) if state.ending().is_some() => {
                next = None;
                let view = service.job(id, std::time::Duration::ZERO).await.ok()?;
                let json = serde_json::to_string(&view).ok()?;
                write!(text, "id: {number}\nevent: done\ndata: {json}\n\n")
            }
            (Event::State(state), _) => {
                let status = state.name();
                write!(text, "id: {number}\nevent: status\ndata: {{\"status\":\"{status}\"}}\n\n")
            }
        };
    }
    (!text.is_empty()).then_some((text, next))
}
