//! An answer that is made while it is being sent.
//!
//! It is work as long as the client waits for its next part. When it is the signer that waits, because
//! the client does not read, the connection is idle, and is closed after the time for that: nobody
//! may hold an answer's memory for ever.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::activity::{Activity, Running};

/// The body of such an answer.
pub(super) struct StreamedBody {
    pub(super) body: Body,
    pub(super) activity: Arc<Activity>,
    /// While the next part is asked for and not there.
    pub(super) running: Option<Running>,
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.running = None;
        } else if self.running.is_none() {
            self.running = Some(self.activity.request());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
