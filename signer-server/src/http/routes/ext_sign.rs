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
    http::{body::RawBody, identity, reply},
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

pub(in crate::http) async fn post(
    State(signing): State<Arc<SigningService>>,
    identifier: Result<Path<String>, PathRejection>,
    Extension(peer): Extension<Peer>,
    body: RawBody,
) -> Response {
    if body.len() > MAX_TEXT_BYTES {
        return reply::json(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "Body too large" }));
    }
    let valid = serde_json::from_slice::<ProofOfValidation>(&body)
        .is_ok_and(|proof| proof.r#type.eq_ignore_ascii_case("PROOF_OF_VALIDATION"));
    if !valid {
        return reply::json(StatusCode::BAD_REQUEST, &json!({ "error": "Bad Request" }));
    }
    let identifier = identifier.map(|Path(identifier)| identifier).unwrap_or_default();
    match signing.sign_text(identity::client(peer), &identifier, &body).await {
        Ok(signature) => reply::json(
            StatusCode::OK,
            &ProofResponse { payload: STANDARD.encode(&*body), signature },
        ),
        Err(SignError::UnknownKey) => {
            reply::json(StatusCode::NOT_FOUND, &json!({ "error": "Identifier not found." }))
        }
        Err(error) => {
            let status = super::sign::refusal(&error).status();
            reply::json(status, &json!({ "error": error.to_string() }))
        }
    }
}
