//! One line per request in the combined form of web servers, when asked for.

use axum::{
    extract::{Extension, Request},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, HeaderName, REFERER, USER_AGENT},
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
        header(response.headers(), &CONTENT_LENGTH),
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

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").replace('"', "'")
}
