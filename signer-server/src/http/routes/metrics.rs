//! `GET /metrics`, on its own port.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;

use crate::{
    http::reply,
    slashing::SlashingProtection,
    telemetry::metrics::{CONTENT_TYPE, Category, Metrics},
};

/// What the metrics port serves.
#[derive(Clone)]
pub(in crate::http) struct MetricsPage {
    /// Every metric of the process.
    pub(in crate::http) metrics: Arc<Metrics>,
    /// Asked for its state with every page.
    pub(in crate::http) slashing: SlashingProtection,
    /// The groups to show.
    pub(in crate::http) categories: Arc<[Category]>,
}

pub(in crate::http) async fn get(State(page): State<MetricsPage>) -> Response {
    page.metrics.protection_observed(page.slashing.state(), &page.slashing.pruning());
    reply::with_type(StatusCode::OK, CONTENT_TYPE, page.metrics.render(&page.categories))
}
