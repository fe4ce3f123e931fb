//! `POST /midslot/v1/aggregation/sign`: signs the aggregate of a group that is finished.

use std::sync::Arc;

use axum::{
    extract::{Extension, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use signer_client::wire::{
    PublicKey, QuotedU64, Signature,
    aggregation::{SignRefusal, SigningOutcome},
};

use super::no_job;
use crate::{
    aggregation::{
        AggregationService, JobId, NoGroup,
        snapshot::{SignWish, json_reason, shortened},
    },
    http::{
        body::{RawBody, Unread},
        identity,
        reply::{self, Refused, explain},
    },
    listen::Peer,
    one_shot::OneShot,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    job_id: String,
    group: usize,
    sign: Sign,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    aggregator_pubkey: PublicKey,
    aggregator_index: QuotedU64,
    selection_proof: Option<Signature>,
    #[serde(default)]
    resign: bool,
}

/// Signs.
pub(in crate::http) async fn post(
    State(service): State<Arc<AggregationService>>,
    State(one_shot): State<Arc<OneShot>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<RawBody, Unread>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.refused().reply_own(&headers, &error.to_string()),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let read: Result<Body, _> = serde_path_to_error::deserialize(&mut deserializer);
    let Body { job_id, group, sign } = match read {
        Ok(read) => read,
        Err(error) => {
            let path = shortened(&error.path().to_string());
            let message = format!("{path}: {}", json_reason(error.inner()));
            return Refused::Malformed.reply_own(&headers, &message);
        }
    };
    let Ok(id) = job_id.parse::<JobId>() else {
        return no_job(crate::aggregation::NoJob::Unknown, &headers);
    };
    let wish = SignWish {
        aggregator_pubkey: sign.aggregator_pubkey,
        aggregator_index: sign.aggregator_index.0,
        selection_proof: sign.selection_proof,
        resign: sign.resign,
    };
    let wanted = match service.group_to_sign(id, group, wish) {
        Ok(wanted) => wanted,
        Err(NoGroup::Job(error)) => return no_job(error, &headers),
        Err(error @ NoGroup::Unfinished) => {
            return explain(StatusCode::CONFLICT, &headers, &error.to_string());
        }
        Err(error @ NoGroup::OutOfRange { .. }) => {
            return explain(StatusCode::UNPROCESSABLE_ENTITY, &headers, &error.to_string());
        }
    };
    match one_shot.sign(&identity::client(peer), &wanted).await {
        outcome @ SigningOutcome::Signed(_) => reply::json(StatusCode::OK, &outcome),
        SigningOutcome::Refused { reason, message } => {
            refusal(reason, &headers, &format!("{}: {message}", reason.name()))
        }
    }
}

fn refusal(reason: SignRefusal, headers: &HeaderMap, message: &str) -> Response {
    match reason {
        SignRefusal::UnknownKey => Refused::UnknownKey.reply_own(headers, message),
        SignRefusal::Overloaded => Refused::Overloaded.reply_own(headers, message),
        SignRefusal::Failed | SignRefusal::Other => Refused::Failed.reply_own(headers, message),
        SignRefusal::NoAggregate
        | SignRefusal::NotVerified
        | SignRefusal::NotSignable
        | SignRefusal::BadSelectionProof
        | SignRefusal::NotAggregator
        | SignRefusal::WrongFork => explain(StatusCode::UNPROCESSABLE_ENTITY, headers, message),
    }
}
