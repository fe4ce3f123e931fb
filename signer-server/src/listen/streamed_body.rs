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
        // Also for a part that is there already: a client that takes it is not idle.
        let running = self.running.take().unwrap_or_else(|| self.activity.request());
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.running = polled.is_pending().then_some(running);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn it_is_work_while_the_client_waits_and_not_while_the_signer_does() {
        let activity = Activity::new();
        let parts = stream::iter(["one", "two"]).chain(stream::pending()).map(Ok::<_, Infallible>);
        let running = Some(activity.request());
        let body = Body::from_stream(parts);
        let mut body = StreamedBody { body, activity: Arc::clone(&activity), running };
        assert!(activity.is_running());
        for expected in ["one", "two"] {
            let part = body.frame().now_or_never().unwrap().unwrap().unwrap();
            assert_eq!(part.into_data().unwrap(), expected);
            assert!(!activity.is_running(), "nobody has asked for the next part");
        }
        assert!(body.frame().now_or_never().is_none());
        assert!(activity.is_running(), "the client waits");
        drop(body);
        assert!(!activity.is_running());
    }
}
