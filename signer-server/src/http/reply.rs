//! Answers, and the one table of refusals to statuses.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use tokio::task::block_in_place;

use super::{
    accept::{self, JSON, TEXT},
    body_budget::{BodyBudget, LARGE_BODY_BYTES, Room},
};

/// Seconds after which a client that met a full queue may come back.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request gets no signature. The statuses are those that every validator client reads
/// rightly: Prysm takes the body of any other status for a signature, and Nimbus gives up on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The body can't be understood, or contradicts itself.
    Malformed,
    /// No such key is loaded.
    UnknownKey,
    /// Slashing protection said no.
    Slashable,
    /// The body is above the limit.
    TooLarge,
    /// A queue is full: the client may try again.
    Overloaded,
    /// Something of ours failed.
    Failed,
}

impl Refused {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownKey => StatusCode::NOT_FOUND,
            Self::Slashable => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded | Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer, in the form that the client accepts: `{"code","message"}` or one line of text.
    pub(super) fn reply(self, headers: &HeaderMap, message: &str) -> Response {
        self.when_to_retry(explain(self.status(), headers, message))
    }

    /// The same on an endpoint of our own, where overload is a 503 as HTTP has it: who calls it reads
    /// statuses.
    pub(super) fn reply_own(self, headers: &HeaderMap, message: &str) -> Response {
        let status = match self {
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            other => other.status(),
        };
        self.when_to_retry(explain(status, headers, message))
    }

    /// Adds to an answer when the client may come back, if that may help.
    pub(super) fn when_to_retry(self, mut response: Response) -> Response {
        if self == Self::Overloaded {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

#[derive(Serialize)]
struct Explanation<'a> {
    code: u16,
    message: &'a str,
}

/// A status with a reason, as JSON when the client accepts that, else as one line of text.
pub(super) fn explain(status: StatusCode, headers: &HeaderMap, message: &str) -> Response {
    if accept::wants_json(headers) {
        json(status, &Explanation { code: status.as_u16(), message })
    } else {
        text(status, message.to_owned())
    }
}

/// A JSON answer.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(status, JSON, body),
        Err(error) => unwritten(&error),
    }
}

/// A JSON answer of about so many bytes that can be asked for again. A large one counts against the
/// budget until it has been sent, and has to wait for room.
pub(super) fn json_if_room<T: Serialize>(
    budget: &BodyBudget,
    headers: &HeaderMap,
    status: StatusCode,
    bytes: usize,
    value: &T,
) -> Response {
    if bytes <= LARGE_BODY_BYTES {
        return json(status, value);
    }
    let Ok(room) = budget.begin_answer(bytes) else {
        let message = "too many bytes of answers are being sent";
        return Refused::Overloaded.reply_own(headers, message);
    };
    // It takes milliseconds to write: the other requests of this thread move to another one.
    match block_in_place(|| serde_json::to_vec(value)) {
        Ok(body) => with_type(status, JSON, room.hold(body)),
        Err(error) => unwritten(&error),
    }
}

fn unwritten(error: &serde_json::Error) -> Response {
    tracing::error!(%error, "an answer could not be written as JSON");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written")
}

/// A JSON answer for many keys, which counts against the budget until it has been sent.
pub(super) fn json_of_many<T: Serialize>(room: &Room, value: &T) -> Response {
    // Thousands of keys take milliseconds to write: the other requests of this thread move to
    // another one meanwhile.
    let write = || serde_json::to_vec(value);
    match if room.is_large() { block_in_place(write) } else { write() } {
        Ok(body) => with_type(StatusCode::OK, JSON, room.hold(body)),
        Err(error) => unwritten(&error),
    }
}

/// A plain text answer.
pub(super) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, TEXT, body)
}

/// An answer of the given media type.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], body.into()).into_response()
}

/// The answer when a client accepts nothing that the endpoint has.
pub(super) fn not_acceptable() -> Response {
    StatusCode::NOT_ACCEPTABLE.into_response()
}

/// The answer to a path that does not exist, as Web3Signer gives it.
pub(super) async fn unknown_path() -> Response {
    with_type(
        StatusCode::NOT_FOUND,
        "text/html; charset=utf-8",
        "<html><body><h1>Resource not found</h1></body></html>",
    )
}

/// The answer when a route panicked. What it panicked with may hold anything, so it is not told.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    text(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::to_bytes, routing::get};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_route_is_a_500_that_does_not_tell_its_message() {
        let route = get(|| async { panic!("a secret") as StatusCode });
        let router = Router::new().route("/", route).layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(http::Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(to_bytes(response.into_body(), 99).await.unwrap(), "internal error");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn large_answers_that_can_be_asked_for_again_wait_for_room() {
        let budget = BodyBudget::new(4 * LARGE_BODY_BYTES);
        let text = "a".repeat(2 * LARGE_BODY_BYTES);
        let answer = |bytes| {
            json_if_room(&budget, &HeaderMap::new(), StatusCode::OK, bytes, &&text[..bytes])
        };
        let sending = answer(2 * LARGE_BODY_BYTES);
        assert_eq!(sending.status(), 200);
        let refused = answer(2 * LARGE_BODY_BYTES);
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key(RETRY_AFTER));
        assert_eq!(answer(LARGE_BODY_BYTES).status(), 200, "small ones are sent");
        drop(sending);
        assert_eq!(answer(2 * LARGE_BODY_BYTES).status(), 200);
    }

    #[test]
    fn every_refusal_has_the_status_that_clients_read_rightly() {
        for (refused, status) in [
            (Refused::Malformed, 400),
            (Refused::UnknownKey, 404),
            (Refused::Slashable, 412),
            (Refused::TooLarge, 413),
            (Refused::Overloaded, 500),
            (Refused::Failed, 500),
        ] {
            let response = refused.reply(&HeaderMap::new(), "why");
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
            assert_eq!(
                response.headers().contains_key(RETRY_AFTER),
                refused == Refused::Overloaded
            );
            let own = refused.reply_own(&HeaderMap::new(), "why");
            let own_status = if refused == Refused::Overloaded { 503 } else { status };
            assert_eq!(own.status(), own_status);
            assert_eq!(own.headers().contains_key(RETRY_AFTER), own_status == 503);
        }
    }
}
