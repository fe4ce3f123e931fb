//! `POST /midslot/v1/selection-proofs`: selection proofs ahead of their slots.
//!
//! Three answers: all proofs as JSON, one line for each slot as it is finished, or that the proofs
//! will be made.

use std::{convert::Infallible, sync::Arc};

use axum::{body::Body, extract::State, response::Response};
use futures_util::{future::join_all, stream::StreamExt};
use http::StatusCode;
use serde::Serialize;
use signer_client::wire::{QuotedU64, Slot};
use tokio::task::block_in_place;

use super::sign_batch::{Item, MaxBatchKeys};
use crate::{
    http::{
        accept::{self, JSON_LINES},
        call::{Call, Incoming},
        reply::{self, Refused},
    },
    selection::PreRequestError,
    signing::{PreRequestRefused, PreRequested, SigningService, SlotAnswer},
};

#[derive(Serialize)]
struct Slots {
    slots: Vec<OneSlot>,
}

#[derive(Serialize)]
struct OneSlot {
    slot: Slot,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcommittee_index: Option<QuotedU64>,
    proofs: Vec<Item>,
}

#[derive(Serialize)]
struct Accepted {
    accepted: usize,
    cached: usize,
}

impl From<SlotAnswer> for OneSlot {
    fn from(SlotAnswer { slot, subcommittee_index, proofs }: SlotAnswer) -> Self {
        let proofs = proofs.into_iter().map(Item::from).collect();
        Self { slot, subcommittee_index, proofs }
    }
}

impl OneSlot {
    /// The slot as a line of its own.
    fn line(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(mut line) => {
                line.push(b'\n');
                line
            }
            // Integers and texts under names that are texts.
            Err(error) => {
                tracing::error!(%error, "a line could not be written as JSON");
                Vec::new()
            }
        }
    }
}

pub(in crate::http) async fn post(
    State(signing): State<Arc<SigningService>>,
    State(MaxBatchKeys(max_keys)): State<MaxBatchKeys>,
    incoming: Incoming,
) -> Response {
    let call = match incoming.whole(&signing, "", Refused::reply_own) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let Call { client, headers, mut stopwatch, body, limit } = call;
    let requested = signing.pre_request(client, &body, max_keys, limit).await;
    let room = body.into_room();
    let response = match requested {
        Ok(PreRequested::Accepted(accepted)) => {
            let accepted = Accepted { accepted: accepted.accepted, cached: accepted.cached };
            reply::json(StatusCode::ACCEPTED, &accepted)
        }
        Ok(PreRequested::Proofs(begun)) if accept::wants_json_lines(&headers) => {
            let lines = begun.as_finished(move |slot| {
                let line = || OneSlot::from(slot).line();
                room.hold(if room.is_large() { block_in_place(line) } else { line() })
            });
            let lines = lines.map(Ok::<_, Infallible>);
            reply::with_type(StatusCode::OK, JSON_LINES, Body::from_stream(lines))
        }
        Ok(PreRequested::Proofs(begun)) => {
            let finished = join_all(begun.each()).await.into_iter().map(|(slot, timings)| {
                stopwatch.timings.include(timings);
                OneSlot::from(slot)
            });
            let slots = Slots { slots: finished.collect() };
            reply::json_of_many(&room, &slots)
        }
        Err(error) => refusal(&error).reply_own(&headers, &error.to_string()),
    };
    stopwatch.stop(response)
}

fn refusal(error: &PreRequestRefused) -> Refused {
    match error {
        PreRequestRefused::Overloaded(_) | PreRequestRefused::BacklogFull(_) => Refused::Overloaded,
        PreRequestRefused::Bad(
            PreRequestError::TooManyKeys { .. } | PreRequestError::TooManyProofs { .. },
        ) => Refused::TooLarge,
        PreRequestRefused::Bad(_) => Refused::Malformed,
    }
}
