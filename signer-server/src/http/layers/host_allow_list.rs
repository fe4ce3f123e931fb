//! Refuses requests whose `Host` is not on the list, a guard against DNS rebinding.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{StatusCode, header::HOST};
use serde_json::json;

use crate::{config::HostAllowList, http::reply};

pub(in crate::http) async fn check(
    State(allowed): State<Arc<HostAllowList>>,
    request: Request,
    next: Next,
) -> Response {
    if allowed.allows(host_of(&request)) {
        return next.run(request).await;
    }
    reply::json(StatusCode::FORBIDDEN, &json!({ "message": "Host not authorized." }))
}

/// The host that a request names, without its port. One that names two names none: what stands
/// before this port may look at the other one.
fn host_of<B>(request: &http::Request<B>) -> Option<&str> {
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        return None;
    }
    // HTTP/2 carries the host as the authority of the address.
    let authority = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| request.headers().get(HOST).and_then(|value| value.to_str().ok()));
    authority.map(without_port).filter(|host| !host.is_empty())
}

/// The host part of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn without_port(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, host: Option<&str>) -> http::Request<()> {
        let builder = http::Request::builder().uri(uri);
        match host {
            Some(host) => builder.header(HOST, host),
            None => builder,
        }
        .body(())
        .unwrap()
    }

    #[test]
    fn ports_brackets_and_user_names_are_left_out() {
        for (host, expected) in [
            ("localhost", "localhost"),
            ("LocalHost:9000", "LocalHost"),
            ("[::1]:9000", "::1"),
            ("[::1]", "::1"),
            ("user@signer:9000", "signer"),
        ] {
            assert_eq!(host_of(&request("/upcheck", Some(host))), Some(expected));
        }
        assert_eq!(host_of(&request("http://signer:9000/upcheck", None)), Some("signer"));
        assert_eq!(host_of(&request("/upcheck", None)), None);
        assert_eq!(host_of(&request("/upcheck", Some(""))), None);
        let mut two = request("/upcheck", Some("localhost"));
        two.headers_mut().append(HOST, http::HeaderValue::from_static("localhost"));
        assert_eq!(host_of(&two), None);
    }
}
