//! Tolerance for the paths that clients build.

use http::{Request, Uri, uri::PathAndQuery};

/// Collapses repeated slashes and removes one at the end: Prysm joins a base that ends in a slash
/// to a path that begins with one.
pub fn normalise<B>(mut request: Request<B>) -> Request<B> {
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The tidied address, or `None` when the given one is tidy.
fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && (path.len() < 2 || !path.ends_with('/')) {
        return None;
    }
    let mut tidy = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        tidy.push('/');
        tidy.push_str(segment);
    }
    if tidy.is_empty() {
        tidy.push('/');
    }
    if let Some(query) = uri.query() {
        tidy.push('?');
        tidy.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(tidy).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_collapse_and_a_last_one_goes() {
        for (given, expected) in [
            ("//api/v1//eth2/sign/0x12/", "/api/v1/eth2/sign/0x12"),
            ("/upcheck/", "/upcheck"),
            ("/upcheck/?a=//b/", "/upcheck?a=//b/"),
            ("///", "/"),
            ("http://host:1//upcheck", "http://host:1/upcheck"),
        ] {
            let uri = normalised(&given.parse().unwrap()).unwrap();
            assert_eq!(uri.to_string(), expected, "{given}");
        }
        for tidy in ["/", "/upcheck", "/a/b?c=d"] {
            assert_eq!(normalised(&tidy.parse().unwrap()), None, "{tidy}");
        }
    }
}
