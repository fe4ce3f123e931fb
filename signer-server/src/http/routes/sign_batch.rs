//! `POST /api/v1/eth2/sign`: one duty, many keys (remote-signing-api, pull request 29).
//!
//! Answers are JSON: an array in the order of the identifiers.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Serialize;
use signer_client::wire::Signature;

use crate::{
    http::{
        call::{Call, Incoming},
        reply::{self, Refused},
    },
    signing::{BatchError, BatchItem, SigningService},
};

/// Most keys of one batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct MaxBatchKeys(pub(in crate::http) usize);

/// One key's result.
#[derive(Serialize)]
pub(super) struct Item {
    identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ItemError>,
}

#[derive(Serialize)]
struct ItemError {
    code: u16,
    message: String,
}

impl From<BatchItem> for Item {
    fn from(BatchItem { identifier, result }: BatchItem) -> Self {
        match result {
            Ok(signature) => Self { identifier, signature: Some(signature), error: None },
            Err(error) => {
                let code = super::sign::refusal(&error).status().as_u16();
                let error = Some(ItemError { code, message: error.to_string() });
                Self { identifier, signature: None, error }
            }
        }
    }
}

pub(in crate::http) async fn post(
    State(signing): State<Arc<SigningService>>,
    State(MaxBatchKeys(max_keys)): State<MaxBatchKeys>,
    incoming: Incoming,
) -> Response {
    let call = match incoming.whole(&signing, "", Refused::reply) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let Call { client, headers, mut stopwatch, body, limit } = call;
    let timings = &mut stopwatch.timings;
    let response = match signing.sign_batch(client, &body, max_keys, limit, timings).await {
        Ok(items) => {
            let room = body.into_room();
            let items: Vec<_> = items.into_iter().map(Item::from).collect();
            reply::json_of_many(&room, &items)
        }
        Err(error) => refusal(&error).reply(&headers, &error.to_string()),
    };
    stopwatch.stop(response)
}

fn refusal(error: &BatchError) -> Refused {
    match error {
        BatchError::TooMany { .. } => Refused::TooLarge,
        BatchError::Overloaded(_) => Refused::Overloaded,
        BatchError::Request(error) => super::sign::refusal(error),
        BatchError::Body { .. }
        | BatchError::Empty
        | BatchError::Identifier { .. }
        | BatchError::Duplicate { .. }
        | BatchError::Type(_) => Refused::Malformed,
    }
}
