//! Decoding parts of a body, with errors that point into the whole of it.
//!
//! The members of a body are first taken as raw text, then the few that matter are decoded. Their
//! parser counts lines from the start of the part; here that becomes a place in the body.
//!
//! The parser also takes an array for an object's members in their order. That is harmless: all of
//! them must be there, and hashing and slashing protection see the same decoded values.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::DutyError;

/// Longest text from a body, or about one, in a message.
const MAX_TEXT: usize = 200;

/// Decodes `part`, which lies in `body` as the member `path`.
pub(super) fn decode<'a, T: Deserialize<'a>>(
    body: &[u8],
    path: &str,
    part: &'a RawValue,
) -> Result<T, DutyError> {
    serde_json::from_str(part.get()).map_err(|error| {
        // Only now read once more, keeping track of members: it would slow down every request.
        let mut deserializer = serde_json::Deserializer::from_str(part.get());
        let inner = serde_path_to_error::deserialize::<_, T>(&mut deserializer)
            .err()
            .map(|error| error.path().to_string())
            .filter(|inner| inner != ".");
        let path = match inner {
            Some(inner) => format!("{path}.{inner}"),
            None => path.to_owned(),
        };
        located(body, offset_in(body, part), &path, &error)
    })
}

/// Decodes the body itself.
pub(super) fn decode_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DutyError> {
    serde_json::from_slice(body).map_err(|error| located(body, 0, "", &error))
}

/// How far into the body a part of it begins, in bytes.
fn offset_in(body: &[u8], part: &RawValue) -> usize {
    let offset = part.get().as_ptr().addr().wrapping_sub(body.as_ptr().addr());
    debug_assert!(offset <= body.len(), "the part does not lie in the body");
    offset.min(body.len())
}

fn located(body: &[u8], offset: usize, path: &str, error: &serde_json::Error) -> DutyError {
    let before = &body[..offset];
    let lines_before = before.split(|byte| *byte == b'\n').count() - 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let column_before = if error.line() <= 1 { offset - line_start } else { 0 };
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    DutyError::Json {
        path: shortened(path),
        reason: shortened(text.strip_suffix(&suffix).unwrap_or(&text)),
        line: lines_before + error.line().max(1),
        column: column_before + error.column(),
    }
}

/// The text on one line and not longer than a message should be.
pub(super) fn shortened(text: &str) -> String {
    let mut kept: String = text
        .chars()
        .take(MAX_TEXT)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
