//! Reading a request's body within its limits.

use std::{ops::Deref, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRef, FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use http_body_util::{BodyExt, Limited};

use super::{
    body_budget::{BodyBudget, Room},
    reply::Refused,
};

/// How long a client may take to send a body, however large. Whoever sends a byte now and then must
/// not hold memory for ever.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Largest body that is read at all, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBodyBytes(pub(super) usize);

/// A body whatever its `Content-Type` says: clients differ, and Web3Signer never looks.
///
/// It counts against what all bodies together may take, until it is dropped.
#[derive(Debug)]
pub(super) struct RawBody {
    bytes: Vec<u8>,
    room: Room,
}

impl RawBody {
    /// Lets go of the bytes. They count on: what was read is kept in another form.
    pub(super) fn into_room(self) -> Room {
        self.room
    }
}

impl Deref for RawBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {} seconds", .limit.as_secs_f32())]
    TooSlow { limit: Duration },
    #[error("the body ended early or is not well framed")]
    Broken,
    #[error("too many bytes of request bodies are being read")]
    NoRoom,
}

impl Unread {
    pub(super) const fn refused(&self) -> Refused {
        match self {
            Self::TooLarge { .. } => Refused::TooLarge,
            Self::TooSlow { .. } | Self::Broken => Refused::Malformed,
            Self::NoRoom => Refused::Overloaded,
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
    BodyBudget: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Unread;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unread> {
        let MaxBodyBytes(limit) = MaxBodyBytes::from_ref(state);
        let room = BodyBudget::from_ref(state).begin();
        read(request.into_body(), limit, room, TIME_LIMIT).await
    }
}

async fn read(
    body: Body,
    limit: usize,
    room: Room,
    time_limit: Duration,
) -> Result<RawBody, Unread> {
    // A body that announces its size is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge { limit });
    }
    tokio::time::timeout(time_limit, collect(body, limit, room))
        .await
        .map_err(|_| Unread::TooSlow { limit: time_limit })?
}

async fn collect(mut body: Body, limit: usize, mut room: Room) -> Result<RawBody, Unread> {
    // Copied even when it is one piece: that would keep the connection's whole read buffer alive
    // for as long as the request waits.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Unread::TooLarge { limit });
        }
        if room.grow(data.len()).is_err() {
            drop((bytes, room));
            return Err(discard_rest(body, limit).await);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(RawBody { bytes, room })
}

/// Reads the rest without keeping it: a client that still sends would not see the answer.
async fn discard_rest(body: Body, limit: usize) -> Unread {
    let mut rest = Limited::new(body, limit);
    while let Some(Ok(_)) = rest.frame().await {}
    Unread::NoRoom
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    type Chunk = Result<&'static str, std::io::Error>;

    fn room(bytes: usize) -> Room {
        BodyBudget::new(bytes).begin()
    }

    async fn read_chunks(chunks: Vec<Chunk>, stalls: bool) -> Result<RawBody, Unread> {
        let sent = stream::iter(chunks);
        let body = if stalls {
            Body::from_stream(sent.chain(stream::pending()))
        } else {
            Body::from_stream(sent)
        };
        read(body, 8, room(100), Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn a_body_is_read_within_its_size_and_time() {
        for chunks in [vec!["abcdefgh"], vec!["abcd", "efgh"], vec!["a", "", "bc", "defg", "h"]] {
            let body = read_chunks(chunks.into_iter().map(Ok).collect(), false).await.unwrap();
            assert_eq!(&*body, b"abcdefgh");
        }
        assert_eq!(&*read_chunks(Vec::new(), false).await.unwrap(), b"");
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
        let error = read(Body::from("123456789"), 8, room(100), Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, Unread::TooLarge { limit: 8 }), "{error}");
    }

    #[tokio::test]
    async fn bodies_together_keep_to_their_budget() {
        let budget = BodyBudget::new(10);
        let begin =
            |text: &'static str| read(Body::from(text), 8, budget.begin(), Duration::from_secs(1));
        let held = begin("12345678").await.unwrap();
        let error = begin("abc").await.unwrap_err();
        assert!(matches!(error, Unread::NoRoom), "{error}");
        assert_eq!(error.refused(), Refused::Overloaded);
        drop(held);
        assert_eq!(&*begin("abc").await.unwrap(), b"abc");
    }
}
