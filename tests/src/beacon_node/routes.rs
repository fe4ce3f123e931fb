//! The requests and their answers.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{Request, State as Shared},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;

/// Largest body that is read, in bytes.
const MAX_BODY: usize = 16 << 20;

#[derive(Deserialize)]
struct Ids {
    ids: Vec<String>,
}

/// An answer in JSON.
pub(super) fn json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// Answers any request.
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    *state.changing().requests.entry(what.clone()).or_default() += 1;
    if let Some(expected) = &state.node.credentials {
        let sent = request.headers().get(header::AUTHORIZATION);
        if sent.is_none_or(|sent| sent.as_bytes() != expected.as_bytes()) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let fault = {
        let changing = state.changing();
        changing.faults.iter().find(|(part, _)| what.contains(part)).map(|(_, fault)| fault.clone())
    };
    match (truth(&state, &what, &query, &body), fault) {
        (_, Some(fault @ super::Fault::Status(_))) => fault.distort(Value::Null).await,
        (Ok(truth), Some(fault)) => fault.distort(truth).await,
        (Ok(truth), None) => json(&truth),
        (Err(status), _) => status.into_response(),
    }
}

fn truth(state: &State, what: &str, query: &str, body: &[u8]) -> Result<Value, StatusCode> {
    let node = &state.node;
    let reorganisations = state.changing().reorganisations;
    let of_epoch = |prefix: &str| what.strip_prefix(prefix).map(str::parse::<u64>);
    let bad = |_| StatusCode::BAD_REQUEST;
    if let Some(epoch) = of_epoch("POST /eth/v1/validator/duties/attester/") {
        let epoch = epoch.map_err(|_| StatusCode::BAD_REQUEST)?;
        let indices: Vec<String> = serde_json::from_slice(body).map_err(bad)?;
        check_epoch(state, epoch)?;
        let mut dependent_root = [0; 32];
        dependent_root[..8].copy_from_slice(&epoch.to_be_bytes());
        dependent_root[8..16].copy_from_slice(&reorganisations.to_be_bytes());
        return Ok(json!({
            "dependent_root": const_hex::encode_prefixed(dependent_root),
            "execution_optimistic": false,
            "data": node.duties.attesters(epoch, &indices, reorganisations),
        }));
    }
    if let Some(epoch) = of_epoch("POST /eth/v1/validator/duties/sync/") {
        let epoch = epoch.map_err(|_| StatusCode::BAD_REQUEST)?;
        let indices: Vec<String> = serde_json::from_slice(body).map_err(bad)?;
        check_epoch(state, epoch)?;
        return Ok(json!({ "data": node.duties.sync_members(epoch, &indices) }));
    }
    let data = match what {
        "GET /eth/v1/node/syncing" => json!({
            "head_slot": node.current_slot().to_string(),
            "sync_distance": "0",
            "is_syncing": false,
            "is_optimistic": false,
            "el_offline": false,
        }),
        "GET /eth/v1/beacon/genesis" => json!({
            "genesis_time": node.genesis_time.to_string(),
            "genesis_validators_root": node.genesis_validators_root,
            "genesis_fork_version": node.forks.first().map(|(_, version)| version),
        }),
        "GET /eth/v1/config/spec" => json!({
            "SLOTS_PER_EPOCH": node.duties.slots_per_epoch.to_string(),
            "SLOT_DURATION_MS": node.slot_duration_ms.to_string(),
            "SECONDS_PER_SLOT": (node.slot_duration_ms / 1000).to_string(),
            "BLOB_SCHEDULE": [{ "EPOCH": "5", "MAX_BLOBS_PER_BLOCK": "15" }],
        }),
        "GET /eth/v1/config/fork_schedule" if node.tells_fork_schedule => forks(state).into(),
        "GET /eth/v1/beacon/states/head/fork" => {
            let epoch = node.current_slot() / node.duties.slots_per_epoch;
            let begun = node.forks.iter().filter(|(first, _)| *first <= epoch).count();
            forks(state).into_iter().nth(begun.saturating_sub(1)).unwrap_or_default()
        }
        "POST /eth/v1/beacon/states/head/validators" => {
            let Ids { ids } = serde_json::from_slice(body).map_err(bad)?;
            node.duties.about(&ids).into()
        }
        "GET /eth/v1/beacon/states/head/validators" => {
            let ids = query.strip_prefix("id=").ok_or(StatusCode::BAD_REQUEST)?;
            let ids: Vec<_> = ids.split(',').map(str::to_owned).collect();
            node.duties.about(&ids).into()
        }
        _ => return Err(StatusCode::NOT_FOUND),
    };
    Ok(json!({ "execution_optimistic": false, "finalized": false, "data": data }))
}

/// Duties are known for this epoch and the next.
fn check_epoch(state: &State, epoch: u64) -> Result<(), StatusCode> {
    let now = state.node.current_slot() / state.node.duties.slots_per_epoch;
    // One before: the epoch may have ended while the request was on its way.
    let is_known = (now.saturating_sub(1)..=now + 1).contains(&epoch);
    is_known.then_some(()).ok_or(StatusCode::BAD_REQUEST)
}

fn forks(state: &State) -> Vec<Value> {
    let forks = &state.node.forks;
    let versions = forks.iter().enumerate().map(|(place, (epoch, version))| {
        json!({
            "previous_version": forks[place.saturating_sub(1)].1,
            "current_version": version,
            "epoch": epoch.to_string(),
        })
    });
    versions.collect()
}
