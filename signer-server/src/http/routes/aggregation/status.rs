//! `GET /midslot/v1/aggregation/status`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;

use crate::{
    aggregation::{AggregationService, Status},
    http::reply,
};

#[derive(Serialize)]
struct StatusView {
    threads: usize,
    lanes: Vec<LaneView>,
    jobs: usize,
    tables: usize,
    cached_pubkeys: usize,
    cached_signatures: usize,
}

#[derive(Serialize)]
struct LaneView {
    lane: String,
    running: Option<String>,
    pending: Option<String>,
}

/// What the worker is doing.
pub(in crate::http) async fn get(State(service): State<Arc<AggregationService>>) -> Response {
    let Status { lanes, jobs, tables, cached_keys, cached_signatures, threads } = service.status();
    let lanes = lanes.into_iter().map(|(lane, running, pending)| LaneView {
        lane,
        running: running.map(|job| job.to_string()),
        pending: pending.map(|job| job.to_string()),
    });
    let status = StatusView {
        threads,
        lanes: lanes.collect(),
        jobs,
        tables,
        cached_pubkeys: cached_keys,
        cached_signatures,
    };
    reply::json(StatusCode::OK, &status)
}
