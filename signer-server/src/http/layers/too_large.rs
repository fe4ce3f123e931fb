//! Tells a client that its connection ends with a body that was too large.
//!
//! The rest of such a body is not read, so the connection can't be used again. A client that is not
//! told keeps it in its pool, and its next request fails.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderValue, StatusCode, Version, header::CONNECTION};

pub(in crate::http) async fn close(request: Request, next: Next) -> Response {
    // HTTP/2 ends a stream alone, and knows no such header (RFC 9113, section 8.2.2).
    let is_one_stream = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if is_one_stream && response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
