//! What kind of answer a client asks for.

use http::{HeaderMap, header::ACCEPT};

/// `application/json` as Web3Signer writes it.
pub(super) const JSON: &str = "application/json; charset=utf-8";
/// JSON values, one a line.
pub(super) const JSON_LINES: &str = "application/x-ndjson";
/// `text/plain` as Web3Signer writes it.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The elements of the first `Accept` header, without parameters. Web3Signer reads no second
/// header and ignores quality values.
struct Accepted<'a>(Option<&'a str>);

impl<'a> Accepted<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        Self(headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default()))
    }

    fn names(&self, media_types: &[&str]) -> bool {
        self.0.is_some_and(|value| {
            value.split(',').any(|element| {
                let element = element.split(';').next().unwrap_or_default().trim();
                media_types.iter().any(|media_type| element.eq_ignore_ascii_case(media_type))
            })
        })
    }
}

/// Whether the sign endpoint answers JSON: any element is `application/json` or `*/*`. Clients
/// that send no `Accept` (Teku, Prysm) get text.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    Accepted::of(headers).names(&["application/json", "*/*"])
}

/// Whether an endpoint that has a stream of JSON lines answers with it: any element names it.
pub(super) fn wants_json_lines(headers: &HeaderMap) -> bool {
    Accepted::of(headers).names(&[JSON_LINES])
}

/// Whether an endpoint that only has JSON may answer.
pub(super) fn allows_json(headers: &HeaderMap) -> bool {
    let accepted = Accepted::of(headers);
    accepted.0.is_none() || accepted.names(&["application/json", "application/*", "*/*"])
}

/// Whether an endpoint that prefers text may answer with it.
pub(super) fn allows_text(headers: &HeaderMap) -> bool {
    let accepted = Accepted::of(headers);
    accepted.0.is_none() || accepted.names(&["text/plain", "text/*", "*/*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (ACCEPT, http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn json_is_chosen_at_any_position_and_only_by_name_or_by_everything() {
        for accept in
            ["application/json", "text/plain, */*", "text/plain;q=1, Application/JSON;q=0"]
        {
            assert!(wants_json(&headers(&[accept])), "{accept}");
        }
        for accept in ["text/plain", "application/*", "application/jsonx", ""] {
            assert!(!wants_json(&headers(&[accept])), "{accept}");
        }
        assert!(!wants_json(&headers(&[])));
        assert!(
            !wants_json(&headers(&["text/plain", "application/json"])),
            "only the first header"
        );
    }

    #[test]
    fn json_lines_are_asked_for_by_name() {
        assert!(wants_json_lines(&headers(&["application/json, Application/X-NDJSON;q=1"])));
        assert!(!wants_json_lines(&headers(&["*/*"])) && !wants_json_lines(&headers(&[])));
    }

    #[test]
    fn no_header_allows_everything() {
        assert!(allows_json(&headers(&[])) && allows_text(&headers(&[])));
        assert!(!allows_json(&headers(&["text/plain"])));
        assert!(!allows_text(&headers(&["application/json"])));
        assert!(allows_json(&headers(&["text/html, application/*"])));
    }
}
