//! `PUT /midslot/v1/aggregation/tables/{sha256}`: public keys that jobs name by their hash.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use crate::{
    aggregation::{
        AggregationService,
        tables::{Put, TableError},
    },
    http::{
        body::{RawBody, Unread},
        reply::Refused,
    },
};

/// Keeps a table.
pub(in crate::http) async fn put(
    State(service): State<Arc<AggregationService>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<RawBody, Unread>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.refused().reply_own(&headers, &error.to_string()),
    };
    let mut hash = [0; 32];
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let digits = name.strip_prefix("0x").unwrap_or(&name);
    let is_hash = digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && const_hex::decode_to_slice(digits, &mut hash).is_ok();
    if !is_hash {
        let message = "a table is named by the SHA-256 of its bytes: 64 hexadecimal digits";
        return Refused::Malformed.reply_own(&headers, message);
    }
    match service.tables().put(hash, &body) {
        Ok(Put::Created) => StatusCode::CREATED.into_response(),
        Ok(Put::Known) => StatusCode::OK.into_response(),
        Err(error @ (TableError::OtherHash | TableError::Size { .. })) => {
            Refused::Malformed.reply_own(&headers, &error.to_string())
        }
    }
}
