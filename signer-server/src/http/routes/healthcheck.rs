//! `GET /healthcheck`, in Web3Signer's shape. Answers from memory: Vero asks every second.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    http::reply,
    prefetch::{PrefetchReport, PrefetchState, PrefetchStatus},
    reload::{Reloader, SourceHealth},
    slashing::{ProtectionState, SlashingProtection},
};

const fn word(is_up: bool) -> &'static str {
    if is_up { "UP" } else { "DOWN" }
}

/// 200 when everything is up, else 503. Prefetch is always up: without it every proof is still signed
/// when it is asked for.
pub(in crate::http) async fn get(
    State(slashing): State<SlashingProtection>,
    State(reloader): State<Arc<Reloader>>,
    State(prefetch): State<Option<Arc<PrefetchStatus>>>,
) -> Response {
    let sources = reloader.sources();
    let keys_up = sources.iter().all(SourceHealth::is_up);
    let mut checks = vec![json!({ "id": "default-check", "status": "UP" })];
    let mut all_up = keys_up;
    if slashing.is_enabled() {
        let state = slashing.state();
        let is_up = state == ProtectionState::Running;
        all_up &= is_up;
        let mut check =
            json!({ "id": "slashing-protection-db-health-check", "status": word(is_up) });
        if let Some(reason) = state.reason() {
            check["data"] = json!({ "state": state.name(), "reason": reason });
        }
        checks.push(check);
    }
    let children: Vec<Value> = sources.iter().map(child).collect();
    checks.push(json!({ "id": "keys-check", "status": word(keys_up), "checks": children }));
    checks.extend(prefetch.map(|prefetch| prefetch_check(&prefetch.report())));
    let status = if all_up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let outcome = word(all_up);
    reply::json(status, &json!({ "status": outcome, "checks": checks, "outcome": outcome }))
}

fn prefetch_check(report: &PrefetchReport) -> Value {
    let PrefetchReport { state, validators } = report;
    let mut data = json!({ "state": state.name(), "validators": validators });
    if let PrefetchState::Failing { reason } = state {
        data["reason"] = reason.as_str().into();
    }
    json!({ "id": "prefetch-check", "status": "UP", "data": data })
}

fn child(source: &SourceHealth) -> Value {
    json!({
        "id": source.id,
        "status": word(source.is_up()),
        "data": { "keys-loaded": source.keys_loaded, "error-count": source.errors },
    })
}
