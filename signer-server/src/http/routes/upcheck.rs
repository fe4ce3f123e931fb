//! `GET /upcheck`: is the process there at all?

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::http::{accept, reply};

/// `OK` as text, as Web3Signer answers; as JSON for a client that asks only for JSON (Lodestar's
/// and Nimbus' probes), which Web3Signer turns away.
pub(in crate::http) async fn get(headers: HeaderMap) -> Response {
    if accept::allows_text(&headers) {
        reply::text(StatusCode::OK, "OK")
    } else if accept::allows_json(&headers) {
        reply::json(StatusCode::OK, &json!({ "status": "OK" }))
    } else {
        reply::not_acceptable()
    }
}
