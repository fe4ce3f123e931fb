//! `GET /midslot/v1/aggregation/status`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use signer_client::wire::Slot;

use crate::{
    aggregation::{AggregationService, JobId, LaneStatus, Status},
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
    accepted: u64,
    ended: BTreeMap<&'static str, u64>,
    dropped: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct LaneView {
    lane: String,
    running: Option<String>,
    running_slot: Option<Slot>,
    pending: Option<String>,
    pending_slot: Option<Slot>,
}

/// What the worker is doing.
pub(in crate::http) async fn get(State(service): State<Arc<AggregationService>>) -> Response {
    let Status { lanes, jobs, tables, cached_keys, cached_signatures, threads, counts } =
        service.status();
    let name = |job: Option<(JobId, Slot)>| job.map(|(id, _)| id.to_string());
    let slot = |job: Option<(JobId, Slot)>| job.map(|(_, slot)| slot);
    let lanes = lanes.into_iter().map(|LaneStatus { name: lane, running, pending }| LaneView {
        lane,
        running: name(running),
        running_slot: slot(running),
        pending: name(pending),
        pending_slot: slot(pending),
    });
    let status = StatusView {
        threads,
        lanes: lanes.collect(),
        jobs,
        tables,
        cached_pubkeys: cached_keys,
        cached_signatures,
        accepted: counts.accepted,
        ended: counts.ended.into_iter().collect(),
        dropped: counts.dropped.into_iter().collect(),
        refused: counts.refused.into_iter().collect(),
    };
    reply::json(StatusCode::OK, &status)
}
