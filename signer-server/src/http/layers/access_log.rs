//! One line per request in the combined form of web servers, when asked for.

use axum::{
    body::{Body, HttpBody},
    extract::{Extension, Request},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap,
    header::{HeaderName, REFERER, USER_AGENT},
};

use crate::{clock, listen::Peer};

pub(in crate::http) async fn write(
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let head = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    let referer = header(request.headers(), &REFERER);
    let user_agent = header(request.headers(), &USER_AGENT);
    let response = next.run(request).await;
    let status = response.status();
    let line = format!(
        "{} - - [{}] \"{head}\" {} {} \"{referer}\" \"{user_agent}\"",
        peer.address.ip(),
        clock::now_rfc1123(),
        status.as_u16(),
        size(response.body()),
    );
    if status.is_server_error() {
        tracing::error!(target: "access", "{line}");
    } else if status.is_client_error() {
        tracing::warn!(target: "access", "{line}");
    } else {
        tracing::info!(target: "access", "{line}");
    }
    response
}

/// Bytes of the body, as access logs write them. Its header is set later, by the connection.
fn size(body: &Body) -> String {
    body.size_hint().exact().map_or_else(|| "-".to_owned(), |bytes| bytes.to_string())
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").replace('"', "'")
}
