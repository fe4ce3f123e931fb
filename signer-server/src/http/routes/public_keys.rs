//! `GET /api/v1/eth2/publicKeys`: the keys that can sign now.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};

use crate::{
    http::{accept, reply},
    keys::Registry,
};

pub(in crate::http) async fn get(
    State(registry): State<Arc<Registry>>,
    headers: HeaderMap,
) -> Response {
    if !accept::allows_json(&headers) {
        return reply::not_acceptable();
    }
    reply::json(StatusCode::OK, &&*registry.public_keys())
}
