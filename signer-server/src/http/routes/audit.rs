//! `GET /midslot/v1/audit`: who asked which key to sign what, newest first, page by page.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{
    audit::{BadCondition, Filter, FilterText},
    clock,
    http::{
        accept,
        reply::{self, explain},
    },
    slashing::SlashingProtection,
};

/// Rows of a page when the client names no limit.
const DEFAULT_LIMIT: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Parameters {
    limit: Option<usize>,
    before: Option<i64>,
    key: Option<String>,
    client: Option<String>,
    r#type: Option<String>,
    outcome: Option<String>,
    since: Option<String>,
    until: Option<String>,
    slot: Option<String>,
    epoch: Option<String>,
}

impl Parameters {
    fn filter(self) -> Result<Filter, BadCondition> {
        let conditions = FilterText {
            key: self.key,
            client: self.client,
            duty_type: self.r#type,
            outcome: self.outcome,
            since: self.since,
            until: self.until,
            slot: self.slot,
            epoch: self.epoch,
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let conditions = conditions.parse(clock::now_unix_micros())?;
        Ok(Filter { limit, before_id: self.before, ..conditions })
    }
}

pub(in crate::http) async fn get(
    State(slashing): State<SlashingProtection>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    if !accept::allows_json(&headers) {
        return reply::not_acceptable();
    }
    let filter = match parameters {
        Ok(Query(parameters)) => parameters.filter(),
        Err(rejection) => {
            return explain(StatusCode::BAD_REQUEST, &headers, &rejection.body_text());
        }
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(error) => {
            let message = format!("the query parameter {error}");
            return explain(StatusCode::BAD_REQUEST, &headers, &message);
        }
    };
    match slashing.read_audit(&filter).await {
        Ok(page) => reply::json(StatusCode::OK, &page),
        Err(error) => explain(StatusCode::SERVICE_UNAVAILABLE, &headers, &error.to_string()),
    }
}
