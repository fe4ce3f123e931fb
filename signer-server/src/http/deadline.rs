//! The header by which a client says how long it will wait.

use std::time::Duration;

use http::HeaderMap;

/// Milliseconds from the arrival of the request after which its signature is worth nothing to the
/// client. It can only shorten the time that the duty itself has.
const HEADER: &str = "x-signing-deadline-ms";

/// The client's limit, if it sent one.
///
/// # Errors
/// When the header is no number: the message for the client.
pub(super) fn limit(headers: &HeaderMap) -> Result<Option<Duration>, &'static str> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
        .ok_or("the header X-Signing-Deadline-Ms must be a number of milliseconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_milliseconds_or_nothing() {
        let mut headers = HeaderMap::new();
        assert_eq!(limit(&headers), Ok(None));
        headers.insert(HEADER, "250".parse().unwrap());
        assert_eq!(limit(&headers), Ok(Some(Duration::from_millis(250))));
        for bad in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            headers.insert(HEADER, bad.parse().unwrap());
            assert!(limit(&headers).is_err(), "{bad}");
        }
    }
}
