//! `GET /midslot/v1/audit`: who asked which key to sign what, newest first, page by page.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{
    audit::{Filter, Outcome},
    duty::DutyType,
    http::{
        accept,
        reply::{self, explain},
    },
    keys::parse_identifier,
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
    r#type: Option<String>,
    outcome: Option<String>,
}

impl Parameters {
    /// The filter, or the parameter that can't be understood.
    fn filter(self) -> Result<Filter, &'static str> {
        let type_named = |name: &str| {
            DutyType::ALL.iter().copied().find(|known| known.name().eq_ignore_ascii_case(name))
        };
        Ok(Filter {
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
            before_id: self.before,
            key: known(self.key, "key", parse_identifier)?,
            duty_type: known(self.r#type, "type", type_named)?,
            outcome: known(self.outcome, "outcome", Outcome::from_name)?,
        })
    }
}

/// Reads a parameter that may be absent; its name is the error when it means nothing.
fn known<T>(
    text: Option<String>,
    name: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    text.map(|text| read(&text).ok_or(name)).transpose()
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
        Err(name) => {
            let message = format!("the query parameter {name} has no known value");
            return explain(StatusCode::BAD_REQUEST, &headers, &message);
        }
    };
    match slashing.read_audit(&filter).await {
        Ok(page) => reply::json(StatusCode::OK, &page),
        Err(error) => explain(StatusCode::SERVICE_UNAVAILABLE, &headers, &error.to_string()),
    }
}
