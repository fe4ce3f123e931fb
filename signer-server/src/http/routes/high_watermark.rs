//! `GET /api/v1/eth2/highWatermark`: above what nothing is signed any more.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use crate::{http::reply, slashing::SlashingProtection};

/// Epoch and slot as decimal text, or an empty object while none is set.
pub(in crate::http) async fn get(State(slashing): State<SlashingProtection>) -> Response {
    match slashing.high_watermark() {
        None => reply::json(StatusCode::OK, &json!({})),
        Some(watermark) => reply::json(
            StatusCode::OK,
            &json!({
                "epoch": watermark.epoch.to_string(),
                "slot": watermark.slot.to_string(),
            }),
        ),
    }
}
