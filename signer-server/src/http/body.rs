//! Reading a request's body within its limits.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRef, FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::reply::Refused;

/// How long a client may take to send a body, however large. Whoever sends a byte now and then must
/// not hold memory for ever.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Largest body that is read at all, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBodyBytes(pub(super) usize);

/// A body whatever its `Content-Type` says: clients differ, and Web3Signer never looks.
#[derive(Debug)]
pub(super) struct RawBody(pub(super) Bytes);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {} seconds", .limit.as_secs_f32())]
    TooSlow { limit: Duration },
    #[error("the body ended early or is not well framed")]
    Broken,
}

impl Unread {
    pub(super) const fn refused(&self) -> Refused {
        match self {
            Self::TooLarge { .. } => Refused::TooLarge,
            Self::TooSlow { .. } | Self::Broken => Refused::Malformed,
        }
    }
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        self.refused().reply(&HeaderMap::new(), &self.to_string())
    }
}

impl<S> FromRequest<S> for RawBody
where
    MaxBodyBytes: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Unread;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unread> {
        let MaxBodyBytes(limit) = MaxBodyBytes::from_ref(state);
        read(request.into_body(), limit, TIME_LIMIT).await.map(Self)
    }
}

async fn read(body: Body, limit: usize, time_limit: Duration) -> Result<Bytes, Unread> {
    // A body that announces its size is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge { limit });
    }
    let collected = tokio::time::timeout(time_limit, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| Unread::TooSlow { limit: time_limit })? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge { limit }),
        Err(_) => Err(Unread::Broken),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    type Chunk = Result<&'static str, std::io::Error>;

    async fn read_chunks(chunks: Vec<Chunk>, stalls: bool) -> Result<Bytes, Unread> {
        let sent = stream::iter(chunks);
        let body = if stalls {
            Body::from_stream(sent.chain(stream::pending()))
        } else {
            Body::from_stream(sent)
        };
        read(body, 8, Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn a_body_is_read_within_its_size_and_time() {
        assert_eq!(read_chunks(vec![Ok("abcd"), Ok("efgh")], false).await.unwrap(), "abcdefgh");
        let error = read_chunks(vec![Ok("abcd"), Ok("efghi")], true).await.unwrap_err();
        assert!(matches!(error, Unread::TooLarge { limit: 8 }), "{error}");
        let error = read_chunks(vec![Ok("abcd")], true).await.unwrap_err();
        assert_eq!(error.to_string(), "the body did not arrive within 0.02 seconds");
        let broken = std::io::Error::other("gone");
        let error = read_chunks(vec![Ok("abcd"), Err(broken)], true).await.unwrap_err();
        assert!(matches!(error, Unread::Broken), "{error}");
    }

    #[tokio::test]
    async fn an_announced_size_above_the_limit_is_refused_unread() {
        let error = read(Body::from("123456789"), 8, Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, Unread::TooLarge { limit: 8 }), "{error}");
    }
}
