//! `POST /reload` and `GET /reload`: read the key sources again, and how that went.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::{
    http::{accept, reply},
    reload::{Phase, Reloader},
};

/// Starts a reload and answers at once: 202, or 409 while one runs.
pub(in crate::http) async fn post(
    State(reloader): State<Arc<Reloader>>,
    headers: HeaderMap,
) -> Response {
    if !accept::allows_json(&headers) {
        return reply::not_acceptable();
    }
    match reloader.start() {
        Ok(()) => reply::json(
            StatusCode::ACCEPTED,
            &json!({ "status": "accepted", "message": "Reload operation started" }),
        ),
        Err(error) => reply::json(
            StatusCode::CONFLICT,
            &json!({ "status": "error", "message": error.to_string() }),
        ),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReloadStatus {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_operation_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// How the latest reload went.
pub(in crate::http) async fn get(
    State(reloader): State<Arc<Reloader>>,
    headers: HeaderMap,
) -> Response {
    if !accept::allows_json(&headers) {
        return reply::not_acceptable();
    }
    let status = reloader.status();
    let (word, last_error) = match status.phase {
        Phase::Idle => ("idle", None),
        Phase::Running => ("running", None),
        Phase::Completed => ("completed", None),
        Phase::CompletedWithErrors { errors } => (
            "completed_with_errors",
            Some(format!("Reload completed with {errors} signer loading error(s)")),
        ),
        Phase::Failed { reason } => ("failed", Some(reason)),
    };
    reply::json(
        StatusCode::OK,
        &ReloadStatus { status: word, last_operation_time: status.last_operation_time, last_error },
    )
}
