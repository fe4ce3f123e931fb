//! What every signing endpoint has before it knows what is asked: who asks, the whole body, how long
//! the client waits, and since when.

use std::time::Duration;

use axum::{
    extract::{
        Extension, FromRef, FromRequest, FromRequestParts, Request, rejection::ExtensionRejection,
    },
    response::Response,
};
use http::HeaderMap;

use super::{
    body::{MaxBodyBytes, RawBody, Unread},
    body_budget::BodyBudget,
    deadline, identity,
    reply::Refused,
    server_timing::{ServerTiming, Stopwatch},
};
use crate::{
    audit::{Client, Outcome},
    listen::Peer,
    signing::SigningService,
};

/// A request to a signing endpoint, read as far as it could be.
pub(super) struct Incoming {
    client: Client,
    headers: HeaderMap,
    stopwatch: Stopwatch,
    body: Result<RawBody, Unread>,
}

/// A request to a signing endpoint that is whole.
pub(super) struct Call {
    /// Who asks.
    pub(super) client: Client,
    /// What it accepts.
    pub(super) headers: HeaderMap,
    /// Runs since the body has arrived.
    pub(super) stopwatch: Stopwatch,
    /// What it asks.
    pub(super) body: RawBody,
    /// How long it waits, if it says so.
    pub(super) limit: Option<Duration>,
}

/// How an endpoint words a refusal: [`Refused::reply`] or [`Refused::reply_own`].
type Reply = fn(Refused, &HeaderMap, &str) -> Response;

impl<S> FromRequest<S> for Incoming
where
    MaxBodyBytes: FromRef<S>,
    BodyBudget: FromRef<S>,
    ServerTiming: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ExtensionRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, ExtensionRejection> {
        let (mut parts, body) = request.into_parts();
        let Extension(peer) = Extension::<Peer>::from_request_parts(&mut parts, state).await?;
        let (client, headers) = (identity::client(peer), parts.headers.clone());
        let body = RawBody::from_request(Request::from_parts(parts, body), state).await;
        let stopwatch = Stopwatch::start(ServerTiming::from_ref(state));
        Ok(Self { client, headers, stopwatch, body })
    }
}

impl Incoming {
    /// Goes on with a request that is whole. Another one leaves its audit row, and its answer is
    /// the error.
    pub(super) fn whole(
        self,
        signing: &SigningService,
        identifier: &str,
        reply: Reply,
    ) -> Result<Call, Box<Response>> {
        let Self { client, headers, stopwatch, body } = self;
        let body = body.map_err(|unread| (unread.refused(), unread.to_string()));
        let limit = deadline::limit(&headers);
        let limit = limit.map_err(|message| (Refused::Malformed, message.to_owned()));
        match body.and_then(|body| Ok((body, limit?))) {
            Ok((body, limit)) => Ok(Call { client, headers, stopwatch, body, limit }),
            Err((refused, reason)) => {
                signing.refuse_unread(client, identifier, outcome(refused), &reason);
                Err(Box::new(stopwatch.stop(reply(refused, &headers, &reason))))
            }
        }
    }
}

/// How the audit names a request that was refused before it was read.
const fn outcome(refused: Refused) -> Outcome {
    match refused {
        Refused::Overloaded => Outcome::Shed,
        Refused::Malformed
        | Refused::UnknownKey
        | Refused::Slashable
        | Refused::TooLarge
        | Refused::Failed => Outcome::Malformed,
    }
}
