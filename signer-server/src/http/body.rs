//! Reading a request's body within its limit.

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRef, FromRequest, Request},
    response::Response,
};
use http::HeaderMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::reply::Refused;

/// Largest body that is read at all, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBodyBytes(pub(super) usize);

/// A body whatever its `Content-Type` says: clients differ, and Web3Signer never looks.
pub(super) struct RawBody(pub(super) Bytes);

impl<S> FromRequest<S> for RawBody
where
    MaxBodyBytes: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let MaxBodyBytes(limit) = MaxBodyBytes::from_ref(state);
        let (parts, body) = request.into_parts();
        read(body, limit).await.map(Self).map_err(|error| error.reply(&parts.headers, limit))
    }
}

enum ReadError {
    TooLarge,
    Broken,
}

impl ReadError {
    fn reply(self, headers: &HeaderMap, limit: usize) -> Response {
        match self {
            Self::TooLarge => {
                Refused::TooLarge.reply(headers, &format!("the body is larger than {limit} bytes"))
            }
            Self::Broken => Refused::Malformed.reply(headers, "the body ended early"),
        }
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, ReadError> {
    // A body that announces its size is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(_) => Err(ReadError::Broken),
    }
}
