//! `POST /api/v1/eth2/sign/{identifier}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;
use signer_client::wire::Signature;

use crate::{
    http::{
        accept,
        call::{Call, Incoming},
        reply::{self, Refused},
    },
    scheduler::Lost,
    signing::{SignError, SigningService},
    slashing::{NotCleared, Unavailable},
};

#[derive(Serialize)]
struct SignResponse {
    signature: Signature,
}

pub(in crate::http) async fn post(
    State(signing): State<Arc<SigningService>>,
    identifier: Result<Path<String>, PathRejection>,
    incoming: Incoming,
) -> Response {
    // A segment that is no text can't name a key.
    let identifier = identifier.map(|Path(identifier)| identifier).unwrap_or_default();
    let call = match incoming.whole(&signing, &identifier, Refused::reply) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let Call { client, headers, mut stopwatch, body, limit } = call;
    let signed = signing.sign(client, &identifier, &body, limit, &mut stopwatch.timings).await;
    let response = match signed {
        Ok(signature) if accept::wants_json(&headers) => {
            reply::json(StatusCode::OK, &SignResponse { signature })
        }
        // Prysm decodes the body strictly: no newline.
        Ok(signature) => reply::text(StatusCode::OK, signature.to_string()),
        Err(error) => refusal(&error).reply(&headers, &error.to_string()),
    };
    stopwatch.stop(response)
}

pub(super) fn refusal(error: &SignError) -> Refused {
    match error {
        SignError::Malformed(_) => Refused::Malformed,
        SignError::TooLarge { .. } => Refused::TooLarge,
        SignError::UnknownKey => Refused::UnknownKey,
        SignError::Overloaded(_)
        | SignError::Lost(Lost::Expired)
        | SignError::NotCleared(NotCleared::Unavailable(Unavailable::QueueFull)) => {
            Refused::Overloaded
        }
        SignError::NotCleared(NotCleared::Refused(_)) => Refused::Slashable,
        SignError::NotCleared(_)
        | SignError::Lost(Lost::Unfinished)
        | SignError::WrongClearance(_)
        | SignError::NotAudited(_) => Refused::Failed,
    }
}
