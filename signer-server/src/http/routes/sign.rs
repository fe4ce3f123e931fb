//! `POST /api/v1/eth2/sign/{identifier}`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Extension, Path, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use signer_client::wire::Signature;

use crate::{
    audit::Outcome,
    http::{
        accept,
        body::{RawBody, Unread},
        deadline, identity,
        reply::{self, Refused},
        server_timing::{ServerTiming, Stopwatch},
    },
    listen::Peer,
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
    State(server_timing): State<ServerTiming>,
    identifier: Result<Path<String>, PathRejection>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<RawBody, Unread>,
) -> Response {
    // A segment that is no text can't name a key.
    let identifier = identifier.map(|Path(identifier)| identifier).unwrap_or_default();
    let client = identity::client(peer);
    let mut stopwatch = Stopwatch::start(server_timing);
    let (body, limit) = match whole(body, &headers) {
        Ok(whole) => whole,
        Err((refused, reason)) => {
            signing.refuse_unread(client, &identifier, outcome(refused), &reason);
            return stopwatch.stop(refused.reply(&headers, &reason));
        }
    };
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

/// How the audit names a request that was refused before it was read.
pub(super) const fn outcome(refused: Refused) -> Outcome {
    match refused {
        Refused::Overloaded => Outcome::Shed,
        Refused::Malformed
        | Refused::UnknownKey
        | Refused::Slashable
        | Refused::TooLarge
        | Refused::Failed => Outcome::Malformed,
    }
}

/// What a signing request has beside its path: the body, and how long the client waits.
pub(super) fn whole(
    body: Result<RawBody, Unread>,
    headers: &HeaderMap,
) -> Result<(RawBody, Option<Duration>), (Refused, String)> {
    let body = body.map_err(|unread| (unread.refused(), unread.to_string()))?;
    let limit =
        deadline::limit(headers).map_err(|message| (Refused::Malformed, message.to_owned()))?;
    Ok((body, limit))
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
