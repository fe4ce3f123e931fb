//! How a beacon node can misbehave.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http::StatusCode;
use serde_json::{Value, json};

type Lie = dyn Fn(&mut Value) + Send + Sync;

/// How a beacon node can misbehave.
#[derive(Clone)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Answers rightly, so much later.
    Slow(Duration),
    /// Begins an answer and cuts the connection.
    HangUp,
    /// Answers with blanks without end.
    Endless,
    /// Answers with something that is no JSON.
    Garbage,
    /// Answers with something else than the truth.
    Lie(Arc<Lie>),
}

impl Fault {
    /// Answers with what becomes of the truth.
    pub fn lie(lie: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Lie(Arc::new(lie))
    }

    /// For `genesis`: is on another chain.
    pub fn other_chain() -> Self {
        let root = const_hex::encode_prefixed([0xee; 32]);
        Self::lie(move |answer| answer["data"]["genesis_validators_root"] = root.as_str().into())
    }

    /// For `syncing`: stopped following the chain so many slots ago, and does not know.
    pub fn stale(slots: u64) -> Self {
        Self::lie(move |answer| {
            let head = answer["data"]["head_slot"].as_str().and_then(|text| text.parse().ok());
            let head = head.unwrap_or(0_u64).saturating_sub(slots);
            answer["data"]["head_slot"] = head.to_string().into();
        })
    }

    /// For duties: every one lies so many slots later than in truth.
    pub fn later_slots(slots: u64) -> Self {
        Self::lie(move |answer| {
            for duty in answer["data"].as_array_mut().into_iter().flatten() {
                let slot: u64 =
                    duty["slot"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
                duty["slot"] = slot.saturating_add(slots).to_string().into();
            }
        })
    }

    /// For duties: one more, of a validator that nobody asked for.
    pub fn foreign_duty() -> Self {
        Self::lie(|answer| {
            let duties = answer["data"].as_array_mut().into_iter();
            for duties in duties {
                let mut duty = duties.first().cloned().unwrap_or_else(|| json!({ "slot": "1" }));
                duty["pubkey"] = const_hex::encode_prefixed([0xaa; 48]).into();
                duty["validator_index"] = "77".into();
                duties.push(duty);
            }
        })
    }

    /// For duties: each one so many times.
    pub fn repeated(times: usize) -> Self {
        Self::lie(move |answer| {
            if let Some(duties) = answer["data"].as_array_mut() {
                *duties = std::iter::repeat_n(&*duties, times).flatten().cloned().collect();
            }
        })
    }

    /// What is answered in place of the truth.
    pub(super) async fn distort(self, truth: Value) -> Response {
        match self {
            Self::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                status.into_response()
            }
            Self::Slow(time) => {
                tokio::time::sleep(time).await;
                super::routes::json(&truth)
            }
            Self::HangUp => {
                let begun = [Ok(Bytes::from_static(b"{")), Err(io::ErrorKind::BrokenPipe.into())];
                let begun: [io::Result<Bytes>; 2] = begun;
                Body::from_stream(stream::iter(begun)).into_response()
            }
            Self::Endless => {
                let blanks = Bytes::from_static(&[b' '; 1 << 14]);
                let blanks = stream::repeat_with(move || Ok::<_, Infallible>(blanks.clone()));
                Body::from_stream(blanks).into_response()
            }
            Self::Garbage => "<html>it works</html>".into_response(),
            Self::Lie(lie) => {
                let mut answer = truth;
                lie(&mut answer);
                super::routes::json(&answer)
            }
        }
    }
}
