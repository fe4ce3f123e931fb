//! `GET /midslot/v1/aggregation/jobs/{id}/events`: what happens to a job, as server-sent events
//! (WHATWG HTML, section 9.2).
//!
//! Events are numbered from 0; who was cut off says the last one it has in `Last-Event-ID`. The
//! stream ends after `done`, which has the whole job.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};
use tokio::task::block_in_place;

use super::{job_id, no_job};
use crate::{
    aggregation::{
        AggregationService, Event, JobId,
        view::{JobView, Json},
    },
    http::{
        body_budget::{BodyBudget, LARGE_BODY_BYTES},
        reply::{self, Refused},
    },
};

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";

/// Follows a job.
pub(in crate::http) async fn get(
    State(service): State<Arc<AggregationService>>,
    State(budget): State<BodyBudget>,
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
    if let Err(error) = service.job(id, Duration::ZERO).await {
        return no_job(error, &headers);
    }
    let following = Following { service, budget, id };
    let chunks = stream::unfold(Some((following, first)), |rest| async {
        let (following, first) = rest?;
        let (chunk, next) = following.chunk(first).await?;
        Some((Ok::<_, Infallible>(chunk), next.map(|next| (following, next))))
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

/// A job that a client follows.
struct Following {
    service: Arc<AggregationService>,
    budget: BodyBudget,
    id: JobId,
}

/// What an event says.
enum Data {
    Status(&'static str),
    Group(Json),
    Done(Box<JobView>),
}

impl Following {
    /// The next events, and the number of the one after them unless the job is over. `None` when
    /// there are none any more, or no room to write them: then the client comes back with the number
    /// of the last one it has.
    async fn chunk(&self, first: usize) -> Option<(Bytes, Option<usize>)> {
        let mut parts = Vec::new();
        let mut next = Some(first);
        let mut bytes = 0;
        for (number, event, json) in self.service.events(self.id, first).await.ok()? {
            let data = match (event, json) {
                (Event::Group(_), Some(json)) => Data::Group(json),
                (Event::Group(_), None) => continue,
                (Event::State(state), _) if state.ending().is_some() => {
                    let view = self.service.job(self.id, Duration::ZERO).await.ok()?;
                    Data::Done(Box::new(view))
                }
                (Event::State(state), _) => Data::Status(state.name()),
            };
            next = (!matches!(data, Data::Done(_))).then_some(number + 1);
            bytes += data.bytes();
            parts.push((number, data));
            if bytes > LARGE_BODY_BYTES {
                break;
            }
        }
        if parts.is_empty() {
            return None;
        }
        let text = || parts.iter().map(|(number, data)| data.as_event(*number)).collect::<String>();
        let chunk = if bytes > LARGE_BODY_BYTES {
            let room = self.budget.begin_answer(bytes).ok()?;
            room.hold(block_in_place(text).into_bytes())
        } else {
            text().into()
        };
        Some((chunk, next))
    }
}

impl Data {
    /// How long it is, but for a few hundred bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Status(_) => 0,
            Self::Group(json) => json.get().len(),
            Self::Done(view) => view.json_bytes(),
        }
    }

    fn as_event(&self, number: usize) -> String {
        let (name, data) = match self {
            Self::Status(status) => ("status", format!("{{\"status\":\"{status}\"}}")),
            Self::Group(json) => ("group", json.get().to_owned()),
            Self::Done(view) => ("done", Json::of(view).get().to_owned()),
        };
        format!("id: {number}\nevent: {name}\ndata: {data}\n\n")
    }
}
