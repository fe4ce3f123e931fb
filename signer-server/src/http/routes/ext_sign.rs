//! `POST /api/v1/eth2/ext/sign/{identifier}`, Web3Signer's extension for proofs of validation.
//!
//! Signs the request's text itself, with the ciphersuite of the chain but not as a signing root.
//! Its answers are JSON whatever the client accepts.

use std::sync::Arc;

use axum::{
    extract::{Extension, Path, State, rejection::PathRejection},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signer_client::wire::{QuotedU64, Signature};

use crate::{
    http::{
        body::{RawBody, Unread},
        identity,
        reply::{self, Refused},
    },
    listen::Peer,
    signing::{SignError, SigningService},
};

/// Longest text that is signed, in bytes. The whole text is hashed by a signing thread, for which a
/// block may be waiting.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// The only body that is signed. Its members are checked and then not used: the text is signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "reading the members is the check")]
struct ProofOfValidation {
    r#type: String,
    platform: String,
    timestamp: QuotedU64,
}

#[derive(Serialize)]
struct ProofResponse {
    payload: String,
    signature: Signature,
}

/// Why nothing is signed, with the body that Web3Signer sends for it.
fn checked(body: Result<RawBody, Unread>) -> Result<RawBody, (Refused, String, &'static str)> {
    let body = body.map_err(|unread| {
        let body = if matches!(unread, Unread::TooLarge { .. }) { TOO_LARGE } else { BAD_REQUEST };
        (unread.refused(), unread.to_string(), body)
    })?;
    if body.len() > MAX_TEXT_BYTES {
        let reason = format!("the text has more than {MAX_TEXT_BYTES} bytes");
        return Err((Refused::TooLarge, reason, TOO_LARGE));
    }
    match serde_json::from_slice::<ProofOfValidation>(&body) {
        Ok(proof) if proof.r#type.eq_ignore_ascii_case("PROOF_OF_VALIDATION") => Ok(body),
        _ => {
            Err((Refused::Malformed, "the body is no PROOF_OF_VALIDATION".to_owned(), BAD_REQUEST))
        }
    }
}

const BAD_REQUEST: &str = "Bad Request";
const TOO_LARGE: &str = "Body too large";

fn error(refused: Refused, message: &str) -> Response {
    refused.when_to_retry(reply::json(refused.status(), &json!({ "error": message })))
}

pub(in crate::http) async fn post(
    State(signing): State<Arc<SigningService>>,
    identifier: Result<Path<String>, PathRejection>,
    Extension(peer): Extension<Peer>,
    body: Result<RawBody, Unread>,
) -> Response {
    let identifier = identifier.map(|Path(identifier)| identifier).unwrap_or_default();
    let client = identity::client(peer);
    let body = match checked(body) {
        Ok(body) => body,
        Err((refused, reason, message)) => {
            signing.refuse_text(client, &identifier, &reason);
            return error(refused, message);
        }
    };
    match signing.sign_text(client, &identifier, &body).await {
        Ok(signature) => reply::json(
            StatusCode::OK,
            &ProofResponse { payload: STANDARD.encode(&*body), signature },
        ),
        Err(SignError::UnknownKey) => error(Refused::UnknownKey, "Identifier not found."),
        Err(cause) => error(super::sign::refusal(&cause), &cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn overload_says_when_to_come_back() {
        for (refused, is_retried) in [(Refused::Overloaded, true), (Refused::Malformed, false)] {
            let response = error(refused, "why");
            assert_eq!(response.status(), refused.status());
            assert_eq!(response.headers().contains_key(RETRY_AFTER), is_retried);
        }
    }
}
